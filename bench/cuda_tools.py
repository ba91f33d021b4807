"""Steps on CUDA among torch's own tools: graphs, GradScaler, threads, shards, offload.

Parts of `cuda_check.py`. Each returns whether all was as on the CPU.
"""

import copy
import math
import tempfile
import threading
from collections.abc import Callable

import torch
from cuda_bits import difference, params_of, set_grads
from torch.distributed.tensor import distribute_tensor, init_device_mesh

import gradstep.torch as gst


def moves() -> bool:
    """Compare steps on the CPU, the GPU, and the CPU again with those of the CPU."""
    alone = params_of(torch.float32, "cpu")
    params = copy.deepcopy(alone)
    ours = gst.Adam(alone, lr=0.1)
    opt = gst.Adam(params, lr=0.1)
    for step in range(6):
        if step in (2, 4):
            params = [
                p.detach().to("cuda" if step == 2 else "cpu").requires_grad_()
                for p in params
            ]
            saved, opt = opt.state_dict(), gst.Adam(params, lr=0.1)
            opt.load_state_dict(saved)
        for one, of in ((ours, alone), (opt, params)):
            set_grads(of, step)
            one.step()
    return not difference(ours, opt, alone, params)


def captured() -> bool:
    """Compare steps replayed from a graph, whose lr changes, with those of the CPU."""
    host, there = (params_of(torch.float32, where) for where in ("cpu", "cuda"))
    rate = torch.tensor(0.1, device="cuda")
    ours, opt = gst.Adam(host, lr=0.1), gst.Adam(there, lr=rate, capturable=True)
    for of in (host, there):
        set_grads(of, 0)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        opt.step()
    torch.cuda.current_stream().wait_stream(side)
    ours.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        opt.step()
    for lr in (0.1, 0.05, 0.025):
        rate.fill_(lr)
        ours.param_groups[0]["lr"] = float(rate)
        graph.replay()
        ours.step()
    return not difference(ours, opt, host, there)


def scaled() -> bool:
    """Overflow once under GradScaler: that step is neither taken nor counted."""
    host, there = (params_of(torch.float32, where) for where in ("cpu", "cuda"))
    ours, opt = gst.Adam(host, lr=0.1), gst.Adam(there, lr=0.1)
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0, growth_interval=1000)
    scale = 1024.0
    for step in range(4):
        set_grads(host, step)
        set_grads(there, step)
        for p in there:
            if p.grad is not None:
                p.grad.mul_(scale)
                if step == 1:
                    p.grad.fill_(math.inf)
        scaler.scale(torch.zeros((), device="cuda"))
        scaler.step(opt)
        scaler.update()
        if step == 1:
            scale /= 2
        else:
            ours.step()
    return not difference(ours, opt, host, there)


def waits_for_nothing() -> bool:
    """Return whether a clipped step is queued without waiting for the device."""
    there = params_of(torch.float32, "cuda")
    opt = gst.LAMB(there, lr=0.1)
    set_grads(there, 0)
    opt.step(clip_norm=1.0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        opt.step(clip_norm=1.0)
    except RuntimeError:
        return False
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return True


def outlived() -> bool:
    """Compare steps of a graph with the CPU's after its optimizer was bound anew."""
    host, there = (params_of(torch.float32, where) for where in ("cpu", "cuda"))
    ours, opt = gst.Adam(host, lr=0.1), gst.Adam(there, lr=0.1)
    for of, one in ((host, ours), (there, opt)):
        set_grads(of, 0)
        one.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        opt.step()
    kept = [p.data for p in there]
    kept += [opt.state[p][k] for p in there for k in ("exp_avg", "exp_avg_sq")]
    before = [t.clone() for t in kept]
    opt.param_groups[0]["eps"] = 1e-3
    opt.step()
    for t, was in zip(kept, before, strict=True):
        t.copy_(was)
    junk = [torch.full((1 << 20,), math.nan, device="cuda") for _ in range(8)]
    graph.replay()
    ours.step()
    del junk
    return all(torch.equal(p.cpu(), q) for p, q in zip(there, host, strict=True))


def refuses_a_first_step() -> bool:
    """Return whether a first step within a capture is refused, and says what to do."""
    there = params_of(torch.float32, "cuda")
    opt = gst.Adam(there, lr=0.1)
    set_grads(there, 0)
    try:
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            opt.step()
    except RuntimeError as error:
        return "take a step before the capture" in str(error)
    return False


def in_a_thread() -> bool:
    """Compare a step that a fresh thread takes with the CPU's."""
    host, there = (params_of(torch.float32, where) for where in ("cpu", "cuda"))
    ours, opt = gst.Adam(host, lr=0.1), gst.Adam(there, lr=0.1)
    for of, one in ((host, ours), (there, opt)):
        for step in range(2):
            set_grads(of, step)
            thread = threading.Thread(target=one.step)
            thread.start()
            thread.join()
    return not difference(ours, opt, host, there)


def by_default_device() -> bool:
    """Compare steps while torch's default device is the GPU."""
    torch.set_default_device("cuda")
    try:
        there = [torch.ones(300, requires_grad=True), torch.ones(0, requires_grad=True)]
        opt = gst.Adam(there, lr=0.1)
        for p in there:
            p.grad = torch.ones_like(p)
        opt.step()
    finally:
        torch.set_default_device(None)
    host = [torch.ones(300, requires_grad=True), torch.ones(0, requires_grad=True)]
    ours = gst.Adam(host, lr=0.1)
    for p in host:
        p.grad = torch.ones_like(p)
    ours.step()
    return not difference(ours, opt, host, there)


def sharded() -> bool:
    """Clip shards, whose sums are shared, without waiting for the GPU."""
    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group(
            "nccl", init_method=f"file://{folder}/store", rank=0, world_size=1
        )
        mesh = init_device_mesh("cuda", (1,))
        host = params_of(torch.float32, "cpu")
        there = [distribute_tensor(p.detach().cuda(), mesh) for p in host]
        params = [torch.nn.Parameter(p) for p in there]
        ours, opt = gst.LAMB(host, lr=0.1), gst.LAMB(params, lr=0.1)
        for step in range(3):
            set_grads(host, step)
            for p, q in zip(params, host, strict=True):
                g = q.grad
                p.grad = None if g is None else distribute_tensor(g.cuda(), mesh)
            ours.step(clip_norm=1.0)
            torch.cuda.set_sync_debug_mode("error" if step == 1 else "default")
            opt.step(clip_norm=1.0)
            torch.cuda.set_sync_debug_mode("default")
        found = [p.to_local().cpu() for p in params]
        torch.distributed.destroy_process_group()
    return all(torch.equal(a, b) for a, b in zip(found, host, strict=True))


def offloaded() -> bool:
    """Compare an optimizer in the host's memory, of a model there, with the CPU."""
    kinds = (
        (torch.float32, {}),
        (torch.bfloat16, {"master": "float32"}),
        (torch.bfloat16, {"rounding": "stochastic", "state_dtype": "bfloat16"}),
    )
    return all(
        _offloads(dtype, kept, overlap=overlap, **how)
        for dtype, kept in kinds
        for overlap in (False, True)
        for how in ({}, {"clip_norm": 1.0, "nonfinite": "skip"})
    )


def _offloads(
    dtype: torch.dtype, kept: dict[str, str], *, overlap: bool, **how: object
) -> bool:
    host, there = (params_of(dtype, where) for where in ("cpu", "cuda"))
    ours = gst.AdamW(host, lr=0.1, **kept)
    inner = gst.AdamW(there, lr=0.1, **kept)
    opt = gst.CPUOffload(inner, overlap=overlap, bucket_bytes=2**14, **how)
    for step in range(1, 5):
        set_grads(host, step + 2)
        grads = [q.grad.cuda() for q in host if q.grad is not None]
        opt.zero_grad()
        torch.cuda._sleep(10_000_000)  # the device lags behind the host
        sum((p * g).sum().float() for p, g in zip(there, grads, strict=True)).backward()
        torch.cuda._sleep(10_000_000)
        opt.step()
        seen = [p.detach().clone() for p in there]  # on this stream, without waiting
        ours.step(**how)
        pairs = zip(seen, host, strict=True)
        if not all(torch.equal(a.cpu(), b) for a, b in pairs):
            return False
    return True


TOOLS: dict[str, Callable[[], bool]] = {
    "CPU to GPU and back": moves,
    "CUDA graph, lr on the device": captured,
    "GradScaler, one overflow": scaled,
    "no wait in a clipped step": waits_for_nothing,
    "a graph that outlives a binding": outlived,
    "no first step in a capture": refuses_a_first_step,
    "a fresh thread": in_a_thread,
    "torch's default device": by_default_device,
    "shards, clipped, no wait": sharded,
    "CPUOffload": offloaded,
}
