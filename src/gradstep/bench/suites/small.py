"""What a call costs: one small array, a thousand of them, and models' parameters."""

import itertools
from collections.abc import Iterator

from gradstep.bench import machine
from gradstep.bench.row import Row
from gradstep.bench.steps import Shapes, elements
from gradstep.bench.suites.job import Chosen, Job, beside_peers
from gradstep.bench.suites.step import FASTEST, PEERED

SIXTEEN = 16  # bytes of an element with two states in float32
AT_ONCE = 6  # contestants that have them, at most

# Asked of AdamW: how many times gradstep's time the others take.
ASKED: dict[str, dict[str, float]] = {
    "1": {"torch fused": 15.0},
    "1000": {"torch fused": 15.0},
    "1000 x 1000": {"torch fused": 10.0},
    "ResNet-18": {"torch fused": 1.1, "torch foreach": 4.0},
    "GPT-2 small": {"torch fused": 1.1, "torch foreach": 4.0},
}
TIMES = 20.0  # asked of others' fastest peer on 1000 arrays of 1000


def resnet18() -> Shapes:
    """Return the shapes of the 62 parameters of ResNet-18."""

    def conv(out: int, inputs: int, size: int) -> Shapes:
        return ((out, inputs, size, size), (out,), (out,))  # and its batch norm

    shapes, inputs = conv(64, 3, 7), 64
    for width, block in itertools.product((64, 128, 256, 512), range(2)):
        shapes += conv(width, inputs, 3) + conv(width, width, 3)
        if block == 0 and width != inputs:
            shapes += conv(width, inputs, 1)
        inputs = width
    return (*shapes, (1000, 512), (1000,))


def gpt2() -> Shapes:
    """Return the shapes of the 148 parameters of GPT-2 small."""
    d = 768
    norm: Shapes = ((d,), (d,))
    attention: Shapes = ((d, 3 * d), (3 * d,), (d, d), (d,))
    perceptron: Shapes = ((d, 4 * d), (4 * d,), (4 * d, d), (d,))
    block = norm + attention + norm + perceptron
    return ((50257, d), (1024, d), *block * 12, *norm)


def small(chosen: Chosen) -> Iterator[Job]:
    """Return jobs: AdamW in all cases, and other rules on many arrays."""
    cases: dict[str, Shapes] = {
        "1": ((1,),),
        "1000": ((1000,),),
        "1000 x 1000": ((1000,),) * 1000,
        "ResNet-18": resnet18(),
    }
    fits = elements(gpt2()) * SIXTEEN * AT_ONCE < machine.memory()
    if not chosen.quick and fits:
        cases["GPT-2 small"] = gpt2()
    for rule in chosen.rule("adamw"):
        for case, shapes in cases.items():
            yield model(chosen, rule, case, shapes, ASKED[case])
    if not chosen.quick:
        for rule in chosen.rule(*PEERED):
            case, asked = "1000 x 1000", {FASTEST: TIMES}
            yield model(chosen, rule, case, cases[case], asked)


def model(
    chosen: Chosen, rule: str, case: str, shapes: Shapes, asked: dict[str, float]
) -> Job:
    """Time a rule on arrays of these shapes, by all threads."""
    return beside_peers(
        chosen,
        Row("small", rule, case, chosen.most, asked=asked),
        shapes,
        chosen.effort(25, 2.5),
        slow=not chosen.quick and "GPT" not in case,
    )
