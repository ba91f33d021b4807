"""Schedule-Free: averages of iterates in the place of schedules."""

import numpy as np

from reference.common import Array, Step, average, rectification

# p is y, where gradients are taken. x, where the model is evaluated, is not stored: it
# is in y = (1 - beta) z + beta x. The papers' beta is `momentum` or `beta1` here.
#
#   Defazio, Yang, Mehta, Mishchenko, Khaled, Cutkosky: The Road Less Scheduled.
#   arXiv:2405.15682, NeurIPS 2024.


def _warmup(t: int, warmup_steps: float) -> float:
    """Share of the learning rate at step t: min(1, t / T), of a whole number T."""
    return t / warmup_steps if t - 1 < warmup_steps else 1


def _weigh(
    t: int,
    rate: float,
    r: float,
    weight_lr_power: float,
    weight_sum: float,
    lr_max: float,
) -> tuple[float, dict[str, float]]:
    """Share c_t of step t in the average of all, and the scalars after it.

    Gamma_t = max_{i <= t} gamma_i;  w_t = t^r Gamma_t^p
    c_t = w_t / sum_{i <= t} w_i, or 0 if that is 0 / 0
    """
    if t == 1:
        weight_sum, lr_max = 0.0, 0.0
    lr_max = max(rate, lr_max)
    weight = t**r * lr_max**weight_lr_power
    weight_sum = weight_sum + weight
    c = weight / weight_sum if weight_sum != 0 else 0.0
    return c, {"weight_sum": weight_sum, "lr_max": lr_max}


def _move(
    y: Array, z: Array, direction: Array, rate: float, c: float, beta: float
) -> Step:
    """y and z after one step.

    z_t = z_{t-1} - gamma_t d_t
    x_t = (1 - c_t) x_{t-1} + c_t z_t
    y_t = (1 - beta) z_t + beta x_t

    x_t is put into the last line, and x_{t-1} by y_{t-1}, which spares a division by
    beta: y_t = (1 - c_t) y_{t-1} + c_t z_{t-1} - gamma_t (1 - beta (1 - c_t)) d_t
    """
    # Means are written as steps towards a point: so nothing moves where both agree, and
    # errors are those of that form.
    mean = y + c * (z - y)
    y = mean - rate * (1 - beta * (1 - c)) * direction
    return {"p": y, "z": z - rate * direction}


def schedulefree_sgd(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    momentum: float,
    weight_decay: float,
    decay_at_z: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
) -> Step:
    """Schedule-Free SGD, in the form of its authors' schedulefree.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024.

    z_0 = y_0. y_t, z_t and c_t are from _move and _weigh:

    gamma_t = alpha min(1, t / T)
    d_t = g_t + lambda y_{t-1}, or lambda z_{t-1} in its place, if `decay_at_z`
    """
    rate = lr * _warmup(t, warmup_steps)
    c, scalars = _weigh(t, rate, r, weight_lr_power, weight_sum, lr_max)
    direction = g + weight_decay * (z if decay_at_z else p)
    return {**_move(p, z, direction, rate, c, momentum), **scalars}


def _adamw(
    t: int,
    p: Array,
    g: Array,
    z: Array,
    v: Array,
    numerator: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decay_at_z: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
    eps_hat: float,
) -> Step:
    """Schedule-Free AdamW's step, along whatever numerator."""
    v = average(v, g**2, beta2)
    rate = lr * _warmup(t, warmup_steps)
    square = v / (1 - beta2**t)
    if eps_hat:
        rate = rate * (1 - beta2**t) ** 0.5
        square = v
    c, scalars = _weigh(t, rate, r, weight_lr_power, weight_sum, lr_max)
    direction = numerator / (np.sqrt(square) + eps)
    direction = direction + weight_decay * (z if decay_at_z else p)
    return {**_move(p, z, direction, rate, c, beta1), "v": v, **scalars}


def schedulefree_adamw(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    v: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decay_at_z: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
    eps_hat: float,
) -> Step:
    """Schedule-Free AdamW, in the form of its authors' schedulefree.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024,
    algorithm 1.

    v_t and vhat_t are as in adam, and all else is as in schedulefree_sgd:

    d_t = g_t / (sqrt(vhat_t) + epsilon) + lambda y_{t-1}

    `eps_hat` is the preprint's first version, AdamWScheduleFreePaper:

    gamma_t = alpha min(1, t / T) sqrt(1 - beta_2^t), also in c_t
    d_t = g_t / (sqrt(v_t) + epsilon) + lambda y_{t-1}
    """
    return _adamw(
        t,
        p,
        g,
        z,
        v,
        g,
        weight_sum,
        lr_max,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decay_at_z,
        warmup_steps,
        r,
        weight_lr_power,
        eps_hat,
    )


def schedulefree_adamw_inner(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    v: Array,
    m: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decay_at_z: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
    eps_hat: float,
    inner_momentum: float,
) -> Step:
    """Schedule-Free AdamW with a momentum of its own, as in its authors' repository.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024,
    algorithm 1; `inner_momentum` is in the code only.

    mhat_t takes g_t's place in the numerator of d_t of schedulefree_adamw:

    m_t = mu m_{t-1} + (1 - mu) g_t;  mhat_t = m_t / (1 - mu^t)
    """
    m = average(m, g, inner_momentum)
    m_hat = m / (1 - inner_momentum**t)
    new = _adamw(
        t,
        p,
        g,
        z,
        v,
        m_hat,
        weight_sum,
        lr_max,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decay_at_z,
        warmup_steps,
        r,
        weight_lr_power,
        eps_hat,
    )
    return {**new, "m": m}


def schedulefree_radam(
    *,
    t: int,
    p: Array,
    g: Array,
    z: Array,
    v: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decay_at_z: float,
    r: float,
    weight_lr_power: float,
    silent: float,
) -> Step:
    """Schedule-Free RAdam, in the form of its authors' schedulefree.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024; the
    rectification, by rho_t > 4, is the code's.

    r_t is from rectification, v_t and vhat_t are as in adam, and all else is as in
    schedulefree_sgd:

    gamma_t = alpha r_t;  d_t = g_t / (sqrt(vhat_t) + epsilon) + lambda y_{t-1}

    Where there is no r_t:

    gamma_t = alpha, or 0 if `silent`;  d_t = g_t + lambda y_{t-1}
    """
    v = average(v, g**2, beta2)
    rectified = rectification(t, beta2, threshold=4, inclusive=0)
    if rectified is not None:
        rate, direction = lr * rectified, g / (np.sqrt(v / (1 - beta2**t)) + eps)
    else:
        rate, direction = 0.0 if silent else lr, g
    c, scalars = _weigh(t, rate, r, weight_lr_power, weight_sum, lr_max)
    direction = direction + weight_decay * (z if decay_at_z else p)
    return {**_move(p, z, direction, rate, c, beta1), "v": v, **scalars}


def schedulefree_point(*, t: int, p: Array, g: Array, z: Array, weight: float) -> Step:
    """A point between two; no update.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024.

    `g` is the one end, and the returned `p` is the point, whatever `p` held. From x,
    a weight of 1 - beta leads to y; from y, one of 1 - 1 / beta to x:

    theta = g + weight (z - g)
    """
    return {"p": g + weight * (z - g), "z": z}


def schedulefree_average(
    *,
    t: int,
    p: Array,
    g: Array,
    x: Array,
    z: Array,
    weight_sum: float,
    lr_max: float,
    lr: float,
    momentum: float,
    r: float,
    weight_lr_power: float,
) -> Step:
    """Schedule-Free around any method, after the method's own step on z.

    Defazio et al.: The Road Less Scheduled. arXiv:2405.15682, NeurIPS 2024.

    The returned `p` is y_t, whatever `p` and `g` were. With gamma_t = alpha, and c_t
    from _weigh:

    x_t = (1 - c_t) x_{t-1} + c_t z_t
    y_t = mu x_t + (1 - mu) z_t
    """
    c, scalars = _weigh(t, lr, r, weight_lr_power, weight_sum, lr_max)
    x = x + c * (z - x)
    return {"p": x + (1 - momentum) * (z - x), "x": x, "z": z, **scalars}
