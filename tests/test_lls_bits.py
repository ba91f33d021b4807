"""Bits of fits by any number of threads and at any level of instructions."""

import os
import re
import subprocess
import sys
from pathlib import Path

import gradstep as gs
from support import side_by_side

# 128 rows are summed at a time; threads share batches of 256 rows and more, but narrow
# rows are too little work for that: hence 130 columns.
BEGIN = """
import hashlib, warnings
from functools import partial
import numpy as np, gradstep as gs
from gradstep import lls
from scipy import sparse
from training import HEAVY, problem, weights
warnings.simplefilter("ignore", lls.ConvergenceWarning)
seen = hashlib.sha256()
def show(name):
    print(name, seen.hexdigest(), sep=":")
def add(done):
    for a in (done.coef, done.intercept, done.loss, done.lr):
        seen.update(np.asarray(a).tobytes())
PARTS = [(i, s, w) for i in (False, True) for s in (False, True) for w in (False, True)]
"""
WORK = {
    "dense": """
for n in 128, 129, 256, 2305, 5000:
    for m in 1, 5, 17, 33, 130:
        for dtype in "f4", "f8":
            X, y = problem(n, m, 2 if m == 5 else None, dtype)
            for k, (i, s, w) in enumerate(PARTS):
                size = (128, 129, 256, n)[k % 4]
                o = {"sample_weight": weights(n) if w else None, "reduction": "mean"}
                o |= {"intercept": i, "standardize": s, "ridge": 0.3 * i}
                o |= {"optimizer": partial(HEAVY, lr=0.001), "batch_size": size}
                add(lls.fit(X, y, epochs=2, **o))
""",
    "chunks": """
X, y = problem(2900, 130)
for cuts in [0, 2900], [0, 100, 2900], [0, 700, 1900, 2900], [0, 1, 2000, 2900]:
    chunks = [(X[i:j], y[i:j]) for i, j in zip(cuts, cuts[1:])]
    o = {"shuffle": None, "reduction": "mean", "epochs": 2}
    for size in 600, 1111, 2900:
        done = lls.fit(chunks, optimizer=partial(HEAVY, lr=1e-4), batch_size=size, **o)
        whole = lls.fit(X, y, optimizer=partial(HEAVY, lr=1e-4), batch_size=size, **o)
        assert done.coef.tobytes() == whole.coef.tobytes(), (cuts, size)
        seen.update(done.coef.tobytes())
""",
    "sparse": """
for n in 257, 1025:
    for m in 1, 5, 33:
        for dtype in "f4", "f8":
            X, y = problem(n, m, 2 if m == 5 else None, dtype)
            X[np.abs(X) < 0.7] = 0
            X = sparse.csr_matrix(X)
            for i, s, w in PARTS:
                o = {"sample_weight": weights(n) if w else None, "epochs": 2}
                o |= {"intercept": i, "standardize": s, "reduction": "mean"}
                for size in 256, n:
                    sgd = partial(gs.SGD, lr=0.001)
                    add(lls.fit(X, y, optimizer=sgd, batch_size=size, **o))
""",
    "default": """
for n in 257, 1025:
    for m in 1, 5, 17, 130:
        for dtype in "f4", "f8":
            X, y = problem(n, m, 2 if m == 5 else None, dtype)
            for i, s, w in PARTS:
                o = {"sample_weight": weights(n) if w else None, "ridge": 0.5 * s}
                add(lls.fit(X, y, epochs=4, intercept=i, standardize=s, **o))
                rows = sparse.csr_matrix(np.where(np.abs(X) < 0.7, 0, X))
                add(lls.fit(rows, y, epochs=3, intercept=i, standardize=s, **o))
""",
    "max_stable_lr": """
for n in 257, 2000:
    for m in 1, 17, 130:
        for dtype in "f4", "f8":
            X, _ = problem(n, m, None, dtype)
            found = [lls.max_stable_lr(X), lls.max_stable_lr(sparse.csr_matrix(X))]
            o = {"intercept": True, "sample_weight": weights(n)}
            found += [lls.max_stable_lr(X, batch_size=b, **o) for b in (7, 600)]
            seen.update(np.array(found).tobytes())
""",
}


def hashes(isa: str, threads: str) -> dict[str, str]:
    code = BEGIN + "".join(f"{part}show({name!r})\n" for name, part in WORK.items())
    env = {"GRADSTEP_ISA": isa, "GRADSTEP_NUM_THREADS": threads}
    env["PYTHONPATH"] = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | env,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(line.split(":") for line in done.stdout.splitlines())


def test_bits_depend_neither_on_isa_nor_on_threads() -> None:
    levels = gs.build_config()["levels"].split()
    chosen = zip(levels * 2, "1235", strict=False)
    runs = side_by_side(lambda c: hashes(*c), chosen)
    assert all(run == runs[0] for run in runs)
    assert runs[0].keys() == WORK.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", found) for found in runs[0].values())
