"""Exact least squares: what is refused, and in which words."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from gradstep import lls
from least_squares import WAYS, Array, cut, problem

NAN = float("nan")
X, y, s = problem(20, 3, None)


def bad(a: Array, value: float, at: int = 7) -> Array:
    a = a.copy()
    a.flat[at] = value
    return a


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "X 1-d": ({"X": y}, ValueError, "X must have shape (N, L), got (20,)"),
    "X complex": ({"X": X + 0j}, TypeError, "X must hold real numbers, got complex128"),
    "X nan": ({"X": bad(X, NAN)}, ValueError, "X must be finite"),
    "y inf": ({"y": bad(y, np.inf)}, ValueError, "y must be finite"),
    "y long": ({"y": y[:5]}, ValueError, "X has 20 rows, y has 5"),
    "y 3-d": ({"y": np.ones((20, 1, 1))}, ValueError, "(N,) or (N, K), got (20, 1, 1)"),
    "y str": ({"y": ["1"] * 20}, TypeError, "y must hold real numbers, got <U1"),
    "weight -1": (
        {"sample_weight": bad(s, -1.5)},
        ValueError,
        "sample_weight must be finite and at least 0, got -1.5 for row 7; leave",
    ),
    "weight nan": (
        {"sample_weight": bad(s, NAN)},
        ValueError,
        "sample_weight must be finite and at least 0, got nan for row 7",
    ),
    "weight 2-d": (
        {"sample_weight": X},
        ValueError,
        "sample_weight must have shape (20,), one weight for each row of X, got (20",
    ),
    "weight str": (
        {"sample_weight": ["a"] * 20},
        TypeError,
        "sample_weight must hold real numbers",
    ),
    "weight 0": (
        {"sample_weight": 0 * s},
        ValueError,
        "sample_weight must be above 0 for at least one row, got 0 for all 20 rows",
    ),
    "ridge -1": ({"ridge": -1.0}, ValueError, "ridge must be in [0, inf), got -1.0"),
    "ridge nan": ({"ridge": NAN}, ValueError, "ridge must be in [0, inf), got nan"),
    "ridge inf": ({"ridge": np.inf}, ValueError, "ridge must be in [0, inf), got inf"),
    "ridge str": ({"ridge": "1"}, TypeError, "ridge must be a real number, got str"),
    "intercept": ({"intercept": 1}, TypeError, "intercept must be bool, got int"),
    "method": (
        {"method": "lu"},
        ValueError,
        "method must be 'svd', 'qr', 'normal', 'cg' or None, got 'lu'",
    ),
    "method []": ({"method": []}, ValueError, "method must be 'svd', 'qr'"),
    "rcond 1": ({"rcond": 1.0}, ValueError, "rcond must be in [0, 1), got 1.0"),
    "rcond": ({"rcond": -1e-9}, ValueError, "rcond must be in [0, 1), got -1e-09"),
}


@pytest.mark.parametrize(("method", "kind"), WAYS)
@pytest.mark.parametrize("case", REFUSED)
def test_arguments_are_refused(method: str, kind: str, case: str) -> None:
    changes, exc, words = REFUSED[case]
    o: dict[str, Any] = {"X": X, "y": y, "sample_weight": s, "method": method} | changes
    where = "solve: "
    if kind == "blocks":
        given = [o.pop(name) for name in ("X", "y", "sample_weight")]
        one = any(name in changes for name in ("X", "y", "sample_weight"))
        o["X"] = [tuple(given)] if one else cut([4, 9], *given)
        if one and case != "weight 0":
            where += "block 0: "
    elif kind == "sparse":
        o["X"] = scipy.sparse.coo_array(o["X"])
    with pytest.raises(exc, match="^" + re.escape(where)) as info:
        lls.solve(o.pop("X"), **o)
    assert words in str(info.value)


OTHERS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no y": (
        lambda: lls.solve(X),
        TypeError,
        "iterable of blocks .* got ndarray; pass",
    ),
    "no y, sparse": (
        lambda: lls.solve(scipy.sparse.csr_array(X)),
        TypeError,
        "got csr_array; pass y",
    ),
    "no y, coo": (
        lambda: lls.solve(scipy.sparse.coo_array(X)),
        TypeError,
        "got coo_array; pass y",
    ),
    "dict": (lambda: lls.solve({"X": X}), TypeError, "got dict"),
    "int": (lambda: lls.solve(3), TypeError, "got int"),
    "str": (lambda: lls.solve("rows.npy"), TypeError, "got str"),
    "weights apart": (
        lambda: lls.solve([(X, y)], sample_weight=s),
        TypeError,
        "sample_weight must be None without y; in blocks it is the third",
    ),
    "y apart": (
        lambda: lls.solve(iter([(X, y)]), y),
        TypeError,
        "y must be None with blocks or a file.*list_iterator",
    ),
    "no blocks": (
        lambda: lls.solve([]),
        ValueError,
        "yielded no blocks.*build it anew",
    ),
    "alone": (lambda: lls.solve([X]), TypeError, r"block 0 must be a tuple \(X, y\)"),
    "single": (lambda: lls.solve([(X,)]), TypeError, "block 0 must be .*tuple of 1"),
    "columns": (
        lambda: lls.solve([(X, y), (X[:, :2], y)]),
        ValueError,
        "block 1 has X of 2 columns, block 0 has X of 3 columns; all blocks must",
    ),
    "targets": (
        lambda: lls.solve([(X, y), (X, y), (X, y[:, None])]),
        ValueError,
        r"block 2 has y of shape \(n, 1\), block 0 has y of shape \(n,\)",
    ),
    "types": (
        lambda: lls.solve([(X, y), (X.astype("f4"), y)]),
        ValueError,
        "block 1 has X of type float32, block 0 has X of type float64",
    ),
    "weights": (
        lambda: lls.solve([(X, y, s), (X, y)]),
        ValueError,
        "block 1 has no sample_weight, block 0 has sample_weight",
    ),
    "later nan": (
        lambda: lls.solve([(X, y), (bad(X, NAN), y)]),
        ValueError,
        "block 1: X must be finite",
    ),
    "later weight": (
        lambda: lls.solve([(X, y, s), (X, y, -s)]),
        ValueError,
        "block 1: sample_weight must be finite and at least 0",
    ),
    "blocks cg": (
        lambda: lls.solve([(X, y)], method="cg"),
        ValueError,
        "method 'cg' does not take blocks: .*pass method='qr'",
    ),
    "sparse svd": (
        lambda: lls.solve(scipy.sparse.csr_array(X), y, method="svd"),
        ValueError,
        r"method 'svd' does not take sparse X: pass method='cg', or X.toarray\(\)",
    ),
    "sparse normal": (
        lambda: lls.solve(scipy.sparse.csr_array((20, 5000)), y, method="normal"),
        ValueError,
        "'normal' takes sparse X of at most 4096 columns, got 5000; pass method='cg'",
    ),
    "rcond cg": (
        lambda: lls.solve(X, y, method="cg", rcond=1e-9),
        ValueError,
        "rcond must be None with method='cg', .*got 1e-09",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_does_not_go_together_is_refused(case: str) -> None:
    call, exc, words = OTHERS[case]
    with pytest.raises(exc, match="^solve: .*" + words):
        call()


@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo"])
@pytest.mark.parametrize("index", [-1, 10**6])
def test_sparse_indices_out_of_range_are_refused(form: str, index: int) -> None:
    given = scipy.sparse.coo_array(X).asformat(form)
    if form == "coo":
        given.coords[1][3] = index
    else:
        given.indices[0] = index
    with pytest.raises(ValueError, match=r"^solve: X is no valid sparse array: .*ind"):
        lls.solve(given, y)
    given = scipy.sparse.csr_array(X)
    given.indptr[5] = 10**6
    with pytest.raises(
        ValueError, match=r"^solve: X is no valid sparse array: .*indptr"
    ):
        lls.solve(given, y)
