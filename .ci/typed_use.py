"""What type checkers must accept, and refuse: `mypy --strict` runs over it in CI.

An error that is expected and does not come is an unused `ignore`, and fails too.
"""

import functools

import numpy as np

import gradstep as gs

w, g = np.ones(3), np.ones(3)
gs.Adam(w, lr=0.1, betas=(0.9, 0.99)).step(g)
gs.Adam(w, 0.1, betas=(0.9, 0.99)).step(g)
gs.Adan({"w": w}, betas=(0.9, 0.9, 0.99)).step({"w": g})
gs.SGD([{"params": [w], "lr": 0.1}], momentum=0.9, nesterov=True).step([[g]])
gs.SAM(w, functools.partial(gs.SGD, lr=0.1), rho=0.1).first_step(g)
free = gs.ScheduleFreeAdamW([w], lr=0.1, warmup_steps=3)
free.step([None])
rate: float = free.lr

gs.Adam(w, lrr=0.1)  # type: ignore[call-arg]
gs.Adam(w, 0.1, (0.9, 0.99))  # type: ignore[arg-type, call-arg]
gs.Adam(w, "0.1")  # type: ignore[arg-type]
gs.Adam(w, betas=0.9)  # type: ignore[arg-type]
gs.RAdam(w, like=3)  # type: ignore[arg-type]
