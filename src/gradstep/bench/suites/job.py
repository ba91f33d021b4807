"""What suites are made of: what was chosen, jobs, and sizes for this machine."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from gradstep.bench import machine
from gradstep.bench.apart import Contestant, Places
from gradstep.bench.peers import peers
from gradstep.bench.row import Effort, Row, measure
from gradstep.bench.rules import bytes_each
from gradstep.bench.steps import Shapes, computed_in, elements, ours

# Bytes of an element's parameter, gradient and three states in float32: of most rules
# more than they need, so what is meant for a cache fits.
EACH = 20


class Chosen(NamedTuple):
    """What the command line asks for; `rules` is None for all."""

    quick: bool
    rules: tuple[str, ...] | None
    packages: tuple[str, ...]
    threads: tuple[int, ...]

    def rule(self, *names: str) -> Iterator[str]:
        """Return those of these rules that were chosen."""
        return (name for name in names if self.rules is None or name in self.rules)

    @property
    def most(self) -> int:
        """The largest number of threads."""
        return max(self.threads)

    def peer(self, package: str, contestant: Contestant) -> Sequence[Contestant]:
        """Return the contestant, or nothing if its package was not chosen."""
        return [contestant] if package in self.packages else []

    def effort(self, rounds: int, seconds: float) -> Effort:
        """Return how much time a case may take: a quarter of it if quick."""
        if self.quick:
            return Effort(min(rounds, 9), seconds / 4, tries=1)
        return Effort(rounds, seconds)


class Job(NamedTuple):
    """A case to measure, and what to call it meanwhile."""

    title: str
    run: Callable[[Places], Row]


def job(contestants: Sequence[Contestant], effort: Effort, row: Row) -> Job:
    """Return a job that times these contestants, the first of them ours."""

    def run(places: Places) -> Row:
        return measure(row, contestants, places, effort)

    return Job(f"{row.suite}: {row.subject}, {row.case}, {row.threads} threads", run)


def beside_peers(
    chosen: Chosen, row: Row, shapes: Shapes, effort: Effort, *, slow: bool
) -> Job:
    """Return a job that times a rule, the row's subject, beside its peers."""
    row.facts |= {
        "elements": elements(shapes),
        "tensors": len(shapes),
        "bytes": bytes_each(row.subject, computed_in("float32")),
    }
    others = peers(row.subject, shapes, row.threads, chosen.packages, slow=slow)
    return job([ours(row.subject, shapes, "float32"), *others], effort, row)


def sizes(threads: int, *, quick: bool) -> dict[str, int]:
    """Return how many elements are of each size, by name."""
    large = 1 << ((2 if quick else 4) * machine.cache(3) // EACH).bit_length()
    if not quick:
        large = max(large, 1 << 24)
    while large * EACH * 8 > machine.memory():  # as many contestants may be here
        large >>= 1
    return {
        "L2": _below(threads * machine.cache(2) // 2),
        "L3": _below(machine.cache(3) // 4),
        # No power of two. NumPy's next array of 2^24 is 64 MiB and a page away, where
        # on a Zen 3 a step by SGD took 1.15 times as long as 65 MiB away.
        "DRAM": large + large // 16,
    }


def _below(cache: int) -> int:
    return 1 << ((cache // EACH).bit_length() - 1)
