"""Contestants in processes of their own, where their threads do not fight ours.

A process is asked to make calls, and to time them; no array passes between processes.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from gradstep.roofline import Clock, clock
from gradstep.threads import set_num_threads

Step = Callable[[], object]

HERE = ""
ENDED = 30.0  # seconds that a process has to end by itself


class Absent(Exception):  # noqa: N818  # no error: a peer need not be here
    """A peer is not here, or lacks what is asked of it; its text says why."""


class Contestant(NamedTuple):
    """What makes a call to time, and the process where it does; `make` is pickled."""

    name: str
    make: Callable[[], Step]
    home: str = HERE


def make_here(make: Callable[[], Step]) -> Step:
    """Make a call in this process."""
    try:
        return make()
    except (ImportError, AttributeError, LookupError, RuntimeError) as error:
        text = (str(error).splitlines() or [""])[0]
        raise Absent(f"{type(error).__name__}: {text}"[:200]) from error


def serve(pipe: "Connection[Any, Any]") -> None:
    """Make and time calls as the other end of the pipe asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ours to end, by the pipe
    gc.disable()  # as timeit does: a collection would hit one contestant by chance
    calls: dict[str, Step] = {}
    while (asked := pipe.recv()) is not None:
        what, *rest = asked
        try:
            if what == "make":
                name, make = rest
                calls[name] = make_here(make)
                pipe.send(None)
            elif what == "time":
                name, repeat = rest
                pipe.send(clock(calls[name])(repeat))
            else:
                calls.clear()
                gc.collect()
                pipe.send(None)
        except Absent as why:
            pipe.send(why)
        except Exception:  # told at the other end
            pipe.send(Absent(traceback.format_exc(limit=-1).splitlines()[-1]))


@contextlib.contextmanager
def environment(threads: int) -> Iterator[None]:
    """Set what a new process finds: peers read these once."""
    before = dict(os.environ)
    os.environ.update(
        OMP_NUM_THREADS=str(threads),
        JAX_PLATFORMS="cpu",
        DS_ACCELERATOR="cpu",  # else DeepSpeed looks for others, and warns
        # It runs ninja, which may be installed beside this very Python.
        PATH=os.pathsep.join([os.environ["PATH"], sysconfig.get_path("scripts")]),
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Process:
    """A process of contestants."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        with environment(threads):
            self._process = context.Process(target=serve, args=(theirs,), daemon=True)
            self._process.start()
        theirs.close()

    def ask(self, *asked: Any) -> Any:
        """Ask, and return the answer."""
        try:
            self._pipe.send(asked)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise Absent("its process has ended, perhaps for lack of memory") from error
        if isinstance(answer, Absent):
            raise answer
        return answer

    def make(self, contestant: Contestant) -> Clock:
        """Make a call there, and return what times it."""
        self.ask("make", contestant.name, contestant.make)
        return lambda repeat: self.ask("time", contestant.name, repeat)

    def seconds(self) -> float:
        """Return the seconds of CPU that it has used."""
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{self._process.pid}/stat").read_text()
            user, system = line.rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def end(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(ENDED)
        self._process.kill()


class Places:
    """Where contestants are: here, or in processes by name and number of threads."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, int], Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            process.end()
        self._processes.clear()

    def make(self, contestant: Contestant, threads: int) -> Clock:
        """Make a contestant's call at its home; raise `Absent` if that can't be."""
        if contestant.home == HERE:
            set_num_threads(threads)
            return clock(make_here(contestant.make))
        key = (contestant.home, threads)
        if key not in self._processes:
            self._processes[key] = Process(threads)
        try:
            return self._processes[key].make(contestant)
        except Absent:
            raise
        except BaseException:
            self._processes.pop(key).end()
            raise

    def drop(self) -> None:
        """Forget all calls, and their arrays."""
        for key, process in list(self._processes.items()):
            try:
                process.ask("drop")
            except Absent:
                self._processes.pop(key).end()
        gc.collect()

    def seconds(self) -> float:
        """Return the seconds of CPU that this process and its peers have used."""
        ours = sum(os.times()[:4])  # with those of children that have ended
        return ours + sum(process.seconds() for process in self._processes.values())
