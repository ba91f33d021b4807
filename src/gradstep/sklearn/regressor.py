"""Least squares as an estimator of scikit-learn."""

from typing import Any

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from gradstep.optimizer import Optimizer
from gradstep.sklearn import parameters
from gradstep.sklearn.availability import available_unless
from gradstep.sklearn.epochs import EpochTasks
from gradstep.sklearn.online import Finished, Online
from gradstep.sklearn.outcome import linear, quietly, start, warn_of
from gradstep.sklearn.rows import validated
from gradstep.sklearn.unchanged import ENGINE, unchanged_on_error
from gradstep.structure import Array


# scikit-learn has no types, so all of it is Any.
class LLSRegressor(CallbackSupportMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Linear least squares, plain or with a ridge penalty.

    Minimises :math:`\sum_i s_i \lVert W x_i + b - y_i \rVert^2 + \alpha \lVert W
    \rVert^2`: exactly, as scikit-learn's `LinearRegression` and `Ridge` do, or with an
    `optimizer` by mini-batches. See `lls.fit`.

    Parameters
    ----------
    alpha : float, default 0
        The penalty, at least 0. In `partial_fit` for the rows of each call.
    fit_intercept : bool, default True
        Whether there is a b, which is not penalised.
    optimizer : str, class or callable, optional
        None: the exact solution, along conjugate directions, on all rows; of several
        the one of least norm. A name in
        ``gradstep.OPTIMIZERS``, a class of these, or what takes coefficients and
        returns an optimizer of them: ``functools.partial(gs.SGD, momentum=0.9)``.
        Gradients are means over a batch.
    lr : float, optional
        The rate that the optimizer is given, in place of its own default.
    batch_size : int, optional
        Rows in a batch, at least 1. By default 256.
    max_iter : int, optional
        The most epochs, at least 1. By default 100; without an `optimizer` the most
        steps, 1000 or, if that is more, ten for each feature.
    tol : float, optional
        In [0, 1). Stop when for `n_iter_no_change` epochs the loss, and with it the
        penalty unless rows are held out by `early_stopping`, has not fallen below (1 -
        tol) times its least value so far. By default never, but 1e-4 with
        `early_stopping`. Without an `optimizer`, the criteria of `lls.fit`, by default
        as exact as rounding allows.
    standardize : bool, optional
        Train on standardised features; coefficients and penalty stay in the units of
        X. Without an `optimizer` it makes no difference.
    average : bool or int, default False
        Return the mean of the coefficients after each update, and after how many
        updates that begins.
    shuffle : {"auto", "rows", "blocks"} or None, default "auto"
        The order of rows in each epoch, see `lls.fit`; in `partial_fit` as they stand.
    early_stopping : bool, default False
        Watch the loss of rows that are not trained on, for `tol`. If that ends
        training, the coefficients are those for which it was least.
    validation_fraction : float, default 0.1
        Of the rows, in (0, 1), for `early_stopping`.
    n_iter_no_change : int, default 5
        At least 1.
    scheduler : callable, optional
        Takes the optimizer and returns a scheduler of `gradstep.lr_scheduler`; it steps
        after each epoch, or call of `partial_fit` with a weight above 0.
    warm_start : bool, default False
        Begin `fit` at the last `coef_` and `intercept_`, with a new optimizer. Exact
        solutions do not depend on where they began.
    random_state : int, RandomState or None
        For the orders of rows and the choice of those for validation. An int is the
        `seed` of `lls.fit`; None draws from NumPy's global state.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,) or (n_targets, n_features)
        Of the type of X, float32 or float64.
    intercept_ : float or ndarray, shape (n_targets,)
    n_features_in_ : int
    feature_names_in_ : ndarray, shape (n_features_in_,)
        If X has names of type str for all features.
    n_iter_ : int
        Epochs, steps or calls of `partial_fit`.
    n_updates_ : int
        Of the coefficients, in as many.
    loss_curve_ : list of float
        For each of them, the mean over its rows of the weighted squared residual.
    validation_loss_curve_ : list of float, or None
        The same on the rows for `early_stopping`.
    optimizer_ : Optimizer
        As it stands after the last update.

    Notes
    -----
    Coefficients have the same bits on every CPU; `predict` is a product by NumPy or
    SciPy, whose last bits depend on the CPU. Arrays that are no NumPy's are copied to
    it, and refused where scikit-learn's ``array_api_dispatch`` is on.

    Callbacks of scikit-learn see a task for each epoch. If the fit ends by `tol`, one
    more has begun, and ends without a ``fitted_estimator``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from gradstep.sklearn import LLSRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> exact = LLSRegressor().fit(X, y)
    >>> round(exact.score(X, y), 3), exact.n_iter_ < 20
    (0.518, True)
    >>> trained = LLSRegressor(optimizer="Adam", lr=1.0, batch_size=32, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), trained).fit(X, y)
    >>> round(pipeline.score(X, y), 2)
    0.52
    """

    def __init__(
        self,
        *,
        alpha: float = 0.0,
        fit_intercept: bool = True,
        optimizer: Any = None,
        lr: float | None = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        tol: float | None = None,
        standardize: bool | None = None,
        average: bool | int = False,
        shuffle: str | None = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        scheduler: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.lr = lr
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.standardize = standardize
        self.average = average
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scheduler = scheduler
        self.warm_start = warm_start
        self.random_state = random_state

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "LLSRegressor":
        """Fit to all rows, anew or, with `warm_start`, from the last coefficients.

        Parameters
        ----------
        X : array_like, data frame or sparse matrix, shape (n, n_features)
            float32 stays float32, all else becomes float64.
        y : array_like, shape (n,) or (n, n_targets)
        sample_weight : array_like, shape (n,), optional
            s, at least 0 and not all zero; 1 by default.

        Returns
        -------
        LLSRegressor
            This one.

        Raises
        ------
        TypeError, ValueError
            If a parameter or argument does not fit.
        lls.DivergenceError
            If the loss grows past reason; lower `lr`.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` does not suffice for `tol`; without an `optimizer` also if
            columns depend on one another so nearly that half of the digits of
            coefficients may be wrong.
        """
        with unchanged_on_error(self):
            return self._fit("LLSRegressor.fit", X, y, sample_weight)

    def _fit(self, who: str, X: Any, y: Any, sample_weight: Any) -> "LLSRegressor":
        options = parameters.of_fit(who, self)
        exact = self.optimizer is None
        warm = self.warm_start and not exact and hasattr(self, "coef_")
        X, y = validated(who, self, X, y, reset=not warm)
        parameters.for_rows(who, options, *X.shape)
        if warm:
            options |= start(who, self, y)
        if not exact:
            options["seed"] = parameters.seed(who, self.random_state)
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        given = {"estimator": self, "X": X, "y": y, "metadata": metadata}
        context = self._init_callback_context(max_subtasks=options["epochs"])
        context.call_on_fit_task_begin(**given)
        tasks = EpochTasks(context, options["epochs"], given)
        tasks.begin()
        done = quietly(X, y, sample_weight, tasks, options)
        tasks.close()
        validation_loss = done.validation_loss
        self._note(
            Finished(done.optimizer),
            done.coef,
            done.intercept,
            n_updates_=done.n_updates,
            n_iter_=done.epochs,
            loss_curve_=done.loss.tolist(),
            validation_loss_curve_=(
                None if validation_loss is None else validation_loss.tolist()
            ),
        )
        context.call_on_fit_task_end(**given, reconstruction_attributes={})
        warn_of(who, done, options["tol"], exact=exact)
        return self

    @available_unless(parameters.why_no_partial_fit)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "LLSRegressor":
        """Go through these rows once, in the order in which they stand.

        The first call begins at the coefficients that `fit` found, or at zeros; later
        ones go on with the state of the optimizer and the scheduler. If a call fails,
        the model stays as it was.

        Parameters
        ----------
        X : array_like, data frame or sparse matrix, shape (n, n_features)
            Of the type that the first rows had, float32 or else float64.
        y : array_like, shape (n,) or (n, n_targets)
        sample_weight : array_like, shape (n,), optional

        Returns
        -------
        LLSRegressor
            This one.

        Raises
        ------
        AttributeError
            Without an `optimizer`, and with `standardize` or `early_stopping`.
        TypeError, ValueError
            If a parameter or argument does not fit, or parameters have been changed.
        lls.DivergenceError
            If the loss grows past reason.
        """
        with unchanged_on_error(self):
            return self._partial_fit("LLSRegressor.partial_fit", X, y, sample_weight)

    def _partial_fit(
        self, who: str, X: Any, y: Any, sample_weight: Any
    ) -> "LLSRegressor":
        X, y = validated(who, self, X, y, reset=not hasattr(self, "coef_"))
        online = getattr(self, ENGINE, None)
        losses = []
        if isinstance(online, Online):
            online.check_same(who, self)
            losses = self.loss_curve_
        else:
            online = Online(who, self, X, y)
        with online.unchanged_on_error():
            if online.go_through(X, y, sample_weight):
                losses = [*losses, online.trainer.loss]
            self._note(
                online,
                *online.trainer.solution,
                n_updates_=online.trainer.n_updates,
                n_iter_=len(losses),
                loss_curve_=losses,
                validation_loss_curve_=None,
            )
        return self

    def predict(self, X: Any) -> Array:
        """Return X W' + b.

        Parameters
        ----------
        X : array_like, data frame or sparse matrix, shape (n, n_features)

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)

        Raises
        ------
        NotFittedError
            Before `fit`.
        TypeError, ValueError
            If X does not fit.
        """
        check_is_fitted(self, "coef_")
        X = validated("LLSRegressor.predict", self, X, reset=False)
        found: Array = safe_sparse_dot(X, self.coef_.T, dense_output=True)
        found += self.intercept_
        return found

    @property
    def optimizer_(self) -> Optimizer:
        """As it stands after the last update."""
        optimizer: Optimizer = getattr(self, ENGINE).optimizer
        return optimizer

    def _note(self, engine: Any, coef: Array, intercept: Any, **others: Any) -> None:
        """Write all fitted attributes, at once."""
        self.__dict__.update({ENGINE: engine, **linear(coef, intercept), **others})

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
