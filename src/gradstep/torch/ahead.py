"""Steps that are taken by another thread while backward goes on."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from gradstep.torch.mirrors import Mirror


class Ahead:
    """Parameters whose gradients have come, in buckets, each stepped when it is full.

    take : steps a bucket; size : the bytes of parameters that make one full.
    """

    def __init__(self, take: Callable[[list[Mirror]], None], size: int) -> None:
        self._take, self._size = take, size
        self._filling: list[Mirror] = []
        self._held = 0  # bytes of them
        self._jobs: list[tuple[list[Mirror], Future[None]]] = []
        self._thread: ThreadPoolExecutor | None = None

    def begun(self) -> bool:
        """Return whether a parameter of this step has been taken or is about to."""
        return bool(self._filling or self._jobs)

    def add(self, mirror: Mirror) -> None:
        """Take in a parameter; a full bucket goes to the thread."""
        self._filling.append(mirror)
        self._held += mirror.nbytes()
        if self._held < self._size:
            return
        bucket, self._filling, self._held = self._filling, [], 0
        for m in bucket:
            m.ahead = True
        if self._thread is None:  # one: buckets are stepped one after the other
            self._thread = ThreadPoolExecutor(1, "gradstep-offload")
        self._jobs.append((bucket, self._thread.submit(self._take, bucket)))

    def members(self) -> Iterator[Mirror]:
        """Yield the parameters that have been taken in."""
        for bucket, _ in self._jobs:
            yield from bucket
        yield from self._filling

    def done(self) -> Iterator[list[Mirror]]:
        """Yield buckets as they have been stepped; those that could not are let go.

        Whoever steps these then meets what hindered the thread.
        """
        for bucket, job in list(self._jobs):
            if job.exception() is None:  # waits for it
                yield bucket
                continue
            self._jobs.remove((bucket, job))
            for m in bucket:
                m.ahead = False
        self._filling, self._held = [], 0

    def wait(self) -> None:
        """Wait until the thread steps nothing."""
        wait([job for _, job in self._jobs])

    def clear(self) -> None:
        """Begin anew, for the next step."""
        for m in self.members():
            m.ahead = False
        self._filling, self._jobs, self._held = [], [], 0
