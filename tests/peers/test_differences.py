"""Where the reference and another library part on purpose, and what either gives."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_optimizer as po
import torch
from adabelief_pytorch import AdaBelief
from harness import SIZE, assert_close, draw_gradient
from madgrad import MADGRAD, MirrorMADGRAD

import reference
from reference.common import rectification


def stepped(optimizer: Any, p: Any, gradients: Any, **options: Any) -> Any:
    """The optimizer's parameter after these gradients, and its state."""
    theta = torch.from_numpy(p.copy())
    built = optimizer([theta], **options)
    for g in gradients:
        theta.grad = torch.from_numpy(g.copy())
        built.step()
    return theta.numpy(), built.state[theta]


def followed(rule: Any, ours: dict[str, Any], gradients: Any, **hyper: float) -> Any:
    """What the rule has made of p and its states after these gradients."""
    for t, g in enumerate(gradients, 1):
        ours = rule(t=t, g=g, **ours, **hyper)
    return ours


def zeros(*names: str) -> dict[str, Any]:
    return {name: np.zeros(SIZE) for name in names}


def test_adabelief_heeds_amsgrad_also_when_it_rectifies(
    rng: np.random.Generator,
) -> None:
    """adabelief-pytorch keeps the maximum there, but divides by the average."""
    p, gradients = rng.standard_normal(SIZE), [draw_gradient(rng) for _ in range(9)]
    theirs, state = stepped(
        AdaBelief,
        p,
        gradients,
        lr=0.1,
        betas=(0.9, 0.8),
        eps=0.01,
        amsgrad=True,
        print_change_log=False,
    )
    hyper = {"lr": 0.1, "beta1": 0.9, "beta2": 0.8, "eps": 0.01, "eps_acc": 0.01}
    flags = {"decoupled": 1.0, "fixed": 0.0, "rectify": 1.0, "degenerated": 1.0}
    hyper |= {"weight_decay": 0.0, **flags}
    plain = followed(
        reference.adabelief, {"p": p, **zeros("m", "s")}, gradients, **hyper
    )
    ours = followed(
        reference.adabelief_amsgrad,
        {"p": p, **zeros("m", "s", "smax")},
        gradients,
        **hyper,
    )
    assert_close(plain["p"], theirs)
    assert_close(ours["smax"], state["max_exp_avg_var"].numpy())
    # Larger denominators: shorter steps, of all that differ.
    assert abs(ours["p"] - theirs).max() > 0.01
    last = gradients.pop()
    before = followed(
        reference.adabelief_amsgrad,
        {"p": p, **zeros("m", "s", "smax")},
        gradients,
        **hyper,
    )
    steps = [
        abs(rule(t=9, g=last, **states, **hyper)["p"] - before["p"])
        for rule, states in (
            (reference.adabelief_amsgrad, before),
            (reference.adabelief, {k: before[k] for k in ("p", "m", "s")}),
        )
    ]
    assert (steps[0] <= steps[1]).all()


def test_adabeliefs_epsilon_accumulates_as_its_authors_does() -> None:
    """To 1000 times its value with beta_2 = 0.999, which is why ours are two."""
    ours = zeros("p", "m", "s")
    gradients = [np.zeros(SIZE)] * 1000
    flags = {"decoupled": 1.0, "fixed": 0.0, "rectify": 0.0, "degenerated": 0.0}
    options = {"lr": 0.1, "eps": 1e-8, "weight_decay": 0.0}
    betas = {"beta1": 0.9, "beta2": 0.999}
    ours = followed(
        reference.adabelief, ours, gradients, **options, **betas, **flags, eps_acc=1e-8
    )
    np.testing.assert_allclose(ours["s"], 1e-8 * (1 - 0.999**1000) / 0.001, rtol=1e-9)
    _, state = stepped(
        AdaBelief, ours["p"], gradients, **options, print_change_log=False
    )
    assert_close(ours["s"], state["exp_avg_var"].numpy())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_madgrad_without_epsilon_stays_finite(
    momentum: float, rng: np.random.Generator
) -> None:
    """madgrad guards one of its two divisions: without momentum all is NaN at once."""
    p, g = rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    g[0] = 0.0
    theirs, _ = stepped(MADGRAD, p, [g], momentum=momentum, eps=0.0, lr=0.1)
    hyper = {"lr": 0.1, "eps": 0.0, "weight_decay": 0.0}
    hyper |= {"decoupled": 0.0, "eps_in_lr": 1.0}
    ours = reference.madgrad(
        t=1, g=g, p=p, x0=p, **zeros("v", "s"), momentum=momentum, **hyper
    )["p"]
    assert np.isfinite(ours).all()
    assert ours[0] == pytest.approx(p[0])
    if momentum:
        assert_close(ours, theirs)
    else:
        assert np.isnan(theirs).all()
        assert_close((p - ours)[1:], 0.1 ** (2 / 3) * np.cbrt(g[1:]))


def test_mirror_madgrad_without_epsilon_stays_where_there_is_no_gradient(
    rng: np.random.Generator,
) -> None:
    """As in madgrad, whose only division is guarded here."""
    p, g = rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    g[:9] = 0.0
    theirs, _ = stepped(MirrorMADGRAD, p, [g], momentum=0.3, eps=0.0, lr=0.1)
    ours = reference.mirror_madgrad(
        t=1,
        g=g,
        p=p,
        z=p,
        **zeros("v"),
        lr=0.1,
        momentum=0.3,
        eps=0.0,
        weight_decay=0.0,
        decoupled=0.0,
        eps_in_lr=1.0,
    )
    assert_close(ours["p"], theirs)
    assert_close(ours["p"][:9], p[:9])


@pytest.mark.parametrize("eps_in_lr", [0.0, 1.0])
def test_madgrads_learning_rate_of_zero_stays(
    eps_in_lr: float, rng: np.random.Generator
) -> None:
    """In the authors' code, too; but optax adds epsilon also to a rate of 0."""
    p, g = rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    theirs, _ = stepped(MADGRAD, p, [g], lr=0.0, momentum=0.0)
    hyper = {"eps": 1e-6, "weight_decay": 0.1, "eps_in_lr": eps_in_lr}
    ours = reference.madgrad_moving(
        t=1, g=g, p=p, x0=p, **zeros("v", "s"), lr=0.0, **hyper
    )
    assert_close(ours["p"], p)
    assert_close(theirs, p)


def test_radam_first_adapts_at_the_fifth_or_sixth_step() -> None:
    """The fifth in the paper (rho > 4), the sixth in all code (rho > 5, rho >= 5)."""
    first = partial(rectification, beta2=0.999)
    for threshold, inclusive, step in [(4, 0, 5), (5, 0, 6), (5, 1, 6)]:
        r = [first(t, threshold=threshold, inclusive=inclusive) for t in range(1, step)]
        assert r == [None] * (step - 1)
        assert first(step, threshold=threshold, inclusive=inclusive) is not None


@pytest.mark.parametrize("beta2", [0.1, 0.5, 0.6])
def test_radam_without_any_tractable_variance_never_adapts(beta2: float) -> None:
    """Where rho_inf <= 4, r_t would be of a negative number or divided by zero."""
    for threshold, t in [(4, 1), (0, 2), (-9, 1000)]:
        assert rectification(t, beta2, threshold, inclusive=1) is None


def test_a_threshold_is_inclusive_or_not() -> None:
    rho = 2 / (1 - 0.9) - 1 - 2 * 9 * 0.9**9 / (1 - 0.9**9)
    assert rectification(9, 0.9, rho, inclusive=0) is None
    assert rectification(9, 0.9, rho, inclusive=1) is not None


def test_radams_l2_decay_is_in_the_gradient(rng: np.random.Generator) -> None:
    """As in torch; pytorch_optimizer then silently has no decay at all."""
    p, gradients = rng.standard_normal(SIZE), [draw_gradient(rng) for _ in range(9)]
    theirs, _ = stepped(po.RAdam, p, gradients, weight_decouple=False, weight_decay=0.5)
    without, _ = stepped(po.RAdam, p, gradients)
    assert_close(theirs, without)
    theirs, _ = stepped(torch.optim.RAdam, p, gradients, weight_decay=0.5)
    flags = {"decoupled": 0.0, "inclusive": 0.0, "momentum_below": 1.0, "eps_hat": 1.0}
    ours = followed(
        reference.radam,
        {"p": p, **zeros("m", "v")},
        gradients,
        lr=1e-3,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.5,
        threshold=5.0,
        **flags,
    )
    assert_close(ours["p"], theirs)


def test_nadams_product_is_kept_in_double(rng: np.random.Generator) -> None:
    """torch keeps it in the default type, and so is off by more than 1e-9."""
    p, gradients = rng.standard_normal(SIZE), [draw_gradient(rng) for _ in range(20)]
    theirs, state = stepped(torch.optim.NAdam, p, gradients, lr=0.1, foreach=False)
    ours = followed(
        reference.nadam,
        {"p": p, **zeros("m", "v"), "mu_product": np.nan},
        gradients,
        lr=0.1,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        weight_decay=0.0,
        decoupled=0.0,
        momentum_decay=0.004,
        warm=0.5,
        dozat=0.0,
    )
    assert state["mu_product"].dtype == torch.float32
    off = abs(ours["mu_product"] / state["mu_product"].item() - 1)
    assert 1e-9 < off < 1e-6
    np.testing.assert_allclose(ours["p"], theirs, rtol=0, atol=1e-6)
    with pytest.raises(AssertionError):
        assert_close(ours["p"], theirs)


def test_adais_mean_has_no_lower_bound() -> None:
    """As in its authors' code; pytorch_optimizer has the mean at least epsilon."""
    p, g = np.zeros(SIZE), np.linspace(1e-3, 2e-3, SIZE)
    theirs, state = stepped(po.Adai, p, [g], lr=1.0, betas=(0.1, 0.9), eps=1e-3)
    hyper = {"lr": 1.0, "beta0": 0.1, "beta2": 0.9, "eps": 1e-3}
    unread = np.full(SIZE, np.nan)
    ours = reference.adai(
        t=1,
        g=g,
        product=unread,
        **zeros("p", "m", "v"),
        **hyper,
        weight_decay=0.0,
        decoupled=0.0,
    )
    assert_close(ours["product"], 1 - 0.1 * g**2 / np.mean(g**2))
    assert_close(state["beta1_prod"].numpy(), np.minimum(1 - 0.1 * g**2 / 1e-3, 0.999))
    # One step corrects its bias all the way, whatever the inertia.
    assert_close(ours["p"], -g)
    assert_close(theirs, -g)


def test_lambs_trust_ratio_is_of_the_bare_norms(rng: np.random.Generator) -> None:
    """As in the paper; pytorch_optimizer has |p| <= 10, and adds epsilon to |u|."""
    p, g = 100 * rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    hyper = {"lr": 0.1, "eps": 0.2, "weight_decay": 0.0}
    theirs, _ = stepped(po.Lamb, p, [g], betas=(0.0, 0.0), adam_debias=True, **hyper)
    flags = {"decoupled": 1.0, "bias_correction": 0.0, "adapt": 1.0}
    ours = reference.lamb(
        t=1, g=g, p=p, **zeros("m", "v"), beta1=0.0, beta2=0.0, **hyper, **flags
    )
    u = g / (abs(g) + 0.2)
    size = np.linalg.norm(u)
    assert_close(p - ours["p"], 0.1 * np.linalg.norm(p) / size * u)
    assert_close(p - theirs, 0.1 * 10 / (size + 0.2) * u)


def test_lars_without_a_gradient_decays_at_the_whole_rate(
    rng: np.random.Generator,
) -> None:
    """As in apex's LARC; pytorch_optimizer scales the bare decay, by kappa / lambda."""
    p, g = rng.standard_normal((1, SIZE)), np.zeros((1, SIZE))
    hyper = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.2, "trust_coefficient": 0.03}
    theirs, _ = stepped(po.LARS, p, [g], **hyper)
    flags = {"norm_of_sum": 0.0, "lr_inside": 1.0, "adapt": 1.0}
    ours = reference.lars(t=1, g=g, p=p, b=0 * p, eps=0.0, **hyper, **flags)
    assert_close(ours["p"], p * (1 - 0.1 * 0.2))
    assert_close(theirs, p * (1 - 0.1 * 0.03))


@pytest.mark.parametrize("norm_of_sum", [0.0, 1.0])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_lars_of_a_zero_tensor_has_no_trust_ratio(
    scale: float, norm_of_sum: float, rng: np.random.Generator
) -> None:
    g = scale * rng.standard_normal(SIZE)
    ours = reference.lars(
        t=1,
        g=g,
        **zeros("p", "b"),
        lr=0.1,
        momentum=0.3,
        weight_decay=0.2,
        trust_coefficient=0.03,
        eps=0.0,
        norm_of_sum=norm_of_sum,
        lr_inside=1.0,
        adapt=1.0,
    )
    assert_close(ours["p"], -0.1 * g)


@pytest.mark.parametrize("zero", ["p", "g", "p g"])
def test_lamb_with_a_norm_of_zero_has_no_trust_ratio(
    zero: str, rng: np.random.Generator
) -> None:
    p = 0.0 if "p" in zero else rng.standard_normal(SIZE)
    g = 0.0 if "g" in zero else rng.standard_normal(SIZE)
    p, g = p + np.zeros(SIZE), g + np.zeros(SIZE)
    ours = reference.lamb(
        t=1,
        g=g,
        p=p,
        **zeros("m", "v"),
        lr=0.1,
        beta1=0.0,
        beta2=0.0,
        eps=0.1,
        weight_decay=0.0,
        decoupled=1.0,
        bias_correction=1.0,
        adapt=1.0,
    )
    assert_close(ours["p"], p - 0.1 * g / (abs(g) + 0.1))


def test_rmsprops_variance_is_clamped() -> None:
    """torch's root of a variance that rounding made negative is NaN."""
    theta = torch.zeros(1, dtype=torch.float64)
    optimizer = torch.optim.RMSprop([theta], centered=True, foreach=False)
    theta.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    state = optimizer.state[theta]
    state["square_avg"].fill_(0.9)
    state["grad_avg"].fill_(1.0)
    optimizer.step()
    assert theta.isnan().all()
    ours = reference.rmsprop_centered(
        t=2,
        p=np.zeros(1),
        g=np.ones(1),
        v=np.full(1, 0.9),
        gbar=np.ones(1),
        lr=0.1,
        alpha=0.99,
        eps=0.5,
        weight_decay=0.0,
        bias_correction=0.0,
    )
    assert_close(ours["p"], np.full(1, -0.1 / 0.5))
