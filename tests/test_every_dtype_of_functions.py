"""Numbers of every dtype for minimizers, schedules, options, surfaces and files.

Each is taken as the same numbers in float64 are, or refused by name.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
import scipy.optimize

import gradstep as gs
from every_dtype import DTYPES, Role, bytes_of, filled, is_real
from gradstep import analysis, schedules, testfunctions
from gradstep.lr_scheduler import ReduceLROnPlateau
from gradstep.plot import arguments

Array: TypeAlias = Any
METHOD = gs.minimize(gs.Adam, lr=0.1)


def minimum(
    x0: Any = (2.0, 1.0),
    fun: Any = lambda x: float(x @ x),
    jac: Any = lambda x: 2 * x,
    **more: Any,
) -> Any:
    found = scipy.optimize.minimize(
        fun, x0, jac=jac, method=METHOD, options={"maxiter": 3}, **more
    )
    return found.x.tobytes(), found.x.dtype.str, float(found.fun)


def scalar_of(use: Callable[[Any], Any]) -> Callable[[Array], Any]:
    return lambda a: use(a[0])


def lr_of(value: Any) -> float:
    opt = gs.SGD(np.ones(2), lr=0.5)
    opt.lr = value
    opt.step(np.ones(2))
    return float(opt.param_groups[0]["lr"])


def plateau(value: Any) -> Any:
    scheduler = ReduceLROnPlateau(gs.SGD(np.ones(2), lr=0.5))
    scheduler.step(value)
    return scheduler.best


def role(
    argument: str,
    call: Callable[[Array], Any],
    shape: tuple[int, ...],
    exact: Callable[[Any], bool] = is_real,
    **more: Any,
) -> Role:
    return Role(argument, lambda: (call, lambda: None), shape, exact, **more)


def is_no_bool(dtype: Any) -> bool:
    return is_real(dtype) and dtype.kind != "b"


def float32_stays(dtype: Any) -> Any:
    is_float32 = dtype.kind == "f" and dtype.itemsize == 4
    return np.float32 if is_float32 else np.float64


def bounds_of(a: Array) -> Any:
    return scipy.optimize.Bounds(a, np.full(2, 3.0))


ROLES = {
    "minimize x0": role("minimize: x0", minimum, (2,), plain=float32_stays),
    "minimize jac": role("minimize: jac", lambda a: minimum(jac=lambda _: a), (2,)),
    "minimize fun": role(
        "minimize: fun", lambda a: minimum(fun=lambda _: a, jac=lambda x: x), (1,)
    ),
    "minimize fun 0-d": role(
        "minimize: fun",
        scalar_of(lambda x: minimum(fun=lambda _: x, jac=lambda x: x)),
        (1,),
    ),
    "minimize pairs": role(
        "bounds",
        lambda a: minimum(bounds=[(None, x) for x in a]),
        (2,),
        numbers=(2, 1),
    ),
    "check_gradient x": role(
        "analysis.check_gradient: x",
        lambda a: analysis.check_gradient(
            lambda x: float(x @ x), lambda x: 2 * x, a
        ).numeric.tobytes(),
        (2,),
    ),
    "check_gradient grad": role(
        "what grad returns",
        lambda a: (
            analysis.check_gradient(
                lambda x: float(x @ x), lambda _: a, [1.0, 2.0]
            ).error
        ),
        (2,),
    ),
    "classify_critical_point": role(
        "hessian",
        lambda a: analysis.classify_critical_point(a).eigenvalues.tobytes(),
        (2, 2),
        numbers=(1, 0, 0, 1),
    ),
    "is_convex_on_samples": role(
        "low",
        lambda a: str(
            analysis.is_convex_on_samples(lambda x: x[0] ** 4, a, [7.0, 8.0], n=9)
        ),
        (2,),
    ),
    "testfunctions": role(
        "testfunctions.Beale: x", lambda a: testfunctions.beale(a).tobytes(), (2, 3)
    ),
    "schedule": role(
        "t must be numbers",
        lambda a: schedules.Exponential(0.9)(a).tobytes(),
        (5,),
        is_no_bool,
    ),
    "plot": role("losses", lambda a: arguments.numbers("losses", a).tobytes(), (5,)),
    "lr": role("lr must be", scalar_of(lr_of), (1,), is_no_bool),
    "plateau": role("metric", scalar_of(plateau), (1,), is_no_bool),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning:scipy")
@pytest.mark.parametrize("name", ROLES)
def test_every_dtype_is_exact_or_refused(name: str) -> None:
    assert not ROLES[name].failures()


class Kept:
    """What a file may hold: an object with a state."""

    def __init__(self, a: Any = None) -> None:
        self.a = a

    def state_dict(self) -> dict[str, Any]:
        return {"a": self.a}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.a = state["a"]


def test_files_hold_an_array_as_it_is_or_refuse_it(tmp_path: Any) -> None:
    path = tmp_path / "kept.safetensors"
    stored = {"F16", "F32", "F64", "bfloat16", "bool"}
    stored |= {f"{k}{8 * n}" for k in "iu" for n in (1, 2, 4, 8)} - {"i8", "i16"}
    for name, dtype in DTYPES.items():
        a = filled(dtype, (3, 4), (1, 2, 0, 1))
        word = f"{dtype.kind}{8 * dtype.itemsize}".replace("f", "F")
        is_bfloat16 = name in ("bfloat16", "ml bfloat16")
        if not is_bfloat16 and (word not in stored | {"b8"} or not is_real(dtype)):
            with pytest.raises(TypeError, match=r"save: .*which no file holds"):
                gs.save(path, Kept(a))
            assert not path.exists(), name
            continue
        gs.save(path, Kept(a))
        again = Kept()
        gs.load(path, again)
        expected = gs.bfloat16 if is_bfloat16 else a.dtype.newbyteorder("=")
        assert (again.a.dtype, again.a.shape) == (expected, a.shape), name
        same = a.view(expected) if is_bfloat16 else a.astype(expected)
        assert bytes_of(again.a) == bytes_of(same), name
        path.unlink()


def test_a_mask_is_no_part_of_a_file(tmp_path: Any) -> None:
    a = np.ma.masked_equal(np.arange(3.0), 1)
    with pytest.raises(TypeError, match=r"save: .* is a masked array"):
        gs.save(tmp_path / "masked.safetensors", Kept(a))
