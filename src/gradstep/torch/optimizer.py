"""`torch.optim.Optimizer` over the kernels: what all generated classes share."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Unpack

import torch

from gradstep import storage
from gradstep.declared import changed_after_a_step, is_part_of_betas
from gradstep.precision import PrecisionCheck
from gradstep.scaling import Scaling, StepReport, engine_scaling, refuse
from gradstep.torch import cuda, device
from gradstep.torch.bound import AS_THEY_ARE, NO_AMP, Bound
from gradstep.torch.compiling import break_graph_at
from gradstep.torch.loading import read
from gradstep.torch.precision import Samples, rounded

# What torch's own classes take beside the options of their rule, and what we do of it:
# a step is always fused, can be captured on a device, and is not differentiable.
INERT: dict[str, tuple[Any, ...]] = {
    "foreach": (None, True, False),
    "fused": (None, True, False),
    "capturable": (False, True),
    "differentiable": (False,),
}

# Methods that torch.compile must not trace; some classes have only the first.
UNTRACED = ("step", "state_dict", "load_state_dict", "eval", "train")

NO_STEP = StepReport(None, 1.0, None, skipped=False)

# Its _init_optim_state takes a step to make states.
_CHECKPOINT = "torch.distributed.checkpoint.state_dict"


class Optimizer(torch.optim.Optimizer):
    """Base of the optimizers of `gradstep.torch`: see one of them for how to use it."""

    method: ClassVar[Any]  # the class of arrays
    inert: ClassVar[dict[str, tuple[Any, ...]]] = INERT
    positional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Any, *args: Any, **options: Any) -> None:
        self._take_positional(args, options)
        inert = {name: known[0] for name, known in self.inert.items()}
        inert |= {k: options.pop(k) for k in self.inert if k in options}
        self._check_inert(inert)
        numbers = self._numbers(options)
        self.method.check_new(numbers)
        defaults = numbers | _tensors(options)
        self._bound: Bound | None = None
        self._fixed: list[Any] = []
        self._captured: list[Bound] = []  # graphs read and write what they have
        self._last: StepReport | Callable[[], StepReport] = NO_STEP
        self._precision: PrecisionCheck | None = None
        super().__init__(params, defaults | inert)

    def _patch_step_function(self) -> None:
        super()._patch_step_function()  # torch's profiling and hooks around step
        break_graph_at(type(self), *UNTRACED)

    def _take_positional(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        owner, names = type(self).__name__, self.positional
        if len(args) > len(names):
            raise TypeError(
                f"{owner} takes {len(names)} options by position, {', '.join(names)}, "
                f"got {len(args)}; pass the others by name"
            )
        for name, value in zip(names, args, strict=False):
            if name in options:
                raise TypeError(f"{owner}: {name} is given twice")
            options[name] = value

    @classmethod
    def _check_inert(cls, given: dict[str, Any]) -> None:
        for name, value in given.items():
            known = cls.inert[name]
            if not any(value is one for one in known):
                allowed = ", ".join(map(repr, known))
                raise ValueError(
                    f"{cls.__name__}: {name} must be one of {allowed}, got {value!r}"
                )
        if given.get("foreach") and given.get("fused"):
            raise ValueError(
                f"{cls.__name__}: foreach and fused cannot both be True; leave them out"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, as in torch."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self.method.check_new(self._options(group))
        except BaseException:
            self.param_groups.pop()
            raise

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        """Return a group's options in the form that the rule takes them."""
        # Callers keep what they like in a group beside the options, as in torch.
        own = {name: group[name] for name in self.method.options if name in group}
        self._check_inert({k: group[k] for k in self.inert if k in group})
        if group.get("capturable") and _on_host(group):
            raise ValueError(
                f"{type(self).__name__}: capturable=True is for parameters on a "
                "device, and some are on the CPU; leave it out"
            )
        lr: Any = group.get("lr")
        if group.get("capturable") and torch.is_tensor(lr) and lr.device.type == "cpu":
            raise ValueError(
                f"{type(self).__name__}: lr is a tensor on the CPU, which a graph "
                "would not look at again; move it to the device of the parameters"
            )
        known = self._numbers(own)
        if known.get("form") == "velocity" and known.get("nesterov"):
            raise ValueError(
                f"{type(self).__name__}: form='velocity' with nesterov wants gradients "
                "elsewhere than at the parameters; use form='buffer'"
            )
        if known.get("restart_radius"):
            raise ValueError(
                f"{type(self).__name__}: restart_radius must be 0 for tensors, got "
                f"{known['restart_radius']}"
            )
        return known

    def step(
        self, closure: Callable[[], Any] | None = None, **how: Unpack[Scaling]
    ) -> Any:
        """Take one step, in place; return what `closure` returns.

        `grad_scale`, `clip_norm` and `nonfinite` are those of a step of arrays, see
        `gradstep.Optimizer.step`: gradients are scaled, clipped by the norm of all of
        them together, also over the shards of DTensors, and steps that are not finite
        skipped. Gradients are not written to. `last_step` tells what was found.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        where = f"{type(self).__name__}.step"
        scaling = engine_scaling(where, how) if how else AS_THEY_ARE
        self._last = NO_STEP
        is_looked_at = self._is_looked_at()
        if self._bound is None or not self._step(self._bound, scaling):
            self._bind(scaling)
        if is_looked_at:
            self._look()
        if self._bound is not None and how:
            # Read when it is asked for: on a device one would wait for it.
            self._last = self._bound.report
            if how.get("nonfinite") == "raise":
                refuse(where, how, self.last_step)
        return loss

    def _is_looked_at(self) -> bool:
        """Return whether a look at the coming step is due, and possible."""
        if self._precision is None or not self._precision.is_due():
            return False
        # With torch.amp only the device knows whether a step is skipped.
        return getattr(self, "found_inf", None) is None and not cuda.capturing()

    def _look(self) -> None:
        """Warn if the steps since the last look are lost in rounding."""
        precision, bound = self._precision, self._bound
        assert precision is not None
        slots = [] if bound is None else rounded(bound.slots)
        if bound is None or not slots or bound.report().skipped:
            return
        samples, precision.samples = precision.samples, Samples(slots)
        precision.judge(samples.look(self.param_groups))

    def _begin_looking(self, bound: Bound) -> None:
        """Note what parameters are whose steps may be lost in rounding."""
        slots = rounded(bound.slots)
        if slots and self._precision is None:
            codes = [slot.layout.param for slot in slots]
            self._precision = precision = PrecisionCheck(type(self).__name__, codes)
            samples = Samples(slots)
            precision.begin(samples, samples.largest_rate(self.param_groups), steps=1)

    @property
    def last_step(self) -> StepReport:
        """What the last step found in its gradients, and did with them."""
        # Asked for each time, since steps may be replayed from a graph.
        return self._last if isinstance(self._last, StepReport) else self._last()

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether `torch.amp.GradScaler` passes its scale to `step`.

        On a device it does, as it would otherwise wait to learn whether gradients are
        finite. Then they are still scaled when code between clips them, for which
        Lightning refuses to. fused=False or foreach=True in a group asks for gradients
        that GradScaler has unscaled, as for torch's optimizers.
        """
        if any(
            group.get("fused") is False or group.get("foreach")
            for group in self.param_groups
        ):
            return False
        params = [p for group in self.param_groups for p in group["params"]]
        return bool(params) and device.has_kernels(params)

    @classmethod
    def _numbers(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Return all options, checked: numbers in place of tensors of one element."""
        plain = {}
        for name, value in options.items():
            try:
                plain[name] = _number(value)
            except ValueError as error:
                raise ValueError(f"{cls.__name__}: {name}: {error}") from None
        found: dict[str, Any] = cls.method.checked(plain)
        return found

    def _step(self, bound: Bound, scaling: tuple[float, float, bool]) -> bool:
        amp = NO_AMP
        if bound.on_device:
            amp = {name: getattr(self, name, None) for name in NO_AMP}
            if cuda.capturing() and bound not in self._captured:
                self._captured.append(bound)
        return bound.step(self.param_groups, self.state, self._options, scaling, amp)

    @torch.no_grad()
    def _bind(self, scaling: tuple[float, float, bool]) -> None:
        """Take a step of what the tensors are now."""
        if any(p.is_cuda for g in self.param_groups for p in g["params"]):
            self._check_capture()
        before, self._bound = self._bound, None
        options = [self._options(group) for group in self.param_groups]
        fixed = [self._fixed_by(found) for found in options]
        if self.state:
            self._check_fixed(fixed)
        if all(p.grad is None for g in self.param_groups for p in g["params"]):
            return
        fresh, with_state = not self.state, set(self.state)
        bound = Bound(
            *(type(self).__name__, self.method, self.param_groups),
            *(self.state, options, before),
        )
        if fresh and self._only_makes_states():
            self._bound = bound
            return
        self._fixed = fixed
        try:
            stepped = self._step(bound, scaling)
        except (TypeError, ValueError):  # a gradient was refused
            for p in self.state.keys() - with_state:
                del self.state[p]
            raise
        if not stepped:
            raise RuntimeError(
                f"{type(self).__name__}.step: parameters or options changed while the "
                "step began; take turns"
            )
        self._bound = bound
        self._begin_looking(bound)

    def _check_capture(self) -> None:
        """Refuse to bind what a graph would have to bind again in each replay."""
        if cuda.capturing():
            raise RuntimeError(
                f"{type(self).__name__}.step: a graph is being captured, and this is "
                "the first step, or the first after options, states or parameters have "
                "changed; take a step before the capture"
            )

    @classmethod
    def _fixed_by(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Return what must not change after a step; Rprop may, as torch lets it."""
        found: dict[str, Any] = cls.method.fixed(options)
        kept = {name: options[name] for name in storage.OPTIONS}
        return {name: value for name, value in found.items() if name != "lr"} | kept

    def _check_fixed(self, now: list[dict[str, Any]]) -> None:
        """Refuse changes that would leave states without their meaning."""
        for j, (then, found) in enumerate(zip(self._fixed, now, strict=False)):
            for name, value in then.items():
                if found[name] != value:
                    where = f"param_groups[{j}][{name!r}]"
                    if is_part_of_betas(name):
                        where = f"param_groups[{j}]['betas']: {name}"
                    change = changed_after_a_step(name, value, found[name])
                    raise ValueError(f"{type(self).__name__}: {where} {change}")

    def _only_makes_states(self) -> bool:
        """Return whether torch.distributed.checkpoint takes this step to make states.

        It steps with lr 0 on gradients of zeros before it saves or loads, and what it
        saves must not count that step. A run whose warm-up begins at lr 0 may take the
        same step and must count it, so only the caller tells the two apart.
        """
        if any(_number(group.get("lr", 0.0)) for group in self.param_groups):
            return False
        frame = inspect.currentframe()
        while frame is not None:
            if frame.f_globals.get("__name__") == _CHECKPOINT:
                return True
            frame = frame.f_back
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return options and states, as in torch: the tensors themselves, no copies."""
        if self._bound is not None:
            self._bound.check_states()
        found: dict[str, Any] = super().state_dict()
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where a `state_dict` was taken: of ours, torch's or the authors'.

        Parameters are matched by name where both sides have names, else by position.
        States are copied and keep their type.

        Raises
        ------
        ValueError, KeyError
            If it does not fit. Nothing has been changed then.
        """
        given = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            given = hook(self, given) or given
        where = f"{type(self).__name__}.load_state_dict"
        state, groups = read(where, self.method, self.param_groups, given)
        for group in groups:
            self._complete(group)
            self._options(group)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _complete(self, group: dict[str, Any]) -> None:
        """Add to a group what older ones lack; how torch ran is of no matter here."""
        for name, value in self.method.default_options.items():
            group.setdefault(name, value)
        for name, known in self.inert.items():
            if name == "decoupled_weight_decay":
                group.setdefault(name, known[0])  # another formula: not to be changed
            elif not any(group.get(name, known[0]) is value for value in known):
                group[name] = known[0]
        if group.get("capturable") and _on_host(group):
            group["capturable"] = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._bound, self._fixed, self._last = None, [], NO_STEP
        self._captured = getattr(self, "_captured", [])
        self._precision = None
        for group in self.param_groups:
            self._complete(group)


def _on_host(group: dict[str, Any]) -> bool:
    return any(p.device.type == "cpu" for p in group["params"])


def _number(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_number, value))
    if not torch.is_tensor(value):
        return value
    if value.numel() != 1:
        raise ValueError(
            f"as a tensor it must have one element, got shape {tuple(value.shape)}"
        )
    return value.item()


def _tensors(options: dict[str, Any]) -> dict[str, Any]:
    """Return those that are tensors, or hold some: they stay as they are given."""
    return {
        name: value
        for name, value in options.items()
        if _number(value) is not value
        and (torch.is_tensor(value) or any(map(torch.is_tensor, value)))
    }
