"""Where a class parts from schedulefree's and pytorch_optimizer's, on purpose."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import pytorch_optimizer as po
import schedulefree as sf
import torch
from trajectories import assert_within, fed, off, raced

import gradstep as gs


def zero() -> torch.Tensor:
    return torch.zeros(1, dtype=torch.float64)


def training(optimizer: Any, *args: Any, **options: Any) -> Any:
    built = optimizer(*args, **options)
    built.train()
    return built


def test_schedulefrees_round_trip_gives_back_the_same_bits(
    rng: np.random.Generator,
) -> None:
    """Theirs finds x by extrapolation from y and z, and y from x and z."""
    gradients = rng.standard_normal((9, 2048), np.float32)
    found = raced(
        gradients[0],
        gradients,
        gs.ScheduleFreeSGD,
        partial(training, sf.SGDScheduleFree),
        lr=0.1,
    )
    ours, theirs = found.ours.copy(), found.theirs.copy()
    for optimizer in (found.us, found.them):
        optimizer.eval()
        optimizer.train()
    assert found.ours.tobytes() == ours.tobytes()
    assert (found.theirs != theirs).any()
    assert off(found.theirs, theirs) < 1e-6


def test_schedulefrees_averages_are_of_each_array() -> None:
    """Theirs has one k and one sum of weights for a group: an array that comes late is
    given too little weight, and its average stays behind."""
    arrays, thetas = [np.zeros(1), np.zeros(1)], [zero(), zero()]
    ours = gs.ScheduleFreeSGD(arrays, lr=1.0, momentum=0.5)
    theirs = training(sf.SGDScheduleFree, thetas, lr=1.0, momentum=0.5)
    for gradients in ([np.ones(1), None], [np.ones(1), np.ones(1)]):
        ours.step(gradients)
        fed(theirs, thetas, gradients)
    theirs.eval()
    assert ours.eval_params()[1] == -1
    assert thetas[1] == -0.5


@pytest.mark.parametrize("base", ["RMSprop", "Adam", "NAdam", "Adadelta"])
def test_schedulefree_wraps_what_begins_its_states_late(base: str) -> None:
    """Theirs puts z among the states, which torch takes for begun then."""
    theta = zero()
    wrapped = getattr(torch.optim, base)([theta], lr=0.1)
    theirs = training(sf.ScheduleFreeWrapperReference, wrapped)
    with pytest.raises(KeyError):
        fed(theirs, [theta], [np.ones(1)])
    p, z = np.zeros(1), np.zeros(1)
    cls = getattr(gs, base)
    gs.ScheduleFree(p, partial(cls, lr=0.1)).step(np.ones(1))
    cls(z, lr=0.1).step(np.ones(1))
    assert_within(p, z, "p")


def test_schedulefree_around_a_rate_of_zero() -> None:
    """As at the start of a warm-up; theirs divides by the sum of the weights, 0."""
    p, theta = np.zeros(1), zero()
    base = torch.optim.SGD([theta], lr=0.0)
    theirs = training(sf.ScheduleFreeWrapperReference, base)
    with pytest.raises(ZeroDivisionError):
        fed(theirs, [theta], [np.ones(1)])
    ours = gs.ScheduleFree(p, partial(gs.SGD, lr=0.0))
    ours.step(np.ones(1))
    assert p == 0
    ours.base.lr = 1.0
    ours.step(np.ones(1))
    assert ours.eval_params() == -1


def test_schedulefree_leaves_gradients_as_they_are() -> None:
    """Theirs divides them by the root, in place."""
    p, theta, g = np.zeros(1), zero(), np.full(1, 4.0)
    theta.grad = torch.full((1,), 4.0, dtype=torch.float64)
    gs.ScheduleFreeAdamW(p).step(g)
    training(sf.AdamWScheduleFree, [theta], foreach=False).step()
    assert g == 4
    assert off(theta.grad, 1) < 1e-8


def test_adan_clips_by_the_epsilon_of_each_group() -> None:
    """pytorch_optimizer takes the constructor's, and the authors' code, which is in no
    registry, that of the last group."""
    arrays, thetas = [np.zeros(1), np.zeros(1)], [zero(), zero()]
    own = [{"eps": 1.0}, {"eps": 5.0}]
    options = {"lr": 1.0, "max_grad_norm": 1.0, "betas": (0.0, 0.0, 0.0)}
    ours = gs.Adan([{"params": p, **o} for p, o in zip(arrays, own)], **options)
    theirs = po.Adan(
        [{"params": p, **o} for p, o in zip(thetas, own)],
        **options,
        eps=3.0,
    )
    gradients = [np.array([3.0]), np.array([4.0])]
    ours.step(gradients)
    fed(theirs, thetas, gradients)
    for p, theta, g, o in zip(arrays, thetas, (3, 4), own):
        eps = o["eps"]
        clipped = g / (5 + eps)
        assert off(p, -clipped / (clipped + eps)) < 1e-12
        clipped = g / (5 + 3)
        assert off(theta, -clipped / (clipped + eps)) < 1e-6


def test_adans_first_difference_is_zero_also_uphill() -> None:
    """pytorch_optimizer takes it from the gradient before it is negated: -2."""
    options = {"lr": 1.0, "betas": (0.5, 0.5, 0.5), "eps": 1.0, "maximize": True}
    found = raced(np.zeros(1), [np.ones(1)], gs.Adan, po.Adan, **options)
    assert found.us.state[0]["w"] == 0
    assert found.kept["exp_avg_diff"] == 0.5 * -2
    assert off(found.ours, 1 / (1 + 1)) < 1e-12
    assert off(found.theirs, (1 + 0.5 * 2) / (2 + 1)) < 1e-12


def test_adais_mean_has_no_lower_bound() -> None:
    """pytorch_optimizer has it at least the constructor's eps."""
    g = np.linspace(1e-3, 2e-3, 9)
    options = {"lr": 1.0, "betas": (0.1, 0.9), "eps": 1e-3}
    found = raced(np.zeros(9), [g], gs.Adai, po.Adai, **options)
    bound = 1 - 1e-3
    ours = np.minimum(1 - 0.1 * g**2 / np.mean(g**2), bound)
    assert_within(found.us.state[0]["product"], ours, "product")
    theirs = np.minimum(1 - 0.1 * g**2 / 1e-3, bound)
    assert_within(found.kept["beta1_prod"], theirs, "theirs")


def test_lambs_trust_ratio_is_of_the_bare_norms(rng: np.random.Generator) -> None:
    """pytorch_optimizer has |p| at most 10, and adds eps to |u|."""
    p, g = rng.standard_normal((2, 97))
    p *= 100
    options = {"lr": 0.1, "eps": 0.2, "weight_decay": 0.0, "betas": (0.0, 0.0)}
    found = raced(p, [g], gs.LAMB, po.Lamb, **options)
    u = g / (abs(g) + 0.2)
    size = np.linalg.norm(u)
    assert_within(p - found.ours, 0.1 * np.linalg.norm(p) / size * u, "our step")
    assert_within(p - found.theirs, 0.1 * 10 / (size + 0.2) * u, "theirs")


def test_lars_without_a_gradient_decays_at_the_whole_rate() -> None:
    """As in apex's LARC; pytorch_optimizer scales the bare decay, by kappa / lambda."""
    options = {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.2}
    options["trust_coefficient"] = 0.03
    p = np.array([[3.0, -4.0]])
    found = raced(p, [0 * p], gs.LARS, po.LARS, **options)
    assert_within(found.ours, p * (1 - 0.1 * 0.2), "ours")
    assert_within(found.theirs, p * (1 - 0.1 * 0.03), "theirs")


def test_lars_adapts_vectors_too_unless_told_otherwise() -> None:
    """pytorch_optimizer takes all one-dimensional tensors for biases, and leaves them
    without trust ratio and decay."""
    options = {"lr": 0.1, "weight_decay": 0.2, "trust_coefficient": 0.03}
    p, g = np.array([3.0, -4.0]), np.array([0.6, 0.8])
    found = raced(p, [g], gs.LARS, po.LARS, **options)
    local = 0.03 * 5 / (1 + 0.2 * 5)
    assert_within(found.ours, p - 0.1 * local * (g + 0.2 * p), "ours")
    assert_within(found.theirs, p - 0.1 * g, "theirs")
    bias = raced(p, [g], partial(gs.LARS, adapt=False), po.LARS, lr=0.1)
    assert_within(bias.ours, bias.theirs, "without adapt and decay")


def test_radams_penalty_is_in_the_gradient() -> None:
    """pytorch_optimizer has no decay at all when it is not decoupled."""
    options = {"lr": 0.1, "weight_decay": 0.5}
    theirs = partial(po.RAdam, weight_decouple=False, degenerated_to_sgd=True)
    found = raced(np.ones(1), [np.ones(1)], gs.RAdam, theirs, **options)
    assert off(found.ours, 1 - 0.1 * 1.5) < 1e-12
    assert off(found.theirs, 1 - 0.1) < 1e-12


def test_sams_norm_is_summed_in_double(rng: np.random.Generator) -> None:
    """pytorch_optimizer rounds it to float32."""
    p, g = rng.standard_normal((2, 97))
    ours, theta = p.copy(), torch.from_numpy(p.copy())
    gs.SAM(ours, partial(gs.SGD, lr=0.1), rho=0.3).first_step(g)
    theta.grad = torch.from_numpy(g)
    po.SAM([theta], torch.optim.SGD, rho=0.3, lr=0.1).first_step()
    assert off(np.linalg.norm(ours - p), 0.3) < 1e-12
    assert 1e-10 < off(np.linalg.norm(theta.numpy() - p), 0.3) < 1e-6


def test_sams_worst_point_is_the_lowest_when_the_base_maximizes() -> None:
    """pytorch_optimizer climbs whatever its base does, to the best point then."""
    p, theta = np.zeros(1), zero()
    base = partial(gs.SGD, lr=0.1, maximize=True)
    gs.SAM(p, base, rho=0.3).first_step(np.ones(1))
    theta.grad = torch.ones_like(theta)
    po.SAM([theta], torch.optim.SGD, rho=0.3, lr=0.1, maximize=True).first_step()
    assert off(p, -0.3) < 1e-6
    assert off(theta, 0.3) < 1e-6
