"""Arrays of every dtype as rows, targets, weights, indices and starts of least squares.

Each is taken as the same numbers in float64 or float32 are, or refused by name.
"""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.sparse as sp

import gradstep as gs
from every_dtype import DTYPES, Role, is_float, is_integer, is_real
from gradstep import dtypes, lls
from gradstep.sklearn import LLSRegressor

Array: TypeAlias = Any
N, L = 12, 3
SGD = functools.partial(gs.SGD, lr=1e-3)
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, L))
Y = X @ [1.0, -2.0, 0.5] + RNG.standard_normal(N)
FITS: dict[str, dict[str, Any]] = {
    "exact": {},
    "batches": {"optimizer": SGD, "batch_size": 5, "epochs": 2},
}
MODEL = LLSRegressor().fit(X, Y)
pytestmark = [
    pytest.mark.filterwarnings("ignore::gradstep.lls.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning"),
]


def bits(found: Any) -> Any:
    """Return the bytes of coefficients and intercept."""
    return found.coef.tobytes(), np.asarray(found.intercept).tobytes()


def role(
    argument: str,
    call: Callable[[Array], Any],
    shape: tuple[int, ...] = (N,),
    exact: Callable[[Any], bool] = is_real,
    **more: Any,
) -> Role:
    """Return a role in a function that keeps nothing."""
    return Role(argument, lambda: (call, lambda: None), shape, exact, **more)


def of_rows(argument: str, call: Callable[[Array], Any]) -> Role:
    """X, of which float32 stays float32."""
    plain = dtypes.float32_or_float64
    return role(argument, call, (N, L), plain=plain)


def intercept_of(fit: dict[str, Any], **more: Any) -> dict[str, Any]:
    return fit | {"intercept": True, "intercept0": 0.5} | more


def all_of_fit() -> dict[str, Role]:
    found = {}
    for key, o in FITS.items():
        for dtype in ("f8", "f4"):
            A = X.astype(dtype)
            fit = functools.partial(lls.fit, **o)
            name = f"fit {key} {dtype}"
            found |= {
                f"{name} y": role("fit: y", lambda a, A=A, fit=fit: bits(fit(A, a))),
                f"{name} weight": role(
                    "fit: sample_weight",
                    lambda a, A=A, fit=fit: bits(fit(A, Y, sample_weight=a)),
                ),
                f"{name} coef0": role(
                    "fit: coef0",
                    lambda a, A=A, fit=fit: bits(fit(A, Y, coef0=a)),
                    (L,),
                ),
                f"{name} intercept0": role(
                    "fit: intercept0",
                    lambda a, A=A, fit=fit: bits(
                        fit(A, Y, intercept=True, intercept0=a)
                    ),
                    (1,),
                ),
                f"{name} chunk y": role(
                    "fit: chunk 0: y", lambda a, A=A, fit=fit: bits(fit([(A, a)]))
                ),
                f"{name} chunk weight": role(
                    "fit: chunk 0: sample_weight",
                    lambda a, A=A, fit=fit: bits(fit([(A, Y, a)])),
                ),
            }
        fit = functools.partial(lls.fit, **o)
        found |= {
            f"fit {key} X": of_rows("fit: X", lambda a, fit=fit: bits(fit(a, Y))),
            f"fit {key} chunk X": of_rows(
                "fit: chunk 0: X", lambda a, fit=fit: bits(fit([(a, Y)]))
            ),
        }
    batches = FITS["batches"]
    checked = {
        "X": lambda a: (a, Y),
        "y": lambda a: (X, a),
        "sample_weight": lambda a: (X, Y, a),
    }
    for name, make in checked.items():
        found[f"validation {name}"] = role(
            f"fit: (validation: {name}|validation has dtype)",
            lambda a, make=make: lls.fit(
                X, Y, validation=make(a), **batches
            ).validation_loss.tobytes(),
            (N, L) if name == "X" else (N,),
            # X of float32 is no validation of a float64 fit.
            lambda d, name=name: is_real(d) and (name != "X" or d != np.float32),
            plain=dtypes.float32_or_float64 if name == "X" else lambda _: np.float64,
        )
    found["order"] = role(
        "fit: order",
        lambda a: bits(lls.fit(X, Y, order=lambda _: a, **batches)),
        exact=is_integer,
        plain=lambda _: np.int64,
    )
    return found


def by_solve(method: str | None, blocks: bool) -> dict[str, Role]:
    def solve(A: Array, y: Array, weight: Array = None) -> Any:
        if blocks:
            rows = (A, y) if weight is None else (A, y, weight)
            return bits(lls.solve([rows], method=method))
        return bits(lls.solve(A, y, sample_weight=weight, method=method))

    name = f"solve {method}{' blocks' if blocks else ''}"
    where = "solve: block 0: " if blocks else "solve: "
    # Cholesky refuses what has no full rank, whatever its dtype.
    rows = of_rows(f"{where}X|depend on each other", lambda a: solve(a, Y))
    return {
        f"{name} X": rows if method != "normal" else replaced(rows),
        f"{name} y": role(f"{where}y", lambda a: solve(X, a)),
        f"{name} weight": role(
            f"{where}sample_weight|depend on each other",
            lambda a: solve(X, Y, a),
            exact=lambda d: is_real(d) and d != np.bool_,
        ),
    }


def replaced(rows: Role) -> Role:
    return Role(
        rows.argument, rows.start, rows.shape, lambda _: False, plain=rows.plain
    )


def of_trainer() -> dict[str, Role]:
    def trained(a: Any = X, y: Any = Y, weight: Any = None, **o: Any) -> Any:
        given = {"optimizer": SGD, "batch_size": 5} | o
        return bits(lls.Trainer(L, **given).partial_fit(a, y, weight))

    who = "Trainer.partial_fit: "
    found = {
        "Trainer y": role(f"{who}y", lambda a: trained(y=a)),
        "Trainer weight": role(f"{who}sample_weight", lambda a: trained(weight=a)),
        "Trainer coef0": role("Trainer: coef0", lambda a: trained(coef0=a), (L,)),
        "Trainer intercept0": role(
            "Trainer: intercept0",
            lambda a: trained(intercept=True, intercept0=a),
            (1,),
        ),
    }
    for dtype in ("f8", "f4"):
        rows = of_rows(
            f"{who}(X|the rows have dtype)",
            lambda a, dtype=dtype: trained(a, dtype=dtype),
        )
        single = dtype == "f4"
        found[f"Trainer {dtype} X"] = Role(
            rows.argument,
            rows.start,
            rows.shape,
            lambda d, single=single: is_real(d) and (d == np.float32) == single,
            plain=lambda _, dtype=dtype: dtype,
        )
        for name, shape in (("coef", (L,)), ("offset", (1,)), ("total", (L + 1,))):
            kept = np.dtype("f8" if name == "total" else dtype)
            found[f"Trainer {dtype} saved {name}"] = Role(
                f"Trainer.load_state_dict: {name}",
                functools.partial(saved_trainer, name, dtype),
                shape,
                lambda d, kept=kept: d == kept,
                only=True,
                plain=lambda _, kept=kept: kept,
            )
    return found


def saved_trainer(name: str, dtype: str) -> Any:
    """Return a load of a state with one array of another dtype."""
    trainer = lls.Trainer(
        L, optimizer=SGD, dtype=dtype, batch_size=5, intercept=True, average=True
    )
    trainer.partial_fit(X.astype(dtype), Y)

    def image() -> Any:
        saved = trainer.state_dict()
        return bits(trainer), saved["n_updates"], saved["total"].tobytes()

    def call(a: Array) -> Any:
        trainer.load_state_dict(trainer.state_dict() | {name: a})
        trainer.partial_fit(X.astype(dtype), Y)
        return image()

    return call, image


def of_estimator() -> dict[str, Role]:
    def fitted(a: Any = X, y: Any = Y, weight: Any = None, **o: Any) -> Any:
        model = LLSRegressor(**o).fit(a, y, weight)
        return model.coef_.tobytes(), model.predict(a).tobytes()

    def went_on(a: Any = X, y: Any = Y, weight: Any = None) -> Any:
        model = LLSRegressor(optimizer="SGD", lr=1e-3).partial_fit(a, y, weight)
        return model.coef_.tobytes()

    anything = ""  # scikit-learn has messages of its own
    return {
        "LLSRegressor X": of_rows(anything, fitted),
        "LLSRegressor y": role(anything, lambda a: fitted(y=a)),
        "LLSRegressor weight": role("sample_weight", lambda a: fitted(weight=a)),
        "LLSRegressor online X": of_rows(anything, went_on),
        "LLSRegressor online y": role(anything, lambda a: went_on(y=a)),
        "LLSRegressor online weight": role(
            "sample_weight", lambda a: went_on(weight=a)
        ),
        "LLSRegressor predict X": role(
            anything,
            lambda a: MODEL.predict(a).tobytes(),
            (N, L),
            plain=dtypes.float32_or_float64,
        ),
    }


class File:
    """A `Source` whose `read` returns one array of a dtype that it did not announce."""

    def __init__(self, dtype: str, **other: Array) -> None:
        self.shape, self.targets, self.dtype = (N, L), None, np.dtype(dtype)
        self.weighted, self.extents = True, other.pop("extents", None)
        self.rows = {"X": X.astype(dtype), "y": Y.astype(dtype), "weight": np.ones(N)}
        self.rows |= other

    def buffers(self, _: int) -> Any:
        return None

    def read(self, _spans: Any, _into: Any) -> Any:
        return SimpleNamespace(**self.rows)


def of_files() -> dict[str, Role]:
    doors: dict[str, Callable[[Any], Any]] = {
        "solve": lambda f: bits(lls.solve(f)),
        **{f"fit {k}": lambda f, o=o: bits(lls.fit(f, **o)) for k, o in FITS.items()},
    }
    found = {}
    for dtype in ("f8", "f4"):
        for door, use in doors.items():
            for name in ("X", "y", "weight"):
                kept = np.dtype("f8" if name == "weight" else dtype)
                found[f"{door} {dtype} Source {name}"] = role(
                    f"File.read gave {name}",
                    lambda a, use=use, dtype=dtype, name=name: use(
                        File(dtype, **{name: a})
                    ),
                    (N, L) if name == "X" else (N,),
                    lambda d, kept=kept: d == kept,
                    only=True,
                    plain=lambda _, kept=kept: kept,
                )
    for door, use in doors.items():
        found[f"{door} Source extents"] = role(
            r"File\.extents",
            lambda a, use=use: use(File("f8", extents=a)),
            (2,),
            exact=is_integer,
            plain=lambda _: np.int64,
            numbers=(0, N),
        )
    return found


# ---- sparse matrices -----------------------------------------------------------------

S = sp.csr_array(np.where(np.abs(X) < 0.4, 0.0, X))
FORMATS = ("csr", "csc", "bsr", "coo", "dia")
PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


def matrix(form: str, part: str, a: Array) -> Any:
    """Return a matrix one of whose arrays is the same in another dtype."""
    found = S.copy().asformat(form)
    old = getattr(found, part)
    new = np.empty(old.shape, a.dtype)
    if part == "data" or a.dtype.kind not in "iufb":
        new[...] = np.resize(a, old.shape)
    else:
        new[...] = old.astype(a.dtype)
    if part in ("row", "col"):
        coords = list(found.coords)
        coords[part == "col"] = new
        found.coords = tuple(coords)
    else:
        setattr(found, part, new)
    return found


def of_sparse() -> dict[str, Role]:
    doors: dict[str, Callable[[Any], Any]] = {
        "fit": lambda A: bits(lls.fit(A, Y, **FITS["batches"])),
        "solve": lambda A: bits(lls.solve(A, Y)),
        "predict": lambda A: MODEL.predict(A).tobytes(),
    }
    found = {}
    for form, parts in PARTS.items():
        for part in parts:
            for door, use in doors.items():
                of_values = part == "data"
                found[f"{door} {form} {part}"] = role(
                    "X",
                    lambda a, use=use, form=form, part=part: use(matrix(form, part, a)),
                    exact=is_real if of_values else is_signed,
                    plain=dtypes.float32_or_float64
                    if of_values
                    else lambda _: np.int64,
                )
    return found


def is_signed(dtype: Any) -> bool:
    return is_integer(dtype) and dtype.kind == "i"


ROLES = {
    **all_of_fit(),
    **{
        key: found
        for method in ("svd", "qr", "normal", "cg")
        for blocks in (False, True)
        if not (method == "cg" and blocks)
        for key, found in by_solve(method, blocks).items()
    },
    **of_trainer(),
    **of_estimator(),
    **of_files(),
    **of_sparse(),
    "max_stable_lr X": of_rows("max_stable_lr: X", lls.max_stable_lr),
    "max_stable_lr weight": role(
        "max_stable_lr: sample_weight",
        lambda a: lls.max_stable_lr(X, sample_weight=a),
    ),
}


@pytest.mark.parametrize("name", ROLES)
def test_every_dtype_is_exact_or_refused(name: str) -> None:
    assert not ROLES[name].failures()


def test_files_in_memory_are_read_exactly_or_refused(tmp_path: Any) -> None:
    path = tmp_path / "X.npy"
    np.save(path, X)
    for key, o in (("y", {"y": None}), ("sample_weight", {"y": Y})):
        found = role(
            f"NpyFile: {key}",
            lambda a, key=key, o=o: bits(
                lls.fit(lls.NpyFile(path, **(o | {key: a})), **FITS["batches"])
            ),
        )
        assert not found.failures(), key


def test_trainers_are_of_float32_or_float64() -> None:
    for dtype in DTYPES.values():
        if is_float(dtype):
            assert lls.Trainer(2, optimizer=SGD, dtype=dtype).dtype == dtype
        else:
            with pytest.raises(TypeError, match="Trainer: dtype must be float32 or"):
                lls.Trainer(2, optimizer=SGD, dtype=dtype)
    with pytest.raises(TypeError, match=r"Trainer: dtype must be float32 .* None"):
        lls.Trainer(2, optimizer=SGD, dtype=None)
