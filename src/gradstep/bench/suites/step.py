"""One step of one large array: every rule, beside what memory allows and its peers."""

from collections.abc import Iterator

from gradstep.bench.row import Row
from gradstep.bench.rules import bytes_each, in_build, roofline
from gradstep.bench.steps import Shapes, computed_in, ours, traffic
from gradstep.bench.suites.job import Chosen, Job, beside_peers, job, sizes

MIXED = "bfloat16 gradients"

# Asked of steps of one pass in memory: the share of the roofline that they reach.
SHARE = 0.92
# Cube roots take longer than their bytes. Threads share memory, not arithmetic.
CUBE_ROOTS = ("madgrad", "madgrad_moving", "mirror_madgrad")
CUBE_ROOT = {1: 0.55}
CUBE_ROOT_SHARED = 0.85

# torch has a fused step for these; it is asked to take as long at least.
FUSED = ("adam", "adamw", "sgd_momentum", "adagrad")
FASTEST = "fastest peer"
# And of these the fastest peer so many times as long.
PEERED = ("adabelief", "madgrad", "adan", "rmsprop", "nadam", "schedulefree_adamw")
TIMES = 4.0

# Timed at all sizes and beside peers even by a quick run.
ALWAYS = ("adam", "adamw", "sgd_momentum", "adan", "schedulefree_adamw")


def step(chosen: Chosen) -> Iterator[Job]:
    """Return jobs: memory first, then peers, whose processes are then still unborn."""
    rules = tuple(chosen.rule(*in_build(two_pass=False), *in_build(two_pass=True)))
    for threads in (chosen.most,) if chosen.quick else chosen.threads:
        for size in ("DRAM", "L3", "L2"):
            for rule in rules:
                if not chosen.quick or size == "DRAM" or rule in ALWAYS:
                    yield beside_memory(chosen, rule, size, "float32", threads)
    if not chosen.quick:
        for size in ("DRAM", "L2"):
            for rule in rules:
                yield beside_memory(chosen, rule, size, "float64", chosen.most)
        for rule in rules:
            yield beside_float32(chosen, rule)
    for rule in rules:
        if not chosen.quick or rule in ALWAYS:
            yield in_memory(chosen, rule)


def beside_memory(chosen: Chosen, rule: str, size: str, word: str, threads: int) -> Job:
    """Time a rule beside the roofline."""
    n = sizes(threads, quick=chosen.quick)[size]
    dtype, shapes = computed_in(word), ((n,),)
    moved, least = bytes_each(rule, dtype), roofline(rule, dtype)[1]
    asked = {}
    if size == "DRAM" and word == "float32" and rule in in_build(two_pass=False):
        asked["traffic"] = share(rule, threads)
    return job(
        [ours(rule, shapes, word), traffic(rule, shapes, word)],
        chosen.effort(25, 0.6 if size == "DRAM" else 0.15),
        Row(
            suite="step",
            subject=rule,
            case=f"{size}, {word}",
            threads=threads,
            asked=asked,
            facts={"elements": n, "bytes": moved, "traffic bytes": least},
        ),
    )


def share(rule: str, threads: int) -> float:
    """Return what share of the roofline is asked of a rule."""
    if rule in CUBE_ROOTS:
        return CUBE_ROOT.get(threads, CUBE_ROOT_SHARED)
    return SHARE


def beside_float32(chosen: Chosen, rule: str) -> Job:
    """Time a rule with gradients in two bytes beside the same with four."""
    shapes: Shapes = ((sizes(chosen.most, quick=chosen.quick)["DRAM"],),)
    return job(
        [ours(rule, shapes, MIXED), ours(rule, shapes, "float32", "float32")],
        chosen.effort(25, 0.6),
        Row(
            suite="step",
            subject=rule,
            case=f"DRAM, {MIXED}",
            threads=chosen.most,
            facts={
                "elements": shapes[0][0],
                "bytes": bytes_each(rule, computed_in(MIXED)) - 2,
            },
        ),
    )


def in_memory(chosen: Chosen, rule: str) -> Job:
    """Time a rule beside its peers."""
    asked = {"torch fused": 1.0} if rule in FUSED else {}
    if rule in PEERED:
        asked[FASTEST] = TIMES
    return beside_peers(
        chosen,
        Row("step", rule, "DRAM, float32, peers", chosen.most, asked=asked),
        ((sizes(chosen.most, quick=chosen.quick)["DRAM"],),),
        chosen.effort(9, 2.0),
        slow=not chosen.quick,
    )
