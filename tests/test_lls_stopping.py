"""When a fit stops, at the boundaries: tol and patience, fractions, and bad values."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import gradstep as gs
from gradstep import lls
from gradstep.lls.data import block
from gradstep.lls.epochs import Patience
from gradstep.lls.guard import Guard
from gradstep.lls.model import Model
from gradstep.sklearn import LLSRegressor
from training import SGD, bits, problem

X, y = problem(60, 3)


def epochs(losses: list[float], tol: float | None, patience: int) -> int:
    """How many of these losses are seen."""
    watch = Patience(tol, patience)
    for k, loss in enumerate(losses, 1):
        watch.improves(loss)
        if watch.ended:
            return k
    return len(losses)


@pytest.mark.parametrize(
    ("losses", "tol", "patience", "seen"),
    [
        # A loss that is (1 - tol) times the least has not fallen below it.
        ([4.0, 3.0, 2.25, 1.6875, 1.0], 0.25, 1, 2),
        ([4.0, np.nextafter(3.0, 0), 2.25, 1.0, 1.0], 0.25, 1, 3),
        ([4.0, 2.0, 1.0, 0.5, 0.25], 0.5, 1, 2),
        ([4.0, 3.9, 1.9, 0.9, 0.4], 0.5, 2, 5),
        ([4.0, 2.0, 2.0, 0.9, 0.4], 0.5, 2, 3),
        # With tol 0 the same loss has not fallen; the next smaller double has.
        ([1.0, 1.0, 1.0], 0.0, 1, 2),
        ([1.0, np.nextafter(1.0, 0), 0.5], 0.0, 1, 3),
        ([1.0, 1.0, 1.0, 0.5, 0.5], 0.0, 3, 5),
        ([1.0, 1.0, 1.0, 1.0, 0.5], 0.0, 3, 4),
        # 0 cannot be undercut; neither can what is no number undercut anything.
        ([0.0, 0.0, 0.0], 0.0, 1, 2),
        ([1.0, math.nan, math.nan, 0.1], 0.0, 2, 3),
        ([math.inf, 1.0, 0.5], 0.0, 1, 1),
        ([1.0, 1.0, 1.0, 1.0], None, 1, 4),
        # The greatest tol that there is: any loss but 0 has not fallen.
        ([1.0, 1e-20, 0.0, 0.0], np.nextafter(1, 0), 1, 4),
    ],
)
def test_patience_at_equality(
    losses: list[float], tol: float | None, patience: int, seen: int
) -> None:
    assert epochs(losses, tol, patience) == seen


def test_the_best_is_the_first_of_equal_losses() -> None:
    watch = Patience(0.0, 5)
    assert [watch.improves(x) for x in (3.0, 2.0, 2.0, 2.5, 1.0)] == [
        *(True, True, False, False, True)
    ]


def test_a_loss_of_a_million_times_y_is_still_within_reason() -> None:
    rows = block("", np.ones((4, 1)), np.ones(4))
    every = np.arange(4)
    for loss, passes in ((1e6, True), (np.nextafter(1e6, 2e6), False)):
        guard = Guard(Model(1, None, np.float64))
        assert guard.passes(loss, guard.good, rows, every) == passes
    for loss in (math.nan, math.inf):
        assert not Guard(Model(1, None, np.float64)).passes(
            loss, guard.good, rows, every
        )


@pytest.mark.parametrize("o", [{}, {"optimizer": SGD}])
@pytest.mark.parametrize(
    ("tol", "error", "words"),
    [
        (1.0, ValueError, r"must be in \[0, 1\), as it is relative, got 1.0"),
        (2.0, ValueError, r"must be in \[0, 1\), as it is relative, got 2.0"),
        (1e300, ValueError, r"must be in \[0, 1\)"),
        (math.inf, ValueError, "must be finite and >= 0, got inf"),
        (math.nan, ValueError, "must be finite and >= 0, got nan"),
        (np.float32("inf"), ValueError, "must be finite and >= 0, got inf"),
        (10**400, ValueError, "must be finite and >= 0, got 1000"),
        (-1e-9, ValueError, "must be finite and >= 0, got -1e-09"),
        (-math.inf, ValueError, "must be finite and >= 0, got -inf"),
        (True, TypeError, "must be float, got bool"),
        ("", TypeError, "must be float, got str"),
        ([0.1], TypeError, "must be float, got list"),
    ],
)
def test_a_tol_outside_its_range_is_refused(
    tol: Any, error: Any, words: str, o: Any
) -> None:
    with pytest.raises(error, match=f"^fit: tol {words}"):
        lls.fit(X, y, tol=tol, **o)
    with pytest.raises(error, match=f"^LLSRegressor.fit: tol {words}"):
        LLSRegressor(tol=tol, **o).fit(X, y)


@pytest.mark.parametrize("o", [{}, {"optimizer": SGD, "reduction": "mean"}])
def test_the_ends_of_the_range_of_tol_are_taken(o: Any) -> None:
    least = 0.01 if not o else 0.0  # the default would warn that it ended before
    for tol in (least, np.float32(0.5), np.float64(least), np.nextafter(1, 0)):
        assert lls.fit(X, y, tol=tol, epochs=3, **o).epochs <= 3


@pytest.mark.parametrize("pair", [tuple, list])
@pytest.mark.parametrize("weight", [False, True])
def test_a_validation_set_is_a_list_as_well_as_a_tuple(pair: Any, weight: bool) -> None:
    held_out = problem(20, 3, seed=5)
    s = (np.linspace(0, 1, 20),) if weight else ()
    o: dict[str, Any] = {"optimizer": SGD, "epochs": 3}
    done = lls.fit(X, y, validation=pair((*held_out, *s)), **o)
    want = lls.fit(X, y, validation=(*held_out, *s), **o)
    assert bits(done) == bits(lls.fit(X, y, **o))
    assert done.validation_loss.tobytes() == want.validation_loss.tobytes()
    for bad in ((), (held_out[0],), (*held_out, *held_out)):
        with pytest.raises(
            TypeError, match=r"validation must be \(X, y\), .* a file or"
        ):
            lls.fit(X, y, validation=pair(bad), **o)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("bad", ["", "X.npy", True, np.True_, {}, np.ones(3), SGD])
def test_another_kind_of_validation_is_refused(bad: Any, kind: Any) -> None:
    with pytest.raises(
        TypeError, match=r"fit: validation must be a fraction, \(X, y\)"
    ):
        lls.fit(kind(X), y, optimizer=SGD, validation=bad)


@pytest.mark.parametrize("fraction", [1 / 120, np.nextafter(1 / 120, 1), 119 / 120])
def test_a_fraction_rounds_to_rows(fraction: float) -> None:
    """Half a row is none: it rounds to even, as Python does."""
    o: dict[str, Any] = {"optimizer": SGD, "epochs": 1}
    size = round(fraction * 60)
    if 0 < size < 60:
        assert lls.fit(X, y, validation=fraction, **o).epochs == 1
    else:
        with pytest.raises(ValueError, match="leaves rows on both sides"):
            lls.fit(X, y, validation=fraction, **o)


@pytest.mark.parametrize("name", ["shuffle", "reduction", "schedule_by"])
def test_an_empty_string_is_no_word(name: str) -> None:
    with pytest.raises(ValueError, match=f"fit: {name} must be .*, got ''"):
        lls.fit(X, y, optimizer=SGD, **{name: ""})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("batch_size", [1, 2**53, 2**70], [0, -1, 1.0, math.inf, -math.inf, "", [7]]),
        ("epochs", [0, 1], [-1, 1.5, math.inf, math.nan, "", [3]]),
        ("patience", [1, 2**53], [0, -1, 1.0, math.inf, ""]),
        ("callback_every", [1, 2**53], [0, -1, 0.5, math.inf, ""]),
        ("seed", [0, 2**53, 2**64 - 1], [-1, 2**64, 0.0, math.inf, "", None]),
        ("average", [0, 1, 2**53], [-1, 0.5, math.inf, "", None]),
        ("ridge", [0, 5e-324, 2**53], [-5e-324, -1, math.inf, -math.inf, math.nan, ""]),
    ],
)
def test_options_at_their_boundaries(name: str, good: Any, bad: Any) -> None:
    sgd = partial(gs.SGD, lr=1e-18)
    for value in good:
        o = {"epochs": 1, "callback": lambda _: None} | {name: value}
        assert np.isfinite(lls.fit(X, y, optimizer=sgd, **o).coef).all()
    for value in bad:
        with pytest.raises((TypeError, ValueError), match=f"^fit: {name} must be"):
            lls.fit(X, y, optimizer=sgd, **{name: value})
