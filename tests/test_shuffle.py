"""The order in which a fit visits rows: written again here, from its description."""

import functools
from typing import Any

import numpy as np
import pytest

import gradstep as gs
from gradstep import _rows, lls

MASK = 2**64 - 1
BLOCK_BYTES, MIXED = 65536, 4


def mix(x: int) -> int:
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


class Numbers:
    """splitmix64 from a state that is a hash of seed and epoch."""

    def __init__(self, seed: int, epoch: int) -> None:
        self.state = mix((mix(seed) + epoch) & MASK)

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return mix(self.state)

    def shuffle(self, rows: list[int]) -> list[int]:
        """Durstenfeld's: from the end, each with one at or before it."""
        for i in range(len(rows), 1, -1):
            j = self.next() * i >> 64
            rows[i - 1], rows[j] = rows[j], rows[i - 1]
        return rows

    def shuffle_group(self, rows: list[int]) -> list[int]:
        """The same by numbers of 32 bits, the upper half of one of 64 first."""
        halves: list[int] = []
        for i in range(len(rows), 1, -1):
            if not halves:
                halves = list(divmod(self.next(), 2**32))
            j = halves.pop(0) * i >> 32
            rows[i - 1], rows[j] = rows[j], rows[i - 1]
        return rows


def by_rows(seed: int, epoch: int, n: int) -> list[int]:
    return Numbers(seed, epoch).shuffle(list(range(n)))


def by_blocks(seed: int, epoch: int, n: int, block: int) -> list[int]:
    numbers = Numbers(seed, epoch)
    starts = numbers.shuffle(list(range(-(-n // block))))
    found: list[int] = []
    for at in range(0, len(starts), MIXED):
        group = [
            row
            for b in starts[at : at + MIXED]
            for row in range(b * block, min((b + 1) * block, n))
        ]
        found += numbers.shuffle_group(group)
    return found


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 999])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (1, 0), (2**64 - 1, 7)])
def test_rows_are_shuffled_as_described(n: int, seed: int, epoch: int) -> None:
    assert _rows.shuffled(seed, epoch, n, 8, False).tolist() == by_rows(seed, epoch, n)


@pytest.mark.parametrize("n", [0, 1, 3, 40, 41, 639, 640, 641, 3001])
@pytest.mark.parametrize("row_bytes", [800, 5000, 10**6, 0])
def test_blocks_are_shuffled_as_described(n: int, row_bytes: int) -> None:
    block = max(1, BLOCK_BYTES // max(1, row_bytes))
    found = _rows.shuffled(5, 3, n, row_bytes, True)
    assert found.tolist() == by_blocks(5, 3, n, block)
    assert sorted(found.tolist()) == list(range(n))


def test_every_order_is_as_likely() -> None:
    """Of 4 rows all 24, within five deviations, over epochs and over seeds."""
    for pairs in ((((7, e) for e in range(24000))), ((s, 7) for s in range(24000))):
        counts: dict[bytes, int] = {}
        for seed, epoch in pairs:
            key = _rows.shuffled(seed, epoch, 4, 8, False).tobytes()
            counts[key] = counts.get(key, 0) + 1
        assert len(counts) == 24
        assert all(abs(count - 1000) < 5 * 31 for count in counts.values())


def fit(X: Any, y: Any, **options: Any) -> lls.Fit:
    sgd = functools.partial(gs.SGD, lr=1e-3)
    return lls.fit(X, y, optimizer=sgd, batch_size=7, **options)


def test_a_fit_visits_rows_in_that_order() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 2048)), rng.standard_normal(90)
    for shuffle, blocks in (("rows", False), ("blocks", True), ("auto", False)):
        found = fit(X, y, epochs=3, shuffle=shuffle, seed=11)

        def order(epoch: int, blocks: bool = blocks) -> Any:
            return _rows.shuffled(11, epoch, 90, 2048 * 8, blocks)

        again = fit(X, y, epochs=3, order=order)
        assert found.coef.tobytes() == again.coef.tobytes()
        assert found.coef.tobytes() != fit(X, y, epochs=3, seed=12).coef.tobytes()
    as_they_stand = fit(X, y, epochs=3, shuffle=None)
    assert (
        as_they_stand.coef.tobytes()
        == fit(X, y, epochs=3, order=lambda _: np.arange(90)).coef.tobytes()
    )


def test_large_data_go_by_blocks() -> None:
    """By size alone, from 4 MiB."""
    for n, shuffle in ((511, "rows"), (512, "blocks")):
        X = np.random.default_rng(n).standard_normal((n, 1024))
        y = X[:, 0].copy()
        found = fit(X, y, epochs=1)
        assert (
            found.coef.tobytes() == fit(X, y, epochs=1, shuffle=shuffle).coef.tobytes()
        )


def test_blocks_converge_on_rows_in_the_order_of_their_targets() -> None:
    """Where rows as they stand lead the coefficients about."""
    rng = np.random.default_rng(1)
    n = 100_000
    X = np.c_[rng.standard_normal((n, 9)), np.ones(n)]
    y = X @ np.arange(10.0) + rng.standard_normal(n)
    order = np.argsort(y)
    X, y = X[order], y[order]
    exact = lls.solve(X, y).coef
    sgd = functools.partial(gs.SGD, lr=0.01)
    error = {}
    for shuffle in ("rows", "blocks", None):
        found = lls.fit(
            X,
            y,
            optimizer=sgd,
            batch_size=32,
            epochs=3,
            reduction="mean",
            shuffle=shuffle,
        )
        error[shuffle] = float(np.abs(found.coef - exact).max())
    assert error["rows"] < 0.1
    assert error["blocks"] < 0.3
    assert error[None] > 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"shuffle": "row"}, ValueError, "shuffle must be 'auto', 'rows', 'blocks' or"),
        ({"shuffle": True}, ValueError, "got True"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"seed": 2**64}, ValueError, "seed must be below"),
        ({"seed": 1.5}, TypeError, "seed must be int"),
    ],
)
def test_bad_arguments_are_named(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fit(np.ones((9, 2)), np.ones(9), epochs=1, **options)
