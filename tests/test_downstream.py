"""A Cython package of somebody else's, built with setuptools, cimports ours."""

import subprocess
import sys
from pathlib import Path

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

MODULE = """
# cython: language_level=3
from gradstep._core cimport Engine, plan_step

def take(Engine engine, double[::1] grad, int steps):
    '''Steps of the engine's only array in a loop of our own, without the GIL.'''
    cdef int k
    engine.plan.tensor[0].segment.g = &grad[0]
    with nogil:
        for k in range(steps):
            engine.plan.tensor[0].moving = True
            plan_step(&engine.plan)
"""

PROGRAM = """
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


def test_cimport_from_a_setuptools_package(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text(SETUP)
    (tmp_path / "downstream.pyx").write_text(MODULE)
    for command in (["setup.py", "-q", "build_ext", "--inplace"], ["-c", PROGRAM]):
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "same\n"
