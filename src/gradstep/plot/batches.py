"""Least squares by batches of several sizes: the way of the coefficients."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradstep import lls
from gradstep.plot import contours, styles
from gradstep.plot.arguments import Floats, count, finite, texts
from gradstep.plot.contours import Contours
from gradstep.plot.objective import Bounds, bounds_of

_SIZE = (7.2, 5.8)


class LLSPaths(NamedTuple):
    """What `lls_paths` drew.

    Attributes
    ----------
    contours : Contours
    lines : list of Line2D
        For each batch size the coefficients after every update.
    exact : Line2D
        The least-squares solution.
    coefs : list of ndarray, shape (updates + 1, 2)
        The coefficients, from the zeros at which all begin.
    """

    contours: Contours
    lines: list[Line2D]
    exact: Line2D
    coefs: list[Floats]


def lls_paths(
    X: npt.ArrayLike | None = None,
    y: npt.ArrayLike | None = None,
    batch_sizes: Sequence[int] | None = None,
    *,
    optimizer: Callable[[Any], Any] | Sequence[Callable[[Any], Any]],
    epochs: int = 10,
    seed: int = 0,
    names: Sequence[str] | None = None,
    bounds: Any = None,
    ax: Axes | None = None,
) -> LLSPaths:
    r"""Draw how batches of several sizes lead to the least-squares solution.

    Contours are those of the mean squared residual over the two coefficients,

    .. math:: f(w) = \frac{1}{N} \lVert X w - y \rVert^2

    and the paths those of `gradstep.lls.fit` with ``reduction="mean"``: a batch B gives
    the gradient :math:`\frac{2}{|B|} X_B^\top (X_B w - y_B)`. All rows at once give the
    gradient of f, and its path crosses contours at right angles; fewer give it only on
    average.

    Parameters
    ----------
    X : array_like, shape (N, 2), optional
    y : array_like, shape (N,) or (N, 1), optional
        By default both are `gradstep.datasets.wdbc`, each column standardised to mean
        0 and standard deviation 1.
    batch_sizes : sequence of int, optional
        In [1, N], at least one; by default N, 32 and 1.
    optimizer : callable, or sequence of callable
        Takes the coefficients and returns a gradstep optimizer of them, such as
        ``functools.partial(gs.SGD, lr=0.01)``; one for all sizes, or one for each.
    epochs : int, default 10
        At least 1.
    seed : int, default 0
        Of the order of rows, in [0, 2**64).
    names : sequence of two str, optional
        Of the coefficients.
    bounds : ((low, high), (low, high)), optional
        Ranges of the two coefficients to draw; by default all paths are seen whole.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    LLSPaths
        The artists, and the coefficients after every update.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit; the message names it.

    Notes
    -----
    A fit that diverges ends where `gradstep.lls.fit` refuses to go on, and its label
    says so.

    Examples
    --------
    >>> import functools, gradstep as gs, gradstep.plot
    >>> sgd = functools.partial(gs.SGD, lr=0.01)
    >>> drawn = gs.plot.lls_paths(optimizer=sgd, epochs=2)
    >>> [line.get_label() for line in drawn.lines]
    ['batch of 569, 2 updates', 'batch of 32, 36 updates', 'batch of 1, 1138 updates']
    """
    who = "plot.lls_paths"
    Xa, ya = _data(who, X, y)
    sizes = _sizes(who, batch_sizes, len(Xa))
    factories = _factories(who, optimizer, len(sizes))
    epochs, seed = count(who, "epochs", epochs), count(who, "seed", seed, 0)
    labels: tuple[str, ...] = ("w1", "w2")
    if names is not None:
        labels = texts(f"{who}: names", names, 2, "('w of radius', 'w of area')")
    fits = [
        _updates(Xa, ya, size, factory, epochs, seed)
        for size, factory in zip(sizes, factories, strict=True)
    ]
    best = np.asarray(lls.solve(Xa, ya).coef, np.float64).reshape(2)
    if bounds is None:
        frame = _frame(np.concatenate([*(coefs for coefs, _ in fits), best[None]]))
    else:
        frame = bounds_of(who, None, bounds)
    figure, axes = styles.axes(who, ax, _SIZE)
    ground = _bowl(axes, Xa, ya, best, frame)
    lines = [
        _line(axes, k, size, *fit)
        for k, (size, fit) in enumerate(zip(sizes, fits, strict=True))
    ]
    exact = _exact(axes, best)
    axes.set(xlim=frame[0], ylim=frame[1], xlabel=labels[0], ylabel=labels[1])
    styles.legend(figure, axes, [*lines, exact])
    return LLSPaths(ground, lines, exact, [coefs for coefs, _ in fits])


def _data(who: str, X: Any, y: Any) -> tuple[Floats, Floats]:
    if (X is None) != (y is None):
        missing = "X" if X is None else "y"
        raise TypeError(f"{who}: {missing} is missing; pass both X and y, or neither")
    if X is None:
        from gradstep.datasets import wdbc  # noqa: PLC0415  # read from a file

        X, y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
    Xa, ya = finite(f"{who}: X", X), finite(f"{who}: y", y)
    if Xa.ndim != 2 or Xa.shape[1] != 2 or not len(Xa):
        raise ValueError(
            f"{who}: X must have shape (N, 2), N at least 1, got {Xa.shape}; choose "
            "two features, as X[:, [0, 3]]"
        )
    if ya.shape not in ((len(Xa),), (len(Xa), 1)):
        raise ValueError(
            f"{who}: y must have shape ({len(Xa)},) or ({len(Xa)}, 1), as X has "
            f"{len(Xa)} rows, got {ya.shape}"
        )
    with np.errstate(over="ignore"):
        squares = float((Xa**2).sum())
    if not 0 < squares < np.inf:
        raise ValueError(
            f"{who}: the squares of X add up to {squares}, which gives no contours; "
            "scale the features"
        )
    return Xa, ya.reshape(-1)


def _sizes(who: str, given: Any, rows: int) -> list[int]:
    if given is None:
        return list(dict.fromkeys([rows, min(32, rows), 1]))
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise TypeError(
            f"{who}: batch_sizes must be a sequence of int, at least one, such as "
            f"(569, 32, 1), got {given!r}"
        )
    found = [count(who, f"batch_sizes[{k}]", size) for k, size in enumerate(given)]
    for k, size in enumerate(found):
        if size > rows:
            raise ValueError(
                f"{who}: batch_sizes[{k}] must be at most the {rows} rows of X, got "
                f"{size}"
            )
    return found


def _factories(who: str, optimizer: Any, sizes: int) -> list[Any]:
    found = [optimizer] * sizes
    if isinstance(optimizer, Sequence) and not isinstance(optimizer, str):
        found = list(optimizer)
        if len(found) != sizes:
            raise ValueError(
                f"{who}: optimizer has {len(found)} entries, expected one, or one for "
                f"each of {sizes} batch sizes"
            )
    for factory in found:
        if not callable(factory):
            raise TypeError(
                f"{who}: optimizer must be callable, such as functools.partial("
                f"gradstep.SGD, lr=0.01), got {type(factory).__name__}"
            )
    return found


def _updates(
    X: Floats, y: Floats, size: int, factory: Any, epochs: int, seed: int
) -> tuple[Floats, int | None]:
    """Return the coefficients after every update, and the last one if it diverged."""
    seen = {0: np.zeros(2)}  # an epoch's end is told again after its last update

    def keep(at: lls.Progress) -> None:
        seen[at.update] = np.array(at.coef)

    try:
        lls.fit(
            X,
            y,
            optimizer=factory,
            batch_size=size,
            epochs=epochs,
            reduction="mean",
            seed=seed,
            callback=keep,
            callback_every=1,
        )
    except lls.DivergenceError:
        return np.stack(list(seen.values())), max(seen) + 1
    return np.stack(list(seen.values())), None


def _frame(points: Floats) -> Bounds:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-12 + 0.1 * np.abs(high))
    (a0, b0), (a1, b1) = (low - margin).tolist(), (high + margin).tolist()
    return (a0, a1), (b0, b1)


def _bowl(ax: Axes, X: Floats, y: Floats, best: Floats, frame: Bounds) -> Contours:
    """Draw the contours of the mean squared residual, from its three moments."""
    curvature = X.T @ X / len(X)
    least = float(((X @ best - y) ** 2).mean())
    axes = (np.linspace(low, high, 241) for low, high in frame)
    w = np.stack(np.meshgrid(*axes))
    off = w - best[:, None, None]
    z = np.einsum("iab,ij,jab->ab", off, curvature, off) + least
    return contours.draw(ax, (w[0], w[1], z), contours.levels(z, least))


def _line(ax: Axes, k: int, size: int, coefs: Floats, diverged: int | None) -> Line2D:
    n = len(coefs) - 1
    label = f"batch of {size}, {n} update{'s' if n != 1 else ''}"
    if diverged is not None:
        label = f"batch of {size}, diverged at update {diverged}"
    many = n > 200
    style = styles.look(k) | ({"linewidth": 0.8, "linestyle": "-"} if many else {})
    (line,) = ax.plot(
        *coefs.T,
        label=label,
        markevery=styles.spaced(n + 1, k),
        zorder=3 - k / 10,
        **style,
    )
    return line


def _exact(ax: Axes, best: Floats) -> Line2D:
    (drawn,) = ax.plot(
        *best[:, None],
        linestyle="None",
        marker="*",
        markersize=13,
        markerfacecolor="white",
        markeredgecolor="black",
        markeredgewidth=1.2,
        label="exact solution",
        zorder=4,
    )
    return drawn
