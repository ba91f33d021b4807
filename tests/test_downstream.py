"""A Cython package of somebody else's, built with setuptools, takes our steps."""

import subprocess
import sys
from pathlib import Path

import pytest

SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
import gradstep, numpy

includes = [gradstep.get_include(), numpy.get_include()]
setup(
    name="downstream",
    ext_modules=cythonize([Extension("downstream", ["downstream.pyx"], includes)]),
)
"""

ENGINE = """
# cython: language_level=3
from gradstep._core cimport Engine, plan_step

def take(Engine engine, double[::1] grad, int steps):
    '''Steps of the engine's only array in a loop of our own, without the GIL.'''
    cdef int k
    engine.plan.tensor[0].segment.g = &grad[0]
    with nogil:
        for k in range(steps):
            engine.plan.tensor[0].moving = True
            plan_step(&engine.plan, NULL)
"""

ENGINE_PROGRAM = """
import numpy as np, gradstep as gs, downstream
w, v, g = np.ones(5), np.ones(5), np.arange(5.0)
ours, theirs = gs.Adam(w, lr=0.1), gs.Adam(v, lr=0.1)
for _ in range(7):
    ours.step(g)
downstream.take(theirs.engine, g, 7)
assert w.tobytes() == v.tobytes() and not np.array_equal(w, np.ones(5))
assert theirs.state[0]["step"] == 7
print("same")
"""

# Buffers of its own, two tensors, a rule with a scalar, one with sums, and clipping.
OWN = """
# cython: language_level=3
from libc.stdlib cimport calloc, free
from gradstep.capi cimport GRADSTEP_API, gradstep_api, gradstep_import, gs_plan

def version():
    return GRADSTEP_API, gradstep_import().version

def unknown():
    return gradstep_import().find("sgdd", "f64") == NULL

def descend(
    bytes rule, double[::1] p, double[::1] q, double[:, ::1] grads, dict hyper, clip,
):
    cdef const gradstep_api *gs = gradstep_import()
    cdef gs_plan plan
    cdef size_t n = p.shape[0], steps = grads.shape[0], i, j, k, states = 0
    cdef double *own
    if not gs.plan_init(&plan, 2, 1):
        raise MemoryError
    plan.group[0].grad_scale = 1
    plan.group[0].clip_norm = clip
    for i in range(2):
        plan.tensor[i].segment.kernel = gs.find(rule, "f64")
        plan.tensor[i].norm = gs.find("norm", "f64")
        plan.tensor[i].segment.p = &p[0] if i == 0 else &q[0]
        plan.tensor[i].segment.n = n
    k = 0
    while plan.tensor[0].segment.kernel.hyper[k] != NULL:
        plan.group[0].hyper[k] = hyper[plan.tensor[0].segment.kernel.hyper[k].decode()]
        k += 1
    while plan.tensor[0].segment.kernel.state[states] != NULL:
        states += 1
    own = <double *>calloc(2 * states * n + 1, sizeof(double))
    for i in range(2):
        for k in range(states):
            plan.tensor[i].segment.state[k] = own + (i * states + k) * n
    if not gs.plan_reserve(&plan):
        raise MemoryError
    with nogil:
        for j in range(steps):
            for i in range(2):
                plan.tensor[i].segment.g = &grads[j, 0]
                plan.tensor[i].moving = i == 0 or j % 2 == 0
            gs.plan_step(&plan, NULL)
    free(own)
    gs.plan_free(&plan)
"""

OWN_PROGRAM = """
import numpy as np, gradstep as gs, downstream
rng = np.random.default_rng(0)
grads = rng.standard_normal((6, 5000))
assert downstream.version() == (4, 4)
assert downstream.unknown()
for kind, rule in (gs.NAdam, b"nadam"), (gs.LAMB, b"lamb"), (gs.SGD, b"sgd"):
    for clip in (0.0, 2.5):
        if clip and kind is not gs.LAMB:
            continue
        p, q = rng.standard_normal((2, 5000))
        v, w = p.copy(), q.copy()
        options = {"max_grad_norm": clip} if clip else {}
        ours = kind([v, w], lr=0.1, weight_decay=0.2, **options)
        for j, g in enumerate(grads):
            ours.step([g.copy(), g.copy() if j % 2 == 0 else None])
        hyper = kind.numbers(ours.param_groups[0])
        downstream.descend(rule, p, q, grads, hyper, clip)
        assert p.tobytes() == v.tobytes() and q.tobytes() == w.tobytes(), kind
print("same")
"""


@pytest.mark.parametrize(
    ("module", "program"),
    [(ENGINE, ENGINE_PROGRAM), (OWN, OWN_PROGRAM)],
    ids=["an engine of ours", "buffers of its own"],
)
def test_a_setuptools_package(tmp_path: Path, module: str, program: str) -> None:
    (tmp_path / "setup.py").write_text(SETUP)
    (tmp_path / "downstream.pyx").write_text(module)
    for command in (["setup.py", "-q", "build_ext", "--inplace"], ["-c", program]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "same\n"
