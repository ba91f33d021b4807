"""Optimizer states in the host's memory, stepped there, for parameters of a device."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Unpack

import torch

from gradstep import _core
from gradstep.scaling import Scaling, engine_scaling
from gradstep.torch import mirrors
from gradstep.torch.mirrors import Mirror
from gradstep.torch.offloaded import Offloaded
from gradstep.torch.optimizer import Optimizer

BUCKET = 2**25  # bytes


class CPUOffload(Offloaded):
    r"""Keep the states of an optimizer in the host's memory, and step there.

    With parameters :math:`p` on a device, gradients :math:`g` and the step
    :math:`(p, s) \leftarrow f(p, g, s)` of the optimizer,

    .. math::
        \tilde g = g, \qquad (\tilde p, s) \leftarrow f(\tilde p, \tilde g, s),
        \qquad p = \tilde p

    where :math:`\tilde g`, :math:`\tilde p` and :math:`s` are in the host's memory and
    :math:`f` is computed by the kernels of the CPU. So the results have the bits of
    the optimizer on a model that is on the CPU, given these gradients. Parameters go
    in buckets: while one is stepped, the gradients of the next come, and the new
    values of the one before return.

    Parameters
    ----------
    optimizer : Optimizer
        One of `gradstep.torch` over parameters on a CUDA device, or on the CPU. Its
        `param_groups` are shared, its states move here; do not step it any more.
    overlap : bool, default False
        Let copies, and, unless gradients are scaled or clipped, steps begin while
        backward goes on. The device's parameters change in `step` only. See the notes
        for what may not be done to gradients then.
    bucket_bytes : int, default 32 MiB
        Of parameters that are stepped at a time, at least.
    grad_scale, clip_norm, nonfinite
        What `step` does with gradients unless it is told otherwise: see
        `gradstep.Optimizer.step`. Any of them lets it take all parameters at a time,
        after all gradients have come.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range, or if a parameter is a
        DTensor, on another device, or overlaps itself; the message names it.

    Notes
    -----
    Per element, in the type of the parameter: a value and a gradient in pinned memory;
    and what the optimizer keeps. For a bfloat16 parameter these are 4 bytes, 4 of its
    float32 master, which the optimizer's ``master="float32"`` asks for, and 8 of Adam's
    states. A float32 parameter needs no master: its value here is one.

    What is written to a parameter between steps is fetched before the next, as long as
    autograd sees it (``p.copy_``, not ``p.data.copy_``; else call `pull`).

    Design: without `overlap` nothing is copied before `step`. A copy made in backward
    misses what is done to the gradient later, and much of that cannot be seen: writes
    to ``p.grad.data``, GradScaler's, and sums over processes. A step hides the copies
    of all buckets but the first anyway. With `overlap` every gradient must be final
    when backward has made it, and each backward be followed by one step: no
    accumulation, no change of gradients or options between, no GradScaler, and one
    process. What of that is seen is refused. With `clip_norm`, `grad_scale` or
    `nonfinite` given here, where only copies overlap, gradients may be accumulated,
    and changed where autograd sees it (as ``clip_grad_norm_`` does).

    Steps are taken on the current stream's side and in its order; they cannot be
    captured in a CUDA graph.

    Examples
    --------
    >>> import torch
    >>> import gradstep.torch as gst
    >>> model = torch.nn.Linear(3, 1).to(torch.bfloat16)  # .to("cuda"), too
    >>> opt = gst.AdamW(model.parameters(), lr=0.1, master="float32")
    >>> opt = gst.CPUOffload(opt, clip_norm=1.0)
    >>> model(torch.ones(2, 3, dtype=torch.bfloat16)).sum().backward()
    >>> opt.step()
    >>> opt.last_step.clip_factor < 1
    True
    >>> opt.state[model.bias]["master"].dtype
    torch.float32
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        overlap: bool = False,
        bucket_bytes: int = BUCKET,
        **how: Unpack[Scaling],
    ) -> None:
        _check_arguments(optimizer, bucket_bytes, how)
        self._how, self._size = how, bucket_bytes
        self._overlap, self._early = bool(overlap), bool(overlap) and not how
        # By this a GradScaler tells of itself, in found_inf, before it calls step.
        self._step_supports_amp_scaling = self._overlap
        self._lock = threading.Lock()  # hooks come from a thread for each device
        come = CPUOffload._begin_with if self._overlap else None
        super().__init__(optimizer, bucket_bytes, come)

    # -- steps

    def step(
        self, closure: Callable[[], Any] | None = None, **how: Unpack[Scaling]
    ) -> Any:
        """Take one step; return what `closure` returns.

        `grad_scale`, `clip_norm` and `nonfinite` go before those of the constructor.
        The current stream waits for the new values, the host does not.
        """
        self._check_unscaled()
        if how and self._early:
            raise ValueError(
                f"CPUOffload.step: {min(how)} comes too late with overlap=True; give "
                "it to CPUOffload itself, or pass overlap=False"
            )
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        how = {**self._how, **how}
        engine_scaling("CPUOffload.step", how)
        self._check_ahead()
        try:
            for bucket in self._ahead.done():
                self._send(bucket)
            self._sync()
            for bucket in self._buckets(how):
                self._take(bucket, how)
                if not self._host.last_step.skipped:
                    self._send(bucket)
        finally:
            for lane in self._lanes.values():
                lane.join()
        self._begin_anew()
        return loss

    def _buckets(self, how: Scaling) -> Iterator[list[Mirror]]:
        """Yield what is to be stepped at a time; all of it comes from now on."""
        due = [m for m in self._all() if m.param.grad is not None and not m.ahead]
        for m in due:
            m.fetch(self._name)
        # What may be refused is taken whole, so that then nothing has been changed.
        whole = (
            bool(how or not due)
            or not all(m.known and m.has_plain_gradient() for m in due)
            or self._together()
        )
        return iter([due]) if whole else mirrors.buckets(due, self._size)

    def _together(self) -> bool:
        """Return whether a step needs all gradients, whatever it is told."""
        method = self._optimizer.method
        return any(_core.find(rule, "f32").across for rule in method.rules) or any(
            method.clipping(method.default_options | group)[0]
            for group in self.param_groups
        )

    # -- steps during backward

    def _begin_with(self, p: torch.Tensor) -> None:
        """Do what can be done when backward has made a gradient."""
        m = self._mirrors[id(p)]
        if not m.has_plain_gradient():
            return  # step tells what it is
        _check_alone()
        with self._lock:
            if self._early and (m.ahead or (m.seen and m.seen[0] is p.grad)):
                raise RuntimeError(
                    f"CPUOffload: param_groups{m.where} has a second gradient before "
                    "step(), which overlap=True cannot add to the first; call step() "
                    "after each backward, or pass overlap=False to accumulate"
                )
            m.fetch(self._name)
            if self._early and m.known:
                if self._may is None:
                    self._sync()
                    self._may = self._apart()
                if self._may:
                    self._ahead.add(m)

    def _apart(self) -> bool:
        """Return whether no step can depend on what is yet to come.

        Options that are tensors may change without our seeing it.
        """
        return not self._together() and not any(
            any(map(torch.is_tensor, value if isinstance(value, tuple) else (value,)))
            for group in self.param_groups
            for value in group.values()
        )

    def _check_ahead(self) -> None:
        """Refuse what was changed after backward has used it."""
        for m in self._ahead.members():
            if not m.is_here():
                raise RuntimeError(
                    f"CPUOffload.step: the gradient of param_groups{m.where} was "
                    "changed after backward, when overlap=True may have stepped by it; "
                    "go on from a checkpoint, with overlap=False"
                )
        if not self._ahead.begun():
            return
        pairs = zip(self.param_groups, self._host.param_groups, strict=False)
        for j, (now, then) in enumerate(pairs):
            for name in then.keys() - {"params"}:
                if now.get(name) != then[name]:
                    raise RuntimeError(
                        f"CPUOffload.step: param_groups[{j}][{name!r}] was changed "
                        f"after backward, from {then[name]!r} to {now.get(name)!r}, "
                        "when overlap=True may have stepped by it; put it back and set "
                        "it before backward, or pass overlap=False"
                    )

    def _check_unscaled(self) -> None:
        """Refuse torch's GradScaler, which writes to gradients as nobody can see."""
        if self._overlap and self.__dict__.pop("found_inf", None) is not None:
            self.__dict__.pop("grad_scale", None)
            raise RuntimeError(
                "CPUOffload.step: a GradScaler changes gradients after backward, when "
                "overlap=True has copied them; pass overlap=False"
            )


def _check_arguments(optimizer: Any, bucket_bytes: Any, how: Scaling) -> None:
    if not isinstance(optimizer, Optimizer):
        kind = type(optimizer)
        raise TypeError(
            "CPUOffload: optimizer must be one of gradstep.torch, got "
            f"{kind.__module__}.{kind.__qualname__}; build it with the class of "
            "gradstep.torch of that name"
        )
    if type(bucket_bytes) is not int or bucket_bytes < 1:
        raise ValueError(
            f"CPUOffload: bucket_bytes must be an int >= 1, got {bucket_bytes!r}"
        )
    engine_scaling("CPUOffload", how)


def _check_alone() -> None:
    """Refuse gradients that are summed over processes after they have been used."""
    d = torch.distributed
    if d.is_available() and d.is_initialized() and d.get_world_size() > 1:
        raise RuntimeError(
            "CPUOffload: overlap=True copies gradients before they are summed over the "
            f"{d.get_world_size()} processes of torch.distributed; pass overlap=False"
        )
