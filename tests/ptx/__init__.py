"""An interpreter of PTX: what NVRTC made of a kernel, run without a GPU.

A thread is a lane of NumPy arrays, and all threads of a grid take a step together, so
that a kernel of some thousand threads runs in milliseconds. Nothing is rounded in
another way than a device does it, and what a device would do silently is an error:
a wild or misaligned address, a lane that never comes to a barrier, a multiplication
and an addition that became one instruction.

    launch      program.py      what is forbidden, what a launch is given
    text        parsing.py      statements, scopes, operands, labels
    values      kinds.py        types and constants
                rounding.py     what NumPy does not round as IEEE 754 has it
                arithmetic.py, bitwise.py, conversions.py
    addresses   memory.py       buffers of the host, windows of the device
                transfers.py    mov, ld, st, atom
    meaning     plans.py        an instruction becomes a function of lanes
    threads     branches.py     branches, calls, ends
                warps.py        shuffles, votes, barriers
                machine.py      who takes the next step, and where it leads
"""

from ptx.kinds import KernelError as KernelError
from ptx.kinds import NotInterpreted as NotInterpreted
from ptx.memory import Memory as Memory
from ptx.program import FORBIDDEN as FORBIDDEN
from ptx.program import Program as Program
