"""Each update that the tutorial prints, naively, beside the arguments that reach it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gradstep as gs

Array = NDArray[np.float64]

STEPS = 20
RNG = np.random.default_rng(2)
START = RNG.standard_normal(6)
SLOPE = RNG.standard_normal((6, 6)) / 6
NOISE = RNG.standard_normal((STEPS + 1, 6))


def gradient(w: Array, k: int) -> Array:
    """Of a different function at every step, as of a mini-batch."""
    return SLOPE @ w + np.sin(3 * w) + NOISE[k]


def assert_follows(
    update: Iterator[Array],
    optimizer: Callable[[Array], Any],
    before: Callable[[Any, int], None] = lambda *_: None,
) -> None:
    """The class, by gradients at where it is, goes where the equations do."""
    w = START.copy()
    made = optimizer(w)
    for k, expected in zip(range(STEPS), update):
        before(made, k)
        made.step(gradient(w, k))
        assert_close(w, expected)


def assert_close(actual: Array, expected: Array) -> None:
    error = abs(actual - expected).max()
    assert error <= 1e-12 * abs(expected).max()


def alpha(k: int) -> float:
    """A schedule, which tells the rate inside a sum from that outside."""
    return 0.1 / (1 + k)


def set_alpha(optimizer: Any, k: int) -> None:
    optimizer.lr = alpha(k)


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_momentum(beta: float) -> None:
    def update() -> Iterator[Array]:
        w, z = START, np.zeros(6)
        for k in range(STEPS):
            z = beta * z - alpha(k) * gradient(w, k)
            w = w + z
            yield w

    def momentum(w: Array) -> gs.SGD:
        return gs.SGD(w, momentum=beta, form="velocity")

    assert_follows(update(), momentum, set_alpha)
    if beta == 0:  # "we recover gradient descent"
        assert_follows(update(), gs.SGD, set_alpha)


def test_momentum_with_a_constant_rate_is_also_torchs() -> None:
    def update() -> Iterator[Array]:
        w, z = START, np.zeros(6)
        for k in range(STEPS):
            z = 0.9 * z - 0.1 * gradient(w, k)
            w = w + z
            yield w

    assert_follows(update(), lambda w: gs.SGD(w, lr=0.1, momentum=0.9))


def test_nesterov_momentum() -> None:
    beta = 0.9
    p, w, z = START.copy(), START, np.zeros(6)
    opt = gs.SGD(p, momentum=beta, nesterov=True, form="velocity")
    for k in range(STEPS):
        z = beta * z - alpha(k) * gradient(w + beta * z, k)
        w = w + z

        opt.lr = alpha(k)
        opt.step(gradient(opt.lookahead(), k))
        assert_close(p, w)


def test_adagrad() -> None:
    """The diagonal of G^k is the sum of squares up to and with step k."""
    eps = 1e-4

    def update() -> Iterator[Array]:
        w, g_sum = START, np.zeros((6, 6))
        for k in range(STEPS):
            g = gradient(w, k)
            g_sum = g_sum + np.diag(g**2)
            w = w - alpha(k) / np.sqrt(np.diag(g_sum) + eps) * g
            yield w

    assert_follows(
        update(), lambda w: gs.Adagrad(w, eps=eps, eps_placement="inside"), set_alpha
    )


def test_rmsprop() -> None:
    """Without any epsilon."""
    beta = 0.9

    def update() -> Iterator[Array]:
        w, mean = START, np.zeros(6)
        for k in range(STEPS):
            g = gradient(w, k)
            mean = beta * mean + (1 - beta) * g**2
            w = w - alpha(k) / np.sqrt(mean) * g
            yield w

    assert_follows(update(), lambda w: gs.RMSprop(w, alpha=beta, eps=0.0), set_alpha)


def adam(decay: float) -> Iterator[Array]:
    beta1, beta2, eps = 0.9, 0.999, 1e-4
    w, m, v = START, np.zeros(6), np.zeros(6)
    for k in range(STEPS):
        g = gradient(w, k)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1 ** (k + 1))
        v_hat = v / (1 - beta2 ** (k + 1))
        w = w - alpha(k) * decay * w - alpha(k) / (np.sqrt(v_hat) + eps) * m_hat
        yield w


def test_adam() -> None:
    """Also Algorithm 1 beside AdaBelief's, which projects on all that there is."""
    assert_follows(adam(0.0), lambda w: gs.Adam(w, eps=1e-4), set_alpha)


def test_adamw() -> None:
    """Named, without an equation: the decay is beside the step, not in the gradient."""
    assert_follows(
        adam(0.01), lambda w: gs.AdamW(w, eps=1e-4, weight_decay=0.01), set_alpha
    )


def test_adabelief() -> None:
    """Algorithm 2: one epsilon, in s and in the denominator."""
    beta1, beta2, eps = 0.9, 0.99, 1e-3

    def update() -> Iterator[Array]:
        theta, m, s = START, np.zeros(6), np.zeros(6)
        for t in range(1, STEPS + 1):
            g = gradient(theta, t - 1)
            m = beta1 * m + (1 - beta1) * g
            s = beta2 * s + (1 - beta2) * (g - m) ** 2 + eps
            m_hat = m / (1 - beta1**t)
            s_hat = s / (1 - beta2**t)
            theta = theta - alpha(t - 1) * m_hat / (np.sqrt(s_hat) + eps)
            yield theta

    def adabelief(w: Array) -> gs.AdaBelief:
        betas = (beta1, beta2)
        return gs.AdaBelief(w, betas=betas, eps_acc=eps, eps_out=eps, rectify=False)

    assert_follows(update(), adabelief, set_alpha)


def test_madgrad() -> None:
    """Algorithm 1, with sequences of steps and of momenta."""
    eps = 1e-3

    def c(k: int) -> float:
        return 0.1 + 0.3 / (1 + k)

    def update() -> Iterator[Array]:
        x, s, nu = START, np.zeros(6), np.zeros(6)
        for k in range(STEPS):
            g = gradient(x, k)
            lambda_ = alpha(k) * np.sqrt(k + 1)
            s = s + lambda_ * g
            nu = nu + lambda_ * (g * g)
            z = START - 1 / (np.cbrt(nu) + eps) * s
            x = (1 - c(k + 1)) * x + c(k + 1) * z
            yield x

    def before(opt: gs.MADGRAD, k: int) -> None:
        opt.lr, opt.momentum = alpha(k), 1 - c(k + 1)

    assert_follows(update(), lambda w: gs.MADGRAD(w, eps=eps, like="paper"), before)


def adan(restarts: Callable[[int, float], bool]) -> Iterator[tuple[Array, bool]]:
    """Algorithm 1 by its own betas, and whether it has restarted after a step.

    The condition, which is not printed, is asked with k and the paper's sum of
    |theta_{i+1} - theta_i|^2, weighted by the root of n_i.
    """
    beta1, beta2, beta3 = 0.1, 0.2, 0.05
    eta, eps, decay = 0.1, 1e-3, 0.3
    theta, last, k = START, START, 0
    for step in range(STEPS):
        g = gradient(theta, step)
        if k == 0:
            m, v, n, moved = g, 0 * g, g**2, 0.0
        else:
            m = (1 - beta1) * m + beta1 * g
            v = g - last if k == 1 else (1 - beta2) * v + beta2 * (g - last)
            n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * (g - last)) ** 2
        eta_k = eta / (np.sqrt(n) + eps)
        before = theta
        theta = 1 / (1 + decay * eta) * (theta - eta_k * (m + (1 - beta2) * v))
        moved += (np.sqrt(n) * (theta - before) ** 2).sum()
        last, k = g, k + 1
        restarted = restarts(k, moved)
        if restarted:
            k = 0
        yield theta, restarted


ADAN = {"betas": (0.9, 0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3, "lr": 0.1}


def test_adan() -> None:
    update = (theta for theta, _ in adan(lambda _k, _moved: False))
    assert_follows(update, lambda w: gs.Adan(w, like="paper", **ADAN))


def test_adan_that_is_restarted() -> None:
    w = START.copy()
    opt = gs.Adan(w, like="paper", **ADAN)
    count = 0
    for step, (theta, restarted) in enumerate(adan(lambda k, _moved: k == 7)):
        opt.step(gradient(w, step))
        assert_close(w, theta)
        if restarted:
            opt.restart()
            count += 1
    assert count == 2


def test_adan_that_restarts_by_itself() -> None:
    """By the condition of the paper's theory."""
    radius = 1.7
    w = START.copy()
    opt = gs.Adan(w, like="paper", restart_radius=radius, **ADAN)
    restarts = []
    update = adan(lambda k, moved: k * moved > radius**2)
    for step, (theta, restarted) in enumerate(update):
        opt.step(gradient(w, step))
        assert_close(w, theta)
        assert (opt.state[0]["step"] == 0) == restarted
        if restarted:
            restarts.append(step)
    assert len(restarts) > 1
    assert restarts[0] > 1


def test_schedule_free_adamw() -> None:
    """Algorithm 1. Line 12 prints (1 - c) without x_t, which must be meant."""
    rate, decay, warmup = 0.1, 0.3, 6
    beta1, beta2, eps = 0.9, 0.99, 1e-3
    w = START.copy()
    opt = gs.ScheduleFreeAdamW(
        w,
        lr=rate,
        betas=(beta1, beta2),
        eps=eps,
        weight_decay=decay,
        warmup_steps=warmup,
    )
    x, z, v, squares = START, START, np.zeros(6), 0.0
    for t in range(1, STEPS + 1):
        y = (1 - beta1) * z + beta1 * x
        g = gradient(y, t)
        v = beta2 * v + (1 - beta2) * g**2
        v_hat = v / (1 - beta2**t)
        gamma = rate * min(1, t / warmup)
        z = z - gamma * g / (np.sqrt(v_hat) + eps) - gamma * decay * y
        squares += gamma**2
        c = gamma**2 / squares
        x = (1 - c) * x + c * z

        assert_close(w, y)
        opt.step(gradient(w, t))
        assert_close(opt.eval_params(), x)
        assert_close(opt.state[0]["z"], z)
