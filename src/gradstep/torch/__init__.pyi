# Written by .ci/torch_stub.py, from the registry.
from typing import Any

from torch import Tensor

from gradstep.torch.averaging import Averaging
from gradstep.torch.optimizer import Optimizer as Optimizer

class AdaBelief(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps_acc: float | Tensor = ...,
        eps_out: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        weight_decouple: bool = ...,
        fixed_decay: bool = ...,
        rectify: bool = ...,
        degenerated_to_sgd: bool = ...,
        amsgrad: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Adagrad(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        lr_decay: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        initial_accumulator_value: float | Tensor = ...,
        eps: float | Tensor = ...,
        foreach: bool | None = ...,
        *,
        eps_placement: str = ...,
        maximize: bool = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Adadelta(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        rho: float | Tensor = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        foreach: bool | None = ...,
        *,
        maximize: bool = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Adai(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Adam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        amsgrad: bool = ...,
        *,
        eps_root: float | Tensor = ...,
        eps_hat: bool = ...,
        bias_correction: bool = ...,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
        decoupled_weight_decay: bool = ...,
    ) -> None: ...

class AdamW(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        amsgrad: bool = ...,
        *,
        eps_root: float | Tensor = ...,
        eps_hat: bool = ...,
        bias_correction: bool = ...,
        like: str = ...,
        fixed_decay: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
        decoupled_weight_decay: bool = ...,
    ) -> None: ...

class Adamax(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        foreach: bool | None = ...,
        *,
        decoupled_weight_decay: bool = ...,
        maximize: bool = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Adan(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        no_prox: bool = ...,
        max_grad_norm: float | Tensor = ...,
        restart_radius: float | Tensor = ...,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class EAdam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        amsgrad: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Padam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        partial: float | Tensor = ...,
        amsgrad: bool = ...,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class LAMB(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        bias_correction: bool = ...,
        adapt: bool = ...,
        max_grad_norm: float | Tensor = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class LARS(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        momentum: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        trust_coefficient: float | Tensor = ...,
        eps: float | Tensor = ...,
        norm: str = ...,
        form: str = ...,
        adapt: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Lion(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        weight_decay: float | Tensor = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class MADGRAD(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        momentum: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decouple_decay: bool = ...,
        eps: float | Tensor = ...,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class MirrorMADGRAD(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        momentum: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decouple_decay: bool = ...,
        eps: float | Tensor = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class NAdam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        momentum_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        *,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class RAdam(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decoupled_weight_decay: bool = ...,
        *,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class RMSprop(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        alpha: float | Tensor = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        momentum: float | Tensor = ...,
        centered: bool = ...,
        capturable: bool = ...,
        foreach: bool | None = ...,
        maximize: bool = ...,
        differentiable: bool = ...,
        *,
        nesterov: bool = ...,
        form: str = ...,
        eps_placement: str = ...,
        bias_correction: bool = ...,
        initial_accumulator_value: float | Tensor = ...,
        fused: bool | None = ...,
    ) -> None: ...

class Rprop(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        etas: tuple[float | Tensor, float | Tensor] = ...,
        step_sizes: tuple[float | Tensor, float | Tensor] = ...,
        *,
        variant: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class ScheduleFreeSGD(Averaging):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        momentum: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decay_at: str = ...,
        warmup_steps: int = ...,
        r: float | Tensor = ...,
        weight_lr_power: float | Tensor = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class ScheduleFreeAdamW(Averaging):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decay_at: str = ...,
        warmup_steps: int = ...,
        r: float | Tensor = ...,
        weight_lr_power: float | Tensor = ...,
        inner_momentum: float | Tensor = ...,
        like: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class ScheduleFreeRAdam(Averaging):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        betas: tuple[float | Tensor, float | Tensor] = ...,
        eps: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        decay_at: str = ...,
        r: float | Tensor = ...,
        weight_lr_power: float | Tensor = ...,
        silent_sgd_phase: bool = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class SGD(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        momentum: float | Tensor = ...,
        dampening: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        nesterov: bool = ...,
        *,
        dampen_first: bool = ...,
        decoupled_weight_decay: bool = ...,
        form: str = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...

class Signum(Optimizer):
    def __init__(
        self,
        params: Any,
        lr: float | Tensor = ...,
        *,
        momentum: float | Tensor = ...,
        weight_decay: float | Tensor = ...,
        maximize: bool = ...,
        foreach: bool | None = ...,
        fused: bool | None = ...,
        capturable: bool = ...,
        differentiable: bool = ...,
    ) -> None: ...
