"""Where a class parts from torch's, AdaBelief's and MADGRAD's authors, on purpose."""

import math
from functools import partial

import madgrad
import numpy as np
import pytest
import pytorch_optimizer as po
import torch
from adabelief_pytorch import AdaBelief
from trajectories import assert_within, fed, off, raced

import gradstep as gs

Quiet = partial(AdaBelief, print_change_log=False)


def test_centered_rmsprop_stays_finite(rng: np.random.Generator) -> None:
    """Rounding makes the variance of gradients that hardly vary negative: 0 with us,
    and the root of a negative number, NaN, with torch, after some 1300 steps."""
    noise = rng.standard_normal((1800, 64), np.float32)
    gradients = np.float32(0.7) * (1 + np.float32(1e-5) * noise)
    found = raced(
        np.zeros(64, np.float32),
        gradients,
        gs.RMSprop,
        partial(torch.optim.RMSprop, foreach=False),
        lr=1e-3,
        centered=True,
        eps=0.01,
    )
    assert np.isnan(found.theirs).any()
    assert np.isfinite(found.ours).all()
    # No step is longer than if the variance were 0.
    assert abs(found.ours).max() < 1800 * 1e-3 * 0.71 / 0.01


def test_torchs_nadam_keeps_its_product_in_float32(rng: np.random.Generator) -> None:
    gradients = rng.standard_normal((20, 9))
    found = raced(gradients[0], gradients, gs.NAdam, torch.optim.NAdam, lr=0.1)
    product = math.prod(0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in range(1, 21))
    assert off(found.us.state[0]["mu_product"], product) < 1e-14
    assert found.kept["mu_product"].dtype == torch.float32
    assert 1e-8 < off(found.kept["mu_product"], product) < 1e-6
    assert 1e-10 < off(found.ours, found.theirs) < 1e-6


def test_torchs_adagrad_ignores_a_groups_own_initial_value() -> None:
    p, theta = np.zeros(1), torch.zeros(1, dtype=torch.float64)
    own = {"initial_accumulator_value": 9.0}
    ours = gs.Adagrad([{"params": p, **own}], lr=1.0, eps=0.0)
    theirs = torch.optim.Adagrad([{"params": theta, **own}], lr=1.0, eps=0.0)
    g = np.array([4.0])
    fed(theirs, [theta], [g])
    ours.step([g])
    assert p == -4 / 5
    assert theta == -4 / 4


def test_torchs_count_of_steps_ends_at_two_to_the_24th() -> None:
    """It is float32, so that lr_decay does not go on there."""
    p, theta = np.zeros(1), torch.zeros(1, dtype=torch.float64)
    ours = gs.Adagrad(p, lr_decay=1.0, eps=0.0)
    theirs = torch.optim.Adagrad([theta], lr_decay=1.0, eps=0.0)
    theirs.state[theta]["step"].fill_(2.0**24)
    saved = ours.state_dict()
    saved["state"][0]["step"] = 2**24
    ours.load_state_dict(saved)
    fed(theirs, [theta], [np.ones(1)])
    ours.step(np.ones(1))
    assert ours.state[0]["step"] == 2**24 + 1
    assert theirs.state[theta]["step"] == 2**24
    assert off(p, -0.01 / (1 + 2.0**24)) < 1e-12
    assert off(theta, -0.01 / 2.0**24) < 1e-12


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (gs.Lion, po.Lion),
        (gs.Signum, po.SignSGD),
        (gs.Rprop, torch.optim.Rprop),
    ],
)
def test_a_step_by_the_sign_of_nan_is_nan(ours: type, theirs: type) -> None:
    """torch.sign gives 0, which hides it."""
    found = raced(np.ones(2), [np.array([np.nan, 1])], ours, theirs, lr=0.5)
    np.testing.assert_array_equal(found.ours, [np.nan, 0.5])
    np.testing.assert_array_equal(found.theirs, [1.0, 0.5])


def test_adabeliefs_amsgrad_is_heeded_when_it_rectifies(
    rng: np.random.Generator,
) -> None:
    """Theirs keeps the maximum there, and divides by the average."""
    # Gradients that shrink, for the maximum to matter.
    gradients = rng.standard_normal((20, 9)) * 10 ** -np.linspace(0, 2, 20)[:, None]
    options = {"lr": 0.1, "betas": (0.9, 0.8)}
    ours = partial(gs.AdaBelief, eps_acc=0.01, eps_out=0.01)
    theirs = partial(Quiet, eps=0.01)
    found = raced(gradients[0], gradients, ours, theirs, **options, amsgrad=True)
    smax = found.kept["max_exp_avg_var"]
    assert_within(found.us.state[0]["smax"], smax, "smax")
    plain = raced(gradients[0], gradients, ours, theirs, **options)
    assert_within(plain.ours, plain.theirs, "p without amsgrad")
    assert_within(found.theirs, plain.theirs, "theirs with and without amsgrad")
    assert off(found.ours, plain.ours) > 0.01


def test_adabeliefs_groups_have_all_options() -> None:
    """Theirs takes the constructor's rectify, weight_decouple and so on for all."""
    own = {"rectify": False, "weight_decouple": False, "weight_decay": 0.5}
    p, theta = np.ones(1), torch.ones(1, dtype=torch.float64)
    ours = gs.AdaBelief([{"params": p, **own}], lr=0.1)
    theirs = Quiet([{"params": theta, **own}], lr=0.1)
    fed(theirs, [theta], [np.ones(1)])
    ours.step([np.ones(1)])
    # With g = 1 + 0.5: m = 0.1 g corrected to g, s = (0.9 g)^2 after correction.
    assert off(p, 1 - 0.1 / 0.9) < 1e-12
    # Decay beside a step of SGD, by rectification.
    assert off(theta, (1 - 0.1 * 0.5) - 0.1) < 1e-12


def test_madgrad_without_momentum_and_epsilon_is_finite(
    rng: np.random.Generator,
) -> None:
    """Theirs divides 0 by 0 to find the starting point again: NaN at once."""
    p, g = rng.standard_normal((2, 9))
    g[0] = 0.0
    found = raced(p, [g], gs.MADGRAD, madgrad.MADGRAD, lr=0.1, momentum=0.0, eps=0.0)
    assert np.isnan(found.theirs).all()
    assert_within(p - found.ours, 0.1 ** (2 / 3) * np.cbrt(g), "the step")


def test_madgrads_cube_root_in_float32() -> None:
    """pow(x, 1/3) has an exponent that is off by 1e-8, which ln x multiplies: 11 units
    in the last place here, where x is 1e-30."""
    g = np.full(64, 1e-15, np.float32)
    found = raced(0 * g, [g], gs.MirrorMADGRAD, madgrad.MirrorMADGRAD, lr=1, momentum=0)
    unit = 2.0**-24
    assert off(found.ours, -1e-5) < 3 * unit
    assert 5 * unit < off(found.theirs, -1e-5) < 16 * unit


def test_each_array_has_its_own_count_of_steps() -> None:
    """MADGRAD's k is one for all arrays, also for those that come late."""
    arrays = [np.zeros(1), np.zeros(1)]
    thetas = [torch.zeros(1, dtype=torch.float64) for _ in arrays]
    options = {"lr": 1.0, "momentum": 0.5, "eps": 0.0}
    ours, theirs = gs.MADGRAD(arrays, **options), madgrad.MADGRAD(thetas, **options)
    for gradients in ([np.ones(1), None], [np.ones(1), np.ones(1)]):
        ours.step(gradients)
        fed(theirs, thetas, gradients)
    # Half of l / cbrt(l), with l = sqrt(t).
    assert arrays[1] == -0.5
    assert off(thetas[1], -0.5 * math.sqrt(2) ** (2 / 3)) < 1e-12


def test_mirror_madgrad_counts_the_steps_of_each_array() -> None:
    """Theirs counts them for all together, which shows where a gradient is missing."""
    rng = np.random.default_rng(1)
    arrays = [np.zeros(3), np.zeros(3)]
    thetas = [torch.zeros(3, dtype=torch.float64) for _ in arrays]
    options = {"lr": 0.1, "momentum": 0.5, "eps": 1e-3}
    ours = gs.MirrorMADGRAD(arrays, **options)
    theirs = madgrad.MirrorMADGRAD(thetas, **options)
    apart = []
    for t in range(6):
        gradients = [rng.standard_normal(3), rng.standard_normal(3) if t else None]
        ours.step(gradients)
        fed(theirs, thetas, gradients)
        apart.append([abs(p - q.numpy()).max() for p, q in zip(arrays, thetas)])
    assert max(x for x, _ in apart) < 1e-12
    assert max(x for _, x in apart) > 0.01


def test_gradients_are_left_as_they_are() -> None:
    """Theirs adds the penalty to them."""
    g, given = np.ones(1), torch.ones(1, dtype=torch.float64)
    p, theta = np.ones(1), torch.ones(1, dtype=torch.float64)
    theta.grad = given
    gs.MADGRAD(p, weight_decay=0.5).step(g)
    madgrad.MADGRAD([theta], weight_decay=0.5).step()
    assert g == 1
    assert given == 1.5
