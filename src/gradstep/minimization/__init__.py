"""Optimizers as methods of `scipy.optimize.minimize`.

`method` is what users meet, and `arguments` checks what they pass; `problem` evaluates
their functions, `box` keeps to their bounds, `descent` takes the steps, and `stopping`
says when to end.
"""

from gradstep.minimization.method import Method, minimize

__all__ = ["Method", "minimize"]
