"""Steps on tensors are those on arrays, bit for bit, whatever the tensors' layout.

The optimizers of arrays get what the tensors hold as flat arrays: in the order of
memory, in which sums are taken too; of a view with gaps in the order of its elements.
At the end, single steps beside torch's for-loop, which rounds otherwise.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import gradstep as gs
import gradstep.torch as gst
from gradstep.torch.names import state_name
from support import NONNEGATIVE, floats, same_bits
from variants import VARIANTS

Tensor = torch.Tensor
Options = dict[str, Any]
Kind = type[gs.Optimizer]

STEPS = 8  # RAdam changes its form on the way
REALS = {"float32": torch.float32, "float64": torch.float64}


def of(seed: int, *shape: int, dtype: torch.dtype) -> Tensor:
    """Numbers over six binary decades, without a zero."""
    real = torch.zeros((), dtype=dtype).real.dtype
    pairs = 2 if dtype.is_complex else 1
    numbers = floats(seed, pairs * int(np.prod(shape)), np.float64)
    made = torch.from_numpy(numbers).to(real)
    return (torch.view_as_complex(made.view(-1, 2)) if pairs > 1 else made).view(shape)


def contiguous(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 5, 7, dtype=dtype)


def long(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 4099, dtype=dtype)  # more than C takes at a time


def transposed(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 7, 5, dtype=dtype).t()


def channels_last(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last)


def gaps(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 6, 15, dtype=dtype)[1:, 1::2]


def gaps_transposed(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 15, 6, dtype=dtype)[1::2, 1:].t()


def number(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, dtype=dtype)


def empty(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 0, 3, dtype=dtype)


def pairs(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 5, 7, dtype=dtype.to_complex())


def pairs_transposed(seed: int, dtype: torch.dtype) -> Tensor:
    return pairs(seed, dtype).view(7, 5).t()


def expanded(seed: int, dtype: torch.dtype) -> Tensor:
    return of(seed, 5, 1, dtype=dtype).expand(5, 7)  # as of a sum


def conjugated(seed: int, dtype: torch.dtype) -> Tensor:
    return pairs(seed, dtype).conj()


# A parameter's layout, and its gradient's.
LAYOUTS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "contiguous": (contiguous, contiguous),
    "long": (long, long),
    "transposed": (transposed, transposed),
    "channels last": (channels_last, channels_last),
    "gaps": (gaps, gaps),
    "gaps transposed": (gaps_transposed, contiguous),
    "0-d": (number, number),
    "empty": (empty, empty),
    "complex": (pairs, pairs),
    "complex transposed": (pairs_transposed, pairs),
    "gradient transposed": (contiguous, transposed),
    "gradient contiguous": (transposed, contiguous),
    "gradient with gaps": (contiguous, gaps),
    "gradient expanded": (contiguous, expanded),
    "gradient conjugated": (pairs, conjugated),
}


def order_of(p: Tensor) -> list[int]:
    """Axes, the outermost in memory first; those of a view with gaps as they are."""
    axes = sorted(range(p.dim()), key=lambda k: -p.stride(k))
    return axes if p.permute(axes).is_contiguous() else [*range(p.dim())]


def flat(t: Tensor, like: Tensor) -> np.ndarray:
    """A copy of a tensor's numbers in the order of another one's memory."""
    real = t.detach().resolve_conj().permute(order_of(like)).contiguous()
    real = torch.view_as_real(real) if real.is_complex() else real
    return real.numpy().reshape(-1).copy()


def is_ours(name: str) -> bool:
    """Return whether a variant takes its gradients at the parameters, as torch does."""
    _, options = VARIANTS[name]
    shifted = options.get("form") == "velocity" and options.get("nesterov", False)
    return not shifted and not options.get("restart_radius")


OURS = {name: VARIANTS[name] for name in VARIANTS if is_ours(name)}


def halve_rate(kind: Kind, *optimizers: Any) -> None:
    for made in optimizers:
        group = made.param_groups[0]
        if "lr" not in kind.fixed(group):
            group["lr"] *= 0.5


def differing(kind: Kind, ours: Any, theirs: gs.Optimizer, params: list[Any]) -> set:
    """Return what differs: of which parameter, and what it is called there."""
    found = set()
    for i, p in enumerate(params):
        pairs = {"p": (p, theirs.param_groups[0]["params"][i])}
        kept = ours.state.get(p, {})
        # As torch's, ours has no states of what has taken no step.
        expected_states = theirs.state[i] if theirs.state[i]["step"] else {}
        for name, expected in expected_states.items():
            key = state_name(kind.__name__, name)
            if isinstance(expected, np.ndarray):
                pairs[name] = (kept[key], expected)
            elif key in kept and float(kept[key]) != expected:
                found.add((i, name))
        found |= {
            (i, name)
            for name, (tensor, array) in pairs.items()
            if not same_bits(flat(tensor, p), array)
        }
    return found


def assert_same(
    kind: Kind, options: Options, params: list[Tensor], grads: list[list[Any]]
) -> None:
    """Step tensors and arrays by the same gradients, None among them."""
    theirs = kind([flat(p, p) for p in params], **options)
    ours = getattr(gst, kind.__name__)(params, **options)
    for t, given in enumerate(grads):
        if t == len(grads) // 2:
            halve_rate(kind, ours, theirs)
        for p, g in zip(params, given, strict=True):
            p.grad = g
        ours.step()
        theirs.step([None if p.grad is None else flat(p.grad, p) for p in params])
        assert differing(kind, ours, theirs, params) == set(), f"in step {t + 1}"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", [kind.__name__ for kind in gs.OPTIMIZERS.values()])
def test_tensors_of_every_layout_are_stepped_as_arrays(
    name: str, real: str, layout: str
) -> None:
    kind, options = next(OURS[v] for v in OURS if OURS[v][0].__name__ == name)
    like, grad_like = LAYOUTS[layout]
    whole = like(1, REALS[real])
    around = whole if whole._base is None else whole._base
    before, start = around.clone(), whole.clone()
    grads = [[grad_like(2 + t, REALS[real])] for t in range(STEPS)]
    kept = [g.clone() for (g,) in grads]
    assert_same(kind, options, [whole], grads)
    assert all(torch.equal(g, copy) for (g,), copy in zip(grads, kept, strict=True))
    assert whole.numel() == 0 or not torch.equal(whole, start)
    # What lies between the elements of a view is as it was.
    whole.copy_(start)
    assert torch.equal(around, before)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", OURS)
def test_every_variant_steps_tensors_of_all_layouts_at_once(
    name: str, real: str
) -> None:
    kind, options = OURS[name]
    layouts, dtype = list(LAYOUTS.values()), REALS[real]
    params = [like(k, dtype) for k, (like, _) in enumerate(layouts)]
    grads = [
        [
            # One of them has none in each step.
            None if (t + 1) % len(layouts) == k else grad_like(100 * t + k, dtype)
            for k, (_, grad_like) in enumerate(layouts)
        ]
        for t in range(STEPS)
    ]
    assert_same(kind, options, params, grads)


def test_every_class_has_a_variant_here() -> None:
    assert {kind.__name__ for kind, _ in OURS.values()} == gs.OPTIMIZERS.keys()


# Names of torch's states that are squares or sizes.
SIZES = {state_name(name, x) for name in gs.OPTIMIZERS for x in NONNEGATIVE}
TAKEN = 7  # steps before the one that is compared

# How far a step may be from torch's, in ulps. Further than 2 is where a rounding comes
# before a square, which doubles it; where a quotient is taken of several numbers that
# were rounded, most of all where what is added is larger than the parameter; where lr,
# momentum and dampening are multiplied in another order.
ULPS = 2.0
SQUARE = 4.0
PARAMETER = {
    "SGD": 3.0,
    "Adagrad": 2.0,
    "RMSprop": 3.0,
    "Adadelta": 3.0,
    "Rprop": 0.0,
    **dict.fromkeys(("Adam", "AdamW", "Adamax", "NAdam", "RAdam"), 6.0),
}


def of_torch() -> dict[str, tuple[str, Options]]:
    """Return the variants of which torch has every option."""
    found = {}
    for name, (kind, options) in OURS.items():
        theirs = getattr(torch.optim, kind.__name__, None)
        given = {k: v for k, v in options.items() if v != "outside"}
        if theirs and given.keys() <= inspect.signature(theirs).parameters.keys():
            found[name] = kind.__name__, given
    return found


TORCHS = of_torch()


def signed(seed: int, real: torch.dtype) -> Tensor:
    """Numbers of which those at one place have one sign, whatever the seed.

    Gradients, decays and means add up then; where they cancelled, any order of torch's
    sums and ours would leave nothing in common.
    """
    return long(seed, real).abs() * long(1, real).sign()


def fill(optimizer: Any, p: Tensor) -> None:
    """Give a parameter of torch's optimizer states as of many steps."""
    state = optimizer.state[p]
    for k, (name, value) in enumerate(sorted(state.items())):
        if name == "step":
            value.fill_(TAKEN)
        elif value.dim() == 0:  # NAdam's product, which torch keeps in float32
            state[name] = torch.tensor(0.61, dtype=torch.float64)
        else:
            given = signed(50 + k, value.dtype)
            value.copy_(given.abs() if name in SIZES else given)
    if "grad_avg" in state:  # a mean, whose square is at most the mean square
        state["square_avg"] += state["grad_avg"] ** 2


def stepped(name: str, real: torch.dtype) -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Take one step of both; return names, numbers before, ours after and torch's."""
    kind, options = TORCHS[name]
    mine, yours = (signed(1, real) for _ in range(2))
    theirs = getattr(torch.optim, kind)([yours], **options, foreach=False)
    yours.grad = signed(2, real)
    theirs.step()
    fill(theirs, yours)
    yours.copy_(mine)
    ours = getattr(gst, kind)([mine], **options)
    ours.load_state_dict(theirs.state_dict())
    kept = theirs.state[yours]
    before = {"p": mine.clone()} | {k: v.clone() for k, v in kept.items()}
    mine.grad = yours.grad = signed(3, real)
    ours.step()
    theirs.step()
    after = ({"p": mine} | ours.state[mine], {"p": yours} | kept)
    return [(k, before[k], after[0][k], after[1][k]) for k in before]


def ulps(
    before: Tensor, ours: Tensor, theirs: Tensor, condition: Tensor | float = 1.0
) -> float:
    """How far apart, in ulps of the largest of the numbers before, after, and added.

    Where a rounding on the way is enlarged by `condition`, so is the ulp.
    """
    change = (theirs - before).abs()
    size = torch.maximum(torch.maximum(before.abs(), theirs.abs()), change)
    unit = np.spacing(size.numpy()) * np.asarray(condition)
    return float((abs(ours.numpy() - theirs.numpy()) / unit).max())


def condition(name: str, after: dict[str, Tensor], key: str) -> Tensor | float:
    """How far roundings are enlarged where the mean square loses the squared mean.

    Against 60 digits, ours and torch's steps are both within 1.7 such ulps.
    """
    if not TORCHS[name][1].get("centered") or key not in ("p", "momentum_buffer"):
        return 1.0
    square = after["square_avg"].double()
    return square / (square - after["grad_avg"].double() ** 2)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", TORCHS)
def test_a_step_is_torchs_to_a_few_ulps(name: str, real: str) -> None:
    done = stepped(name, REALS[real])
    after = {key: theirs for key, _, _, theirs in done}
    found = {
        key: ulps(before, ours.to(before.dtype), theirs, condition(name, after, key))
        for key, before, ours, theirs in done
    }
    limits = {key: limit(name, key) for key in found}
    assert {k: x for k, x in found.items() if not x <= limits[k]} == {}


def limit(name: str, key: str) -> float:
    if key == "p":
        return PARAMETER[TORCHS[name][0]]
    return SQUARE if key in SIZES else ULPS


def test_torch_has_each_of_its_rules_here() -> None:
    kinds = {kind for kind, _ in TORCHS.values()}
    both = {name for name in gs.OPTIMIZERS if hasattr(torch.optim, name)}
    assert kinds == both
    assert len(TORCHS) >= 18
