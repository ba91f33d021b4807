"""Prints the SHA-256 of parameters and states of every kernel after some steps.

Run by test_exactness.py in processes of their own, under each GRADSTEP_ISA and number
of threads; all must print the same. As a program, `exactness_worker.py compare` runs
itself over `MANY_SIZES`, under each level and each number of threads once (`compare
everywhere`: under each pair), and exits with 1 if any two differ.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array

import gradstep as gs
from gradstep import _core, lls
from support import (
    NUMPY,
    SIZES,
    floats,
    hyper_of,
    kernels,
    label,
    random_state,
    side_by_side,
    words,
)

STEPS, STEPS_OF_MANY = 50, 12
LARGE = 2**20 + 3
# Every remainder of every loop many times over, up to a block of sums and one element.
MANY_SIZES = (*range(1, 1025), *range(1025, 4095, 7), 4095, 4096, 4097)
SHARED = 2**16 + 3  # enough to be shared out among threads
BASE = 99_991  # numbers that are really made; a prime, so that no two arrays line up


def many(seed: int, n: int, dtype: type, positive: bool = False) -> np.ndarray:
    """n numbers, the same few over and over."""
    return np.resize(floats(seed, BASE, dtype, positive), n)


def placed(values: np.ndarray, sizes: list[int], step: int) -> list[np.ndarray]:
    """Arrays of these sizes, cut from a buffer at byte offsets 0, step, 2 step, ..."""
    size = values.itemsize
    raw = np.empty(values.nbytes + 192 * len(sizes), np.uint8)
    start = -raw.ctypes.data % 64
    arrays, used = [], 0
    for k, n in enumerate(sizes):
        array = np.ndarray(n, values.dtype, raw.data, start + k * step % 64)
        array[...] = values[used : used + n]
        arrays.append(array)
        used += n
        start += (n * size + 127) // 64 * 64
    return arrays


def digest(kernel: _core.Kernel, sizes: list[int], steps: int) -> str:
    """Take the steps, on arrays at every byte offset, and hash what they leave."""
    dtype, total = NUMPY[kernel.dtype], sum(sizes)
    params = placed(many(1, total, dtype), sizes, step=1)
    grads = [placed(many(k, total, dtype), sizes, step=3) for k in (2, 3)]
    start = [np.resize(a, total) for a in random_state(kernel, 4, BASE).values()]
    cut = np.cumsum([0, *sizes])
    states = [tuple(a[i:j].copy() for a in start) for i, j in pairwise(cut)]
    suffixes = tuple(f"[{k}]" for k in range(len(sizes)))
    engine = _core.Engine(kernel.rule, tuple(params), suffixes, (0,) * len(sizes), 1)
    for i, kept in enumerate(states):
        engine.bind(i, kernel, kept)
    engine.set_group(0, tuple(hyper_of(kernel).values()), 1.0)
    engine.bound()
    for k in range(steps):
        engine.step(grads[k % 2])
    sha = hashlib.sha256()
    for p, kept in zip(params, states):
        sha.update(p.tobytes())
        for a in kept:
            sha.update(a.tobytes())
    return sha.hexdigest()


def fit_digest(dtype: type) -> str:
    """Hash the coefficients of fits with few and with many features and targets."""
    sha = hashlib.sha256()
    for columns in (1, 2, 15, 16, 17, 33, 100):
        for targets in (1, 3):
            X = floats(5, 61 * columns, dtype).reshape(61, columns)
            y = floats(6, 61 * targets, dtype).reshape(61, targets)
            adam = functools.partial(gs.Adam, lr=0.01)
            order = np.argsort(words(7, 61))
            done = lls.fit(
                X, y, optimizer=adam, batch_size=8, epochs=3, order=lambda _, o=order: o
            )
            sha.update(np.ascontiguousarray(done.coef).tobytes())
    return sha.hexdigest()


def long_fit_digest(dtype: type) -> str:
    """Hash fits by batches that threads share, scaled, weighted and penalised; of
    sparse rows, by a rule that leaves alone what they do not touch; and by default."""
    X = floats(8, 1301 * 97, dtype).reshape(1301, 97)
    y = floats(9, 1301 * 2, dtype).reshape(1301, 2)
    weight = np.abs(floats(10, 1301, np.float64))
    sparse = np.where(words(11, X.size).reshape(X.shape) % 5 == 0, X, 0)
    problem = {"sample_weight": weight, "intercept": True}
    adam = functools.partial(gs.Adam, lr=0.01)
    adagrad = functools.partial(gs.Adagrad, lr=0.1)
    long = {"epochs": 3, "batch_size": 700, "standardize": True, "ridge": 0.5}
    found = [
        lls.fit(X, y, optimizer=adam, average=True, **problem, **long),
        lls.fit(csr_array(sparse), y, optimizer=adagrad, epochs=2, **problem),
        lls.fit(X, y, epochs=5, tol=0, callback=lambda at: at.epoch == 3, **problem),
    ]
    sha = hashlib.sha256()
    for done in found:
        sha.update(np.ascontiguousarray(done.coef).tobytes())
        sha.update(done.intercept.tobytes())
    rates = lls.max_stable_lr(X), lls.max_stable_lr(csr_array(sparse), batch_size=9)
    sha.update(np.array(rates).tobytes())
    return sha.hexdigest()


# Types of parameters, and options of storage.
STORED: dict[str, tuple[str, dict[str, Any]]] = {
    "bf16": ("bf16", {}),
    "f16": ("f16", {}),
    "master": ("bf16", {"master": "float32"}),
    "split": ("bf16", {"master": "split", "state_dtype": "bfloat16", "seed": 3}),
    "stochastic": ("bf16", {"rounding": "stochastic", "seed": 4}),
    "uint8": ("f32", {"state_dtype": "uint8", "seed": 5}),
}


def in_code(x: np.ndarray, code: str) -> np.ndarray:
    """Numbers in few bits."""
    if code == "f32":
        return x
    return x.astype(np.float16) if code == "f16" else gs.to_bfloat16(x)


def stored_digest(kept: str) -> str:
    """Hash parameters and states in code after steps by gradients in code."""
    code, options = STORED[kept]
    sha = hashlib.sha256()
    for cls in (gs.AdamW, gs.LAMB, gs.MADGRAD, gs.Lion, gs.ScheduleFreeSGD):
        x = many(12, SHARED, np.float32)
        params = [in_code(x[:n].copy(), code) for n in (SHARED, 1001, 1)]
        opt = cls(params, lr=0.01, weight_decay=0.1, **options)
        for t in range(5):
            grads = [floats(t + 13, p.size, np.float32) for p in params]
            opt.step([grads[0], *(in_code(g, code) for g in grads[1:])], clip_norm=9.0)
        for p, state in zip(params, opt.state, strict=True):
            sha.update(p.tobytes())
            for a in state.values():
                sha.update(np.asarray(a).tobytes())
    return sha.hexdigest()


FITS = {"lls": fit_digest, "lls-long": long_fit_digest}


def digests(sizes: list[int], steps: int = STEPS) -> dict[str, str]:
    """Hash what every kernel and the least-squares trainer make."""
    fits = {
        f"{kind}-{name}": made(dtype)
        for kind, made in FITS.items()
        for name, dtype in NUMPY.items()
    }
    stored = {f"stored-{kept}": stored_digest(kept) for kept in STORED}
    return {label(k): digest(k, sizes, steps) for k in kernels()} | fits | stored


def run(isa: str, threads: int, *arguments: str) -> dict[str, Any]:
    """What this program prints in a process of its own."""
    environment = {
        **os.environ,
        "GRADSTEP_ISA": isa,
        "GRADSTEP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def configurations() -> list[tuple[str, int]]:
    """Every CPU level that this machine has, with 1, 2 and 5 threads."""
    best = _core.levels().index(_core.isa())
    return [(isa, n) for isa in _core.levels()[best:] for n in (1, 2, 5)]


def square() -> list[tuple[str, int]]:
    """Every CPU level once and every number of threads once."""
    some = configurations()
    return some[:: len(some) // 3 + 1] if len(some) > 3 else some


def compare(chosen: list[tuple[str, int]]) -> int:
    """Run over many sizes in these configurations; 0 if all hashes agree."""
    seen: dict[str, set[str]] = {}
    for found in side_by_side(lambda c: run(*c, "many"), chosen):
        for name, sha in found["hashes"].items():
            seen.setdefault(name, set()).add(sha)
    apart = [name for name, shas in seen.items() if len(shas) > 1]
    print(f"{len(seen)} kernels x {chosen}: {len(apart)} differ {apart}")
    return 1 if apart else 0


def main() -> int:
    """Print {kernel: hash}; with the argument "many", over `MANY_SIZES`."""
    if "compare" in sys.argv:
        return compare(configurations() if "everywhere" in sys.argv else square())
    if "many" in sys.argv:
        hashes = digests([*MANY_SIZES, LARGE], STEPS_OF_MANY)
    else:
        hashes = digests([*SIZES, SHARED])
    json.dump({"isa": _core.isa(), "hashes": hashes}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
