"""What type checkers must accept, and refuse: `mypy --strict` runs over it in CI.

An error that is expected and does not come is an unused `ignore`, and fails too.
"""

import functools
import pathlib

import numpy as np

import gradstep as gs
from gradstep import lls

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


def fits() -> None:
    """Not run: there are no such files."""
    sgd = functools.partial(gs.SGD, lr=0.1)
    files = pathlib.Path("X.npy"), pathlib.Path("y.npy")
    done = lls.fit(*files, sample_weight=pathlib.Path("s.npy"), validation=0.1)
    lls.fit("folder", ["y1", "y2"], optimizer=sgd, validation=["X.npy", "y.npy"])
    lls.fit([w[None], w[None]], [g, g], validation=lls.NpyFile(*files))
    trainer = lls.Trainer(3, optimizer=sgd, standardize=(None, w))
    losses: float = trainer.partial_fit(w[None], [1.0]).objective
    lls.Trainer(3, optimizer=sgd, standardize="yes")  # type: ignore[arg-type]
    lls.fit(w[None], [1.0], validation=object())  # type: ignore[arg-type]
    predictions = done.predict(w[None]) + trainer.predict(w[None])
    print(losses, predictions)
