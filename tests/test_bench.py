"""How the benchmark times its contestants, here and in processes of their own."""

import functools
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

import gradstep as gs
from bench_contestants import (
    one_that_counts,
    one_that_ends_its_process,
    one_that_fails,
    one_that_lacks,
    one_that_looks_at,
)
from gradstep.bench import row as rows
from gradstep.bench import rules, steps
from gradstep.bench.apart import Absent, Contestant, Places
from gradstep.bench.row import Effort, Row, measure
from gradstep.roofline import clock, turns

EFFORT = Effort(rounds=7, seconds=0.01, tries=1)


def told(*contestants: Contestant, places: Places) -> Row:
    return measure(Row("s", "a", "c", 1), contestants, places, EFFORT)


def test_turns_begin_with_another_each_round_and_leave_out_the_first() -> None:
    asked: list[tuple[str, int]] = []

    def scripted(name: str) -> Callable[[int], float]:
        def timed(repeat: int) -> float:
            asked.append((name, repeat))
            return float(len(asked))

        return timed

    clocks = {name: scripted(name) for name in "ab"}
    times = turns(clocks, {"a": 5, "b": 2}, rounds=2)
    a, b = ("a", 5), ("b", 2)
    assert asked == [a, b, b, a, a, b]
    assert times == {"a": [4.0, 5.0], "b": [3.0, 6.0]}


def test_a_clock_counts_the_calls_that_it_times_and_warms_up_by_half_as_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[None] = []
    ticks = iter((10.0, 16.0))
    monkeypatch.setattr("gradstep.roofline.time.perf_counter", lambda: next(ticks))
    assert clock(lambda: calls.append(None))(4) == 1.5
    assert len(calls) == 6


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1e-3, [1, 5, 1, 5]), (1.0, [1, 5, 5])]
)
def test_behind_another_process_a_short_call_is_woken_first(
    seconds: float, expected: list[int]
) -> None:
    asked: list[int] = []

    def timed(repeat: int) -> float:
        asked.append(repeat)
        return seconds

    settled = rows._settling(timed)
    assert [settled(5), settled(5)] == [seconds, seconds]
    assert asked == expected


def test_an_effort_is_the_time_that_passes_with_what_is_not_timed() -> None:
    def timed(repeat: int) -> float:
        time.sleep(0.02)
        return 0.005

    with Places() as places:
        effort = Effort(rounds=100, seconds=0.2)
        times, _ = rows._in_turns({"a": timed}, places, effort)
    assert rows.FEWEST <= len(times["a"]) <= 10


def test_ratios_are_taken_within_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine gets slower all the time, both contestants alike.
    drifting = {"gradstep": [1.0, 2.0, 4.0, 8.0], "peer": [3.0, 6.0, 12.0, 24.0]}
    monkeypatch.setattr(rows, "_in_turns", lambda *_: (drifting, 0.0))
    with Places() as places:
        row = told(
            Contestant("gradstep", one_that_counts),
            Contestant("peer", one_that_counts),
            places=places,
        )
    assert row.ratio["peer"] == (3.0, 3.0, 3.0)
    assert row.seconds["gradstep"] == (1.75, 3.0, 5.0)
    assert row.told("peer") == 3.0


@pytest.mark.parametrize(
    ("ratio", "others", "expected"),
    [
        ((1.9, 2.0, 2.4), 0.0, 2.0),
        ((1.7, 2.0, 2.3), 0.0, None),
        ((1.9, 2.0, 2.1), 0.2, 2.0),
        ((1.9, 2.0, 2.1), 0.4, None),
    ],
)
def test_a_ratio_that_is_uncertain_is_not_told(
    ratio: tuple[float, float, float], others: float, expected: float | None
) -> None:
    row = Row("s", "a", "c", 1, {}, {"peer": ratio}, others=others)
    assert row.told("peer") == expected
    assert row.told("another") is None


def test_what_others_disturb_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter((0.9, 0.0, 0.5))
    times = {"gradstep": [1.0, 1.0], "peer": [2.0, 2.0]}
    monkeypatch.setattr(rows, "_in_turns", lambda *_: (times, next(busy)))
    contestants = [Contestant(name, one_that_counts) for name in times]
    with Places() as places:
        effort = Effort(7, 0.01, tries=3)
        row = measure(Row("s", "a", "c", 1), contestants, places, effort)
    assert row.others == 0.0
    assert next(busy) == 0.5


@pytest.mark.parametrize(("loose", "tries"), [(1.0, 3), (20.0, 1)])
def test_a_loose_ratio_is_measured_again_only_if_it_is_near(
    monkeypatch: pytest.MonkeyPatch, loose: float, tries: int
) -> None:
    times = {"gradstep": [1.0, 1.0], "peer": [loose, 2 * loose]}
    turned: list[None] = []
    monkeypatch.setattr(
        rows, "_in_turns", lambda *_: turned.append(None) or (times, 0.0)
    )
    contestants = [Contestant(name, one_that_counts) for name in times]
    with Places() as places:
        effort = Effort(7, 0.01, tries=3)
        row = measure(Row("s", "a", "c", 1), contestants, places, effort)
    assert len(turned) == tries
    assert row.told("peer") is None


def test_contestants_are_timed_in_processes_of_their_own() -> None:
    before = dict(os.environ)
    look = functools.partial(one_that_looks_at, "OMP_NUM_THREADS", "1")
    with Places() as places:
        row = told(
            Contestant("gradstep", one_that_counts),
            Contestant("apart", one_that_counts, "a home"),
            Contestant("looks", look, "a home"),
            Contestant("lacks", functools.partial(one_that_lacks, "rule"), "a home"),
            places=places,
        )
    assert dict(os.environ) == before
    assert list(row.seconds) == ["gradstep", "apart", "looks"]
    assert row.rounds == 7
    assert row.absent == {"lacks": "LookupError: no rule here"}


def test_a_peer_that_fails_or_dies_is_absent_and_others_go_on() -> None:
    with Places() as places:
        row = told(
            Contestant("gradstep", one_that_counts),
            Contestant("fails", one_that_fails, "a home"),
            Contestant("dies", one_that_ends_its_process, "another"),
            places=places,
        )
        assert list(row.seconds) == ["gradstep"]
        assert row.absent["fails"] == "ZeroDivisionError: division by zero"
        assert "its process has ended" in row.absent["dies"]
        again = Contestant("again", one_that_counts, "another")
        assert list(told(again, places=places).seconds) == ["again"]


def test_what_a_peer_lacks_is_told_in_one_line() -> None:
    with Places() as places, pytest.raises(Absent, match=r"^LookupError: no x here$"):
        places.make(Contestant("x", functools.partial(one_that_lacks, "x")), 1)


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_every_rule_is_stepped_by_an_optimizer_of_its_own(rule: str) -> None:
    w = np.ones(5, np.float32)
    opt = rules.optimizer(rule, w)
    assert opt.rule(opt.param_groups[0]) == rule
    steps.step_gradstep(rule, ((3,), (2, 2)), "float32")()


def test_every_rule_of_the_build_can_be_timed() -> None:
    build = {*rules.in_build(two_pass=False), *rules.in_build(two_pass=True)}
    assert build == set(rules.RULES)


@pytest.mark.parametrize("word", steps.STORAGES)
def test_contents_are_those_of_the_storage(word: str) -> None:
    shapes = ((7,), (3, 2), (0,))
    params, grads = steps.contents(shapes, word)
    assert [a.shape for a in params] == [a.shape for a in grads] == list(shapes)
    storage = steps.STORAGES[word]
    for kind, arrays in ((storage.params, params), (storage.grads, grads)):
        expected = gs.bfloat16 if kind == "bf16" else np.dtype(kind)
        assert all(a.dtype == expected for a in arrays)
    assert params[0].tobytes() != grads[0].tobytes()


def test_contents_longer_than_what_is_drawn_repeat_it_in_memory_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "BLOCK", 4)
    steps._drawn.cache_clear()
    params, _ = steps.contents(((10,), (3,)), "float32")
    steps._drawn.cache_clear()
    assert np.array_equal(params[0][:4], params[0][4:8])
    assert np.array_equal(params[0][8:], params[0][:2])
    assert all(a.base is None or a.base.size == a.size for a in params)


@pytest.mark.parametrize("write", [steps.adam_textbook, steps.adam_in_place])
def test_adam_in_numpy_is_adam(
    write: Callable[[np.ndarray, np.ndarray], Callable[[], None]],
) -> None:
    rng = np.random.default_rng(1)
    p, g = rng.standard_normal((2, 50))
    q = p.copy()
    step, opt = write(p, g), rules.optimizer("adam", q)
    for _ in range(5):
        step()
        opt.step(g)
    # Both round every operation of float64 once, in another order.
    assert np.allclose(p, q, rtol=1e-13, atol=1e-15)
    assert not np.allclose(p, rng.standard_normal(50))
