"""One case: all its contestants timed in turns, and what came out."""

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from gradstep.bench.apart import HERE, Absent, Contestant, Places
from gradstep.roofline import Clock, turns

Quartiles = tuple[float, float, float]

WARM_UP = 3  # calls: peers allocate their states in the first
SHORTEST = 4e-3  # seconds of one timing, far above what the clock resolves
FEWEST = 7  # rounds, below which quartiles say nothing
DISTURBED = 0.1  # CPUs that others used: measured once more
CROWDED = 0.3  # so many, and no ratio is told
SETTLED = 0.015  # seconds after which threads that wait by spinning have gone to sleep
WOKEN = 0.05  # seconds of a call that are many beside those that waking a thread takes
COARSE = 0.05  # seconds that the system's account of CPUs may be wrong by
FAR = 3.0  # a ratio that decides nothing more: not measured again for being loose
LOOSE = 0.25  # a ratio's quartiles are further apart than this part of it: not told

FRACTIONS = (0.25, 0.5, 0.75)


class Effort(NamedTuple):
    """How much time a case may take, if that is enough for a few rounds."""

    rounds: int
    seconds: float
    tries: int = 2  # where others disturb it


@dataclass
class Row:
    """What came out of a case; ratios are times over those of the first contestant.

    Times are in seconds; `others` is how many CPUs others kept busy meanwhile, `absent`
    says of contestants why they are not here, `asked` what ratios are asked of them.
    """

    suite: str
    subject: str
    case: str
    threads: int
    seconds: dict[str, Quartiles] = field(default_factory=dict)
    ratio: dict[str, Quartiles] = field(default_factory=dict)
    rounds: int = 0
    others: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)

    def told(self, name: str) -> float | None:
        """Return a contestant's ratio, or None if it is not here or too uncertain.

        Where others use a CPU, all contestants wait for them, and seem alike.
        """
        found = self.ratio.get(name)
        if found is None or not steady(found) or self.others > CROWDED:
            return None
        return found[1]

    def fastest(self, names: Sequence[str]) -> str | None:
        """Return the contestant of these that takes the least time."""
        here = [name for name in names if name in self.seconds]
        return min(here, key=lambda name: self.seconds[name][1], default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        """Return what `as_dict` gave."""
        row = cls(**found)
        row.seconds = {name: _three(t) for name, t in row.seconds.items()}
        row.ratio = {name: _three(t) for name, t in row.ratio.items()}
        return row


def _three(values: Sequence[float]) -> Quartiles:
    low, middle, high = values
    return low, middle, high


def steady(ratio: Quartiles) -> bool:
    """Return whether a ratio is certain enough to be told."""
    low, middle, high = ratio
    return high - low <= LOOSE * middle


def quartiles(values: Any) -> Quartiles:
    """Return the quartiles, to five digits."""
    low, middle, high = (float(f"{x:.5g}") for x in np.quantile(values, FRACTIONS))
    return low, middle, high


def measure(
    row: Row, contestants: Sequence[Contestant], places: Places, effort: Effort
) -> Row:
    """Fill a row with times, those of the quietest try, if others disturbed one."""
    clocks: dict[str, Clock] = {}
    absent: dict[str, str] = {}
    several = any(contestant.home != HERE for contestant in contestants)
    for contestant in contestants:
        try:
            made = places.make(contestant, row.threads)
            made(WARM_UP)
            clocks[contestant.name] = _settling(made) if several else made
        except Absent as why:
            absent[contestant.name] = str(why)
    tries: list[Row] = []
    while clocks and len(tries) < effort.tries and (not tries or _disturbed(tries[-1])):
        times, others = _in_turns(clocks, places, effort)
        ours = np.array(next(iter(times.values())))
        found = replace(
            row,
            seconds={name: quartiles(t) for name, t in times.items()},
            ratio={name: quartiles(np.array(t) / ours) for name, t in times.items()},
            rounds=len(ours),
            others=round(others, 3),
        )
        tries.append(found)
    places.drop()
    quietest = min(tries, key=_noise, default=row)
    alone = len(quietest.ratio) < 2
    return replace(quietest, absent=absent, asked={} if alone else row.asked)


def _settling(timed: Clock) -> Clock:
    """Return a clock that leaves the CPUs idle, and wakes them before it times.

    libgomp's threads go on spinning for milliseconds after a step. Whoever in another
    process had the next turn would wait for them: a clipped step took twice as long
    behind torch's. But a thread that has slept may be woken on the CPU of the one that
    now spins for it, and gets its share of that after 7 ms.
    """
    last = 0.0

    def settled(repeat: int) -> float:
        nonlocal last
        if last < WOKEN:
            timed(1)
        last = timed(repeat)
        time.sleep(SETTLED)
        return last

    return settled


def _disturbed(row: Row) -> bool:
    near = (ratio for ratio in row.ratio.values() if ratio[1] < FAR)
    return row.others > DISTURBED or not all(map(steady, near))


def _noise(row: Row) -> tuple[int, float]:
    loose = sum(not steady(ratio) for ratio in row.ratio.values())
    return loose, row.others


def _in_turns(
    clocks: Mapping[str, Clock], places: Places, effort: Effort
) -> tuple[dict[str, list[float]], float]:
    """Return times, and how many CPUs others used meanwhile."""
    repeat = {name: _repeats(timed) for name, timed in clocks.items()}
    start = time.perf_counter()
    for name, n in repeat.items():
        clocks[name](n)
    one_round = time.perf_counter() - start  # with pauses, and calls that only warm up
    rounds = max(FEWEST, min(effort.rounds, int(effort.seconds / one_round)))
    start, before = time.perf_counter(), _elsewhere(places)
    times = turns(clocks, repeat, rounds=rounds)
    used = _elsewhere(places) - before - COARSE
    return times, max(0.0, used) / (time.perf_counter() - start)


def _repeats(timed: Clock) -> int:
    """Return how many calls make a timing long enough."""
    repeat = 1
    while (seconds := timed(repeat) * repeat) < SHORTEST:
        # At most twice as many as seem enough: the first calls find cold caches.
        repeat *= min(16, max(2, math.ceil(SHORTEST / max(seconds, 1e-9))))
    return repeat


def _elsewhere(places: Places) -> float:
    """Return the seconds of CPU that others have used since the machine started."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _, _, _, _, stolen, *_ = map(int, line.split()[1:])
    busy = (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK")
    return busy - places.seconds()
