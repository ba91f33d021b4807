"""The progress bar of a fit, by tqdm, which is optional."""

from collections.abc import Iterator
from typing import Any, Self


class ProgressBar:
    """The numbers of epochs from 0, with a bar of those that have ended.

    An epoch counts when `show` is called at its end, so the bar is right also where a
    fit stops early. Leave its `with` block to close it.
    """

    def __init__(self, epochs: int, *, is_shown: bool) -> None:
        self._epochs, self._bar = epochs, None
        if is_shown:
            self._bar = _tqdm()(total=epochs, desc="fit", unit="epoch")

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._epochs))

    def show(self, loss: float, validation_loss: float | None = None) -> None:
        """Count one more epoch, and show its losses."""
        if self._bar is None:
            return
        losses = {"loss": f"{loss:.4g}"}
        if validation_loss is not None:
            losses["validation_loss"] = f"{validation_loss:.4g}"
        self._bar.set_postfix(losses, refresh=False)
        self._bar.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415  # optional
    except ImportError as missing:
        raise ImportError(
            "fit: progress needs tqdm; pip install 'gradstep[progress]'"
        ) from missing
    return tqdm
