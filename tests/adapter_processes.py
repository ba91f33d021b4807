"""Two processes of torch.distributed on the CPU, and what is trained in them.

All tests there compare with one process that takes the whole batch. A step of it takes
the mean of the losses of two halves, so that its gradients have the bits of an average
over two processes, and the parameters can be asked to be equal, not close.
"""

import atexit
import os
import pickle
import traceback
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import gradstep as gs
import gradstep.torch as gst
from variants import VARIANTS

with warnings.catch_warnings():
    # Its import compiles functions with torch.jit, which is deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch.distributed import optim

ZeroRedundancyOptimizer = optim.ZeroRedundancyOptimizer
apply_in_backward = optim._apply_optimizer_in_backward

# Seconds for a message between the two, and for whatever they are asked to do.
GLOO, TASK = 20, 60

# A moment, a buffer that torch counts no steps of, a number beside the arrays, and one
# with an epsilon in the state.
NAMES = ["adamw", "dampening", "adan", "adabelief"]

# Two forms have no place among tensors, and are refused.
ALL = [name for name in VARIANTS if name not in {"shifted", "adan paper"}]

Part = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, Part], Tensor]


ENDED = "the process has ended"


class Two:
    """Ranks 0 and 1, which wait for functions to run."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._ends: list[Connection] = []
        self._processes: list[Any] = []

    def _start(self) -> None:
        self._folder = TemporaryDirectory()
        context = get_context("spawn")  # a fork would inherit torch's threads
        for rank in range(2):
            ours, theirs = context.Pipe()
            args = (rank, f"{self._folder.name}/store", theirs)
            process = context.Process(target=_serve, args=args, daemon=True)
            process.start()
            theirs.close()
            self._ends.append(ours)
            self._processes.append(process)

    def __call__(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return what the function returned in each process."""
        self.send(function, *args)
        values: dict[int, Any] = {}
        errors: list[str] = []
        while len(values) < 2:
            # After an error of one the other may wait for it, in torch, in vain.
            rank = self._first({0, 1} - values.keys(), 1 if errors else TASK)
            if rank is None:
                break
            good, values[rank] = self.receive(rank)
            if not good:
                errors.append(f"rank {rank}: {values[rank]}")
        if len(values) < 2 or ENDED in values.values():
            self.kill()
        if errors or len(values) < 2:
            raise RuntimeError("\n".join(errors) or f"no answer within {TASK} s")
        return [values[0], values[1]]

    def send(self, function: Callable[..., Any], *args: Any) -> None:
        if self._folder is None:
            self._start()
        for end in self._ends:
            end.send_bytes(pickle.dumps((function, args)))

    def receive(self, rank: int) -> tuple[bool, Any]:
        """Return whether a process was successful, and what it returned or raised."""
        if self._first({rank}, TASK) is None:
            return False, f"no answer within {TASK} s"
        try:
            good, value = pickle.loads(self._ends[rank].recv_bytes())
        except (EOFError, ConnectionResetError):
            return False, ENDED
        return good, value

    def _first(self, ranks: set[int], timeout: float) -> int | None:
        """Return which of them is the first to say something."""
        ready = wait([self._ends[rank] for rank in ranks], timeout)
        return next((rank for rank in ranks if self._ends[rank] in ready), None)

    def kill(self) -> None:
        """End both; others start when they are needed."""
        for process in self._processes:
            process.kill()
        self.close()

    def close(self) -> None:
        for end in self._ends:
            end.close()  # where a process waits it then leaves
        for process in self._processes:
            process.join(5)
            process.kill()
            process.join()
            process.close()
        self._ends, self._processes = [], []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


# To start takes longer than all tests: one pair serves all files.
two = Two()
atexit.register(two.close)


def _serve(rank: int, store: str, end: Connection) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # no name of this machine is looked up
    torch.set_num_threads(1)
    gs.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=GLOO),
    )
    while True:
        try:
            function, args = pickle.loads(end.recv_bytes())
        except (EOFError, ConnectionResetError):
            break
        try:
            reply = True, function(*args)
        except BaseException:
            reply = False, traceback.format_exc()
        end.send_bytes(pickle.dumps(reply))
    dist.destroy_process_group()


def make(name: str, params: Any, **more: Any) -> gst.Optimizer:
    """Return our optimizer of a variant, in which no hyperparameter is neutral."""
    kind, options = chosen(name)
    made: gst.Optimizer = kind(params, **options, **more)
    return made


def chosen(name: str) -> tuple[type[gst.Optimizer], dict[str, Any]]:
    method, options = VARIANTS[name]
    return getattr(gst, method.__name__), options


def model_of(*widths: int, seed: int = 0, dtype: Any = torch.float32) -> nn.Sequential:
    """Return layers with something between them; 13, 7, 3 makes odd sizes."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, dtype=dtype), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def steps_of(
    n: int, before: int, after: int, *, seed: int = 1, dtype: Any = torch.float32
) -> list[list[Part]]:
    """Return rows and targets for steps of two halves each."""
    draws = torch.Generator().manual_seed(seed)

    def part() -> Part:
        x = torch.randn(6, before, generator=draws, dtype=dtype)
        return x, torch.randn(6, after, generator=draws, dtype=dtype)

    return [[part(), part()] for _ in range(n)]


def squares(model: nn.Module, part: Part) -> Tensor:
    return nn.functional.mse_loss(model(part[0]), part[1])


def train(
    model: nn.Module, opt: Any, steps: Sequence[Sequence[Part]], loss: Loss = squares
) -> None:
    """Take steps on the mean loss of the parts."""
    for parts in steps:
        opt.zero_grad()
        sum(loss(model, part) / len(parts) for part in parts).backward()
        opt.step()


def mine(steps: Sequence[Sequence[Part]]) -> list[list[Part]]:
    """Return this process's part of each step."""
    return [[parts[dist.get_rank()]] for parts in steps]


def whole(t: Any) -> Tensor:
    """Return a tensor of this process alone, whatever kind it was."""
    full = t.full_tensor() if hasattr(t, "full_tensor") else t
    return full.detach().clone()


def weights(model: nn.Module) -> list[Tensor]:
    return [whole(p) for p in model.parameters()]


def states(opt: torch.optim.Optimizer) -> list[dict[str, Tensor]]:
    """Return the states of parameters, in their order."""
    params = [p for group in opt.param_groups for p in group["params"]]
    return [{k: whole(v) for k, v in opt.state.get(p, {}).items()} for p in params]


def same(found: Any, expected: Any) -> bool:
    """Return whether nested tensors have the same names, types, shapes and bits."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same(found[k], expected[k]) for k in expected
        )
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if torch.is_tensor(expected):
        return bool(found.dtype == expected.dtype and torch.equal(found, expected))
    return bool(found == expected)
