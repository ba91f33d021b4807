"""What the engine takes over past the checks: the same steps as through them."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep import lr_scheduler as lrs
from variants import VARIANTS

pytestmark = pytest.mark.filterwarnings("ignore:.*before the optimizer's:UserWarning")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_scheduled_run_is_that_of_setting_values_by_hand(name: str) -> None:
    """The engine takes over rates and momenta by itself (`Declared.direct`); as a NumPy
    number, or a list, they go through all checks."""
    kind, options = VARIANTS[name]
    a, b = np.linspace(-1, 2, 7), np.linspace(-1, 2, 7)
    quick, slow = kind(a, **options), kind(b, **options)
    group, other = quick.param_groups[0], slow.param_groups[0]
    fixed = {{"beta1": "betas"}.get(key, key) for key in kind.fixed(group)}
    keys = ("lr", "betas", "momentum", "weight_decay")
    free = [key for key in keys if group.get(key) and key not in fixed]
    for k in range(12):
        for key in free:
            old = options.get(key, kind.options[key].default)
            factor = 1 - 0.05 * ((k * 7) % 11)
            if isinstance(old, tuple):
                group[key] = tuple(x * factor for x in old)
                other[key] = [np.float64(x * factor) for x in old]
            else:
                group[key] = old * factor
                other[key] = np.float64(old * factor)
        g = np.sin(a + k)
        quick.step(g)
        slow.step(g)
        assert a.tobytes() == b.tobytes(), k
    assert free or kind is gs.Rprop  # all of whose options are fixed


def test_a_value_out_of_range_is_refused_before_a_byte_changes() -> None:
    w = np.ones(3)
    opt = gs.Adam(w, lr=0.1)
    opt.step(np.ones(3))
    for key, bad in {"lr": -1.0, "betas": (1.5, 0.9), "weight_decay": math.nan}.items():
        before, old = w.copy(), opt.param_groups[0][key]
        opt.param_groups[0][key] = bad
        with pytest.raises(ValueError, match="must be in"):
            opt.step(np.ones(3))
        opt.param_groups[0][key] = old
        assert (w == before).all()
    opt.param_groups[0]["betas"] = (0.9,)
    with pytest.raises(TypeError, match="betas must be a tuple"):
        opt.step(np.ones(3))


def test_a_rate_that_comes_to_zero_and_back() -> None:
    w, v = np.ones(3), np.ones(3)
    opt, other = (gs.MADGRAD(a, lr=0.1, momentum=0.5) for a in (w, v))
    cosine = lrs.CosineAnnealingLR(opt, 3, periodic=True)
    for t in range(8):
        opt.step(np.ones(3))
        other.param_groups[0]["lr"] = np.float64(cosine.values(t)[0])  # all checks
        other.step(np.ones(3))
        cosine.step()
        assert w.tobytes() == v.tobytes()


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"adan paper"}))
def test_values_of_before_a_load_count_again_after_it(name: str) -> None:
    """The engine compares with what it was given last, be it by a load."""
    kind, options = VARIANTS[name]
    w, v = np.linspace(-1, 2, 7), np.linspace(-1, 2, 7)
    loaded, fresh = kind(w, **options), kind(v, **options)
    then = {k: x for k, x in loaded.param_groups[0].items() if k != "params"}
    other = kind(np.ones(7), **options | {"maximize": True, "lr": 0.07})
    loaded.load_state_dict(other.state_dict())
    assert loaded.param_groups[0]["lr"] == 0.07
    for key, value in then.items():  # other objects of the same values, and the same
        loaded.param_groups[0][key] = float(repr(value)) if key == "lr" else value
    for k in range(3):
        loaded.step(np.sin(w + k))
        fresh.step(np.sin(v + k))
        assert w.tobytes() == v.tobytes()


def test_a_new_rate_needs_no_other_check() -> None:
    for opt in (gs.SGD(np.ones(3), momentum=0.9), gs.Adam(np.ones(3))):
        opt.step(np.ones(3))
        checks: list[int] = []
        opt._engine.watch(opt._groups, ("params", *opt.options), checks.append)
        group = opt.param_groups[0]
        group["lr"] = 0.03
        group.update({"betas": (0.5, 0.6)} if "betas" in group else {"momentum": 0.5})
        opt.step(np.ones(3))
        assert not checks
        group["lr"] = -1.0
        opt.step(np.ones(3))
        assert checks == [0]


def test_negative_zero_is_another_number() -> None:
    w, v = np.ones(3), np.ones(3)
    for a, zero in ((w, 0.0), (v, -0.0)):
        opt = gs.SGD(a, lr=0.0)
        opt.step(np.ones(3))
        opt.param_groups[0]["lr"] = zero
        a[:] = -0.0
        opt.step(np.ones(3))
    assert np.signbit(w).all()  # -0 - 0 * 1
    assert not np.signbit(v).any()  # -0 + 0 * 1


def test_what_turns_on_another_rule_is_no_direct_change() -> None:
    """Decoupled decay without momentum moves MADGRAD's x0, by a kernel of its own."""
    options = {"momentum": 0.0, "decouple_decay": True}
    w, v = np.ones(3), np.ones(3)
    quick, slow = gs.MADGRAD(w, lr=0.1, **options), gs.MADGRAD(v, lr=0.1, **options)
    for decay in (0.0, 0.3, 0.2, 0.0, 0.4):
        quick.param_groups[0]["weight_decay"] = decay
        slow.param_groups[0]["weight_decay"] = np.float64(decay)
        quick.step(2 * w)
        slow.step(2 * v)
        assert w.tobytes() == v.tobytes()
    assert quick.state[0]["x0"][0] < 1
