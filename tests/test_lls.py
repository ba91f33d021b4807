"""Least squares by mini-batches, end to end."""

from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest

import gradstep as gs
from gradstep import lls
from gradstep.datasets import wdbc

Array: TypeAlias = Any
f4, f8, NAN = np.float32, np.float64, float("nan")
# The tutorial's cells 6 and 7: w before batches 0 and 50 of each epoch, w at the end.
TUTORIAL = """
0. 0. 0.4391737 0.41735388 0.45621431 0.43296123 0.50458588 0.46953377 0.50659246
0.46976394 0.51664408 0.46913792 0.51715596 0.46786206 0.52339741 0.46367398 0.52374047
0.4622501 0.5295512 0.45779193 0.52985556 0.456353 0.53556725 0.45194588 0.53584598
0.45050492 0.54149192 0.44617918 0.54174661 0.44473749 0.54733087 0.44049501 0.54756198
0.43905271 0.55308576 0.43489257 0.55329364 0.43344969 0.55875783 0.42937075 0.55894282
0.42792729
"""
MEAN: dict[str, Any] = {"lr": 0.003, "weight_decay": 0.12}
HEAVY = partial(gs.SGD, momentum=0.8, **MEAN)
OPTIMIZERS = {
    name: partial(cls, **{k: v for k, v in MEAN.items() if k in cls.options})
    for name, cls in gs.OPTIMIZERS.items()
} | {
    "momentum": partial(HEAVY, dampening=0.3),
    "nesterov": partial(HEAVY, nesterov=True),
    "velocity": partial(HEAVY, form="velocity"),
    "amsgrad": partial(gs.Adam, amsgrad=True, maximize=True, **MEAN),
}


def problem(n: int, m: int, k: int | None, dtype: Any = f8) -> tuple[Array, Array]:
    rng = np.random.default_rng(n + m)
    X, noise = rng.standard_normal((n, m)), rng.standard_normal((n, k or 1))
    y = X @ rng.standard_normal((m, k or 1)) + noise
    return X.astype(dtype), (y if k else y[:, 0]).astype(dtype)


def fit_by(X: Array, y: Array, **changes: Any) -> lls.Fit:
    arguments = {
        "optimizer": partial(gs.SGD, lr=0.01),
        "batch_size": 6,
        "epochs": 3,
        "shuffle": None,
    }
    return lls.fit(X, y, **{"shuffle": None} | arguments | changes)


fit = fit_by


def by_hand(X: Array, y: Array, rows: list[Array], **o: Any) -> Array:
    """Return what `fit` should, by a loop in float64 over the `rows` of each epoch."""
    X, y, size = X.astype(f8), y.astype(f8), o.get("batch_size", 6)
    w = np.zeros(X.shape[1:] + y.shape[1:]) + o.get("coef0", 0)
    opt = o.get("optimizer", partial(gs.SGD, lr=0.01))(w)
    batches = [e[i : i + size] for e in rows for i in range(0, len(e), size)]
    for at in batches:
        residual = X[at] @ w - y[at]
        scale = len(at) if o.get("reduction") == "mean" else 1
        opt.step(2 / scale * X[at].T @ residual)
    return opt.results()[0]


def test_the_tutorials_trace() -> None:
    X, y = ((a - a.mean(axis=0)) / a.std(axis=0) for a in wdbc())
    seen: list[tuple[int, int, Array]] = []
    done = fit(
        *(X, y),
        optimizer=partial(gs.SGD, lr=0.001),
        batch_size=10,
        epochs=10,
        order=lambda _: np.random.RandomState(0).permutation(569),
        callback=lambda at: seen.append((at.epoch, at.update, at.coef)),
        callback_every=50,
    )
    # 56 batches of 10 and one of 9 in each epoch.
    assert [at[:2] for at in seen] == [
        (epoch, 57 * epoch + k) for epoch in range(10) for k in (50, 57)
    ]
    trace = np.array([np.zeros((2, 1))] + [w for *_, w in seen])
    assert trace.round(8).ravel().tolist() == [float(x) for x in TUTORIAL.split()]
    assert (done.n_updates, done.epochs, done.coef.shape) == (570, 10, (2, 1))


def test_update_counts() -> None:
    for batch, updates in ((100, 10), (1, 1000), (10, 100)):
        done = fit(np.ones((100, 1)), np.ones(100), batch_size=batch, epochs=10)
        assert (done.n_updates, done.epochs) == (updates, 10)
        assert done.optimizer.state[0]["step"] == updates
    for size in (np.int64(101), 2**63 - 1, 10**30):
        assert fit(np.ones((100, 1)), np.ones(100), batch_size=size).n_updates == 3


@pytest.mark.parametrize(
    ("name", "m"),
    [(name, 5) for name in OPTIMIZERS] + [("SGD", m) for m in (1, 2, 3, 4, 16, 19)],
)
@pytest.mark.parametrize("k", [None, 1, 3])
@pytest.mark.parametrize("dtype", [f4, f8])
def test_fit_is_the_loop(name: str, k: int | None, dtype: Any, m: int) -> None:
    X, y = problem(67, m, k, dtype)
    rows = [np.random.default_rng(e).permutation(67) for e in range(4)]
    for reduction in ("sum", "mean"):
        o = {"optimizer": OPTIMIZERS[name], "batch_size": 9, "reduction": reduction}
        o["coef0"] = np.linspace(-1, 1, m * (k or 1)).reshape((m, k) if k else m)
        done = fit(X, y, epochs=4, order=rows.__getitem__, **o)
        want = by_hand(X, y, rows, **o)
        error = np.abs(done.coef - want).max() / np.abs(want).max()
        assert error < (1e-12 if dtype is f8 else 1e-4), (reduction, error)
        assert (done.coef.dtype, done.coef.shape) == (dtype, want.shape)
        assert done.optimizer.state[0]["step"] == 4 * 8
        assert done.optimizer.results()[0].tobytes() == done.coef.tobytes()


def test_rows_may_come_back_or_not_at_all() -> None:
    X, y = problem(50, 3, 2)
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 50, size) for size in (137, 0, 1, 50)]
    kinds = (list, np.asarray, lambda r: r.astype("u1"), lambda r: r.astype(">i4"))
    done = fit(X, y, epochs=4, order=lambda e: kinds[e](rows[e]))
    np.testing.assert_allclose(done.coef, by_hand(X, y, rows), rtol=1e-12)
    assert done.n_updates == 23 + 0 + 1 + 9


def test_layout_and_type_of_the_data_do_not_matter() -> None:
    X, y = (np.round(a * 8) for a in problem(20, 3, 2))
    fit = partial(fit_by, optimizer=partial(gs.SGD, lr=1e-4))
    kept, want = X.tobytes(), fit(X, y).coef.tobytes()
    wide = np.zeros((40, 6))
    wide[::2, 1:4] = X
    raw = np.frombuffer(b"+" + X.tobytes(), "u1")[1:]
    types = [X.astype(t) for t in ("i8", "i1", ">f8", "f2", "g")]
    odd = [raw.view(f8).reshape(20, 3), wide[::2, 1:4], X.copy("F"), X.tolist()]
    for X2 in types + odd:
        for y2 in (y, y.copy("F"), y.astype("i2"), y.astype(f4), y.tolist()):
            assert fit(X2, y2).coef.tobytes() == want
    assert fit(X, y, order=lambda _: np.arange(20)).coef.tobytes() == want
    assert X.tobytes() == kept


def test_callback() -> None:
    X, y = problem(20, 3, None)
    seen: list[tuple[int, int]] = []

    def callback(at: lls.Progress) -> str:
        seen.append((at.epoch, at.update))
        return "stop" if seen[-1] == (1, 7) else ""

    done = fit(X, y, callback=callback)
    assert done.coef.tobytes() == fit(X, y).coef.tobytes()
    done = fit(X, y, callback=callback, callback_every=3)
    assert (done.n_updates, done.epochs) == (7, 2)
    assert seen == [(0, 4), (1, 8), (2, 12), (0, 3), (0, 4), (1, 7)]
    want = by_hand(X, y, [np.arange(20), np.arange(18)])
    np.testing.assert_allclose(done.coef, want, rtol=1e-12)


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_to_do(n: int) -> None:
    X, y = problem(n, 3, 2)
    coef0 = np.arange(6.0).reshape(3, 2)
    done = fit(X, y, coef0=coef0, epochs=0 if n else 3)
    assert (done.coef.tolist(), done.n_updates) == (coef0.tolist(), 0)
    assert not np.shares_memory(done.coef, coef0)
    assert fit(np.ones((4, 0)), np.ones(4)).coef.shape == (0,)
    assert fit(X, np.ones((n, 0))).coef.shape == (3, 0)


DATA: dict[str, tuple[Any, ...]] = {
    "X 1-d": ({"X": np.ones(20)}, ValueError, r"X must have shape \(N, L\), got \(20,"),
    "X complex": ({"X": np.ones((20, 3), "c8")}, TypeError, "X .*complex64"),
    "X ragged": ({"X": [[1.0], [1.0, 2.0]]}, ValueError, r"\bX\b"),
    "X masked": ({"X": np.ma.masked_all((20, 3))}, TypeError, "X .*[Mm]ask"),
    "y length": ({"y": np.ones(5)}, ValueError, "X has 20 rows, y has 5"),
    "y 3-d": ({"y": np.ones((20, 1, 1))}, ValueError, r"\(N, K\), got \(20, 1, 1\)"),
    "y str": ({"y": ["1"] * 20}, TypeError, "y must hold real numbers"),
    "y masked": ({"y": np.ma.masked_all(20)}, TypeError, "y .*[Mm]ask"),
}
AHEAD = partial(HEAVY, form="velocity", nesterov=True)
FAR = r"the loss grew to .*, where y has .*, after \d+ updates: "
FIT: dict[str, tuple[Any, ...]] = {
    "batch 0": ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
    "epochs": ({"epochs": -1}, ValueError, "epochs must be >= 0, got -1"),
    "reduction": ({"reduction": "avg"}, ValueError, "'sum' or 'mean', got 'avg'"),
    "callback": ({"callback": 3}, TypeError, "callback .*3|callback .*int"),
    "coef0": ({"coef0": np.ones((3, 1))}, ValueError, r"coef0 .*\(3, 1\).*\(3,\)"),
    "coef0 c": ({"coef0": np.ones(3, "c8")}, TypeError, "coef0 .*complex64"),
    "coef0 str": ({"coef0": ["1"] * 3}, TypeError, "coef0 must hold real numbers"),
    "coef0 nan": ({"coef0": [1, NAN, 2]}, (ValueError, FloatingPointError), "coef0"),
    "order 20": ({"order": lambda _: [0, 20]}, ValueError, r"rows in \[0, 20\), .*20"),
    "order -1": ({"order": lambda _: [0, -1]}, ValueError, r"rows in \[0, 20\), .*-1"),
    "order []": ({"order": np.arange(20)}, TypeError, "order must .*ndarray"),
    "optimizer": ({"optimizer": 3}, TypeError, "optimizer must .*partial"),
    # `fit` does not know of the point ahead where the gradient would belong.
    "ahead": ({"optimizer": AHEAD}, ValueError, "lookahead.*use .*nesterov"),
    "other": ({"optimizer": lambda w: gs.SGD(w.copy())}, TypeError, "optimizer must"),
    "lr nan": ({"optimizer": partial(gs.SGD, lr=NAN)}, ValueError, "SGD: lr .*nan"),
    "lr 10": (
        {"optimizer": partial(gs.SGD, lr=10.0), "epochs": 500},
        lls.DivergenceError,
        FAR
        + "lr is 10, and gradient descent is stable up to about 0.0[0-9]+ .*lower lr",
    ),
    "y nan": (
        {"y": np.full(20, NAN)},
        lls.DivergenceError,
        "X or y holds NaN or infinity: y is nan in row 0; remove such rows",
    ),
}


@pytest.mark.parametrize("case", DATA | FIT)
def test_bad_input(case: str) -> None:
    X, y = problem(20, 3, None)
    changes, exc, words = (DATA | FIT)[case]
    with pytest.raises(exc, match=words) as info:
        fit(**{"X": X, "y": y} | changes)
    assert case == "lr nan" or str(info.value).startswith("fit: ")


def test_an_optimizer_that_does_more_than_its_rule_is_refused() -> None:
    X, y = problem(20, 3, None)
    sgd = partial(gs.SGD, lr=1e-3)
    for optimizer in (
        partial(gs.SAM, base=sgd),
        partial(gs.ScheduleFree, base=sgd),
        partial(gs.Adan, restart_radius=0.5),
    ):
        with pytest.raises(ValueError, match="does more in a step than fit can"):
            fit(X, y, optimizer=optimizer)
