"""Which Parquet files a path, a folder, a glob or a list of these stands for."""

import glob
import os
from collections.abc import Iterator
from typing import Any

from gradstep.lls.files.source import path_of

_WHERE = "ParquetFile: path"


def parquet_paths(path: Any) -> tuple[list[str], bool]:
    """Return the paths of the files, in the order of their rows, and if it is one file.

    Files of a folder, at any depth, and of a glob come sorted by path; those of a list
    as they stand in it. What begins with "." or "_" is no data, as for pyarrow and
    Spark.
    """
    if not isinstance(path, (list, tuple)):
        name = path_of(_WHERE, path, _OR_LIST)
        paths = list(_expanded(name))
        return paths, paths == [name]
    if not path:
        raise ValueError(f"{_WHERE} must list at least one file, got {path!r}")
    names = [path_of(f"{_WHERE}[{i}]", each) for i, each in enumerate(path)]
    return [file for name in names for file in _expanded(name)], False


_OR_LIST = "; pass one, or a list of them, a folder or a glob"


def _expanded(name: str) -> Iterator[str]:
    if os.path.isdir(name):
        yield from _in_folder(name)
    elif glob.has_magic(name) and not os.path.lexists(name):
        matches = _matching(name)
        if not matches:
            raise ValueError(f"{_WHERE}: no file matches {name!r}")
        for match in matches:
            if os.path.isdir(match):
                # "**" matches folders beside the files in them.
                if "**" not in name:
                    yield from _in_folder(match)
            else:
                yield match
    else:
        yield name


def _matching(pattern: str) -> list[str]:
    """Return what matches, but by no name of what is no data, in the order of paths."""
    parts = pattern.split(os.sep)
    first_magic = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return sorted(
        match
        for match in glob.iglob(pattern, recursive=True)
        if all(map(_is_data, match.split(os.sep)[first_magic:]))
    )


def _in_folder(folder: str) -> list[str]:
    files: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = filter(_is_data, folders)
        for each in folders:
            if "=" in each:
                raise ValueError(
                    f"{_WHERE}: {os.path.join(parent, each)!r} is a partition, whose "
                    "column is in its name and in no file; write the column to the "
                    "files, or leave it out by a glob such as 'folder/**/*.parquet'"
                )
        files += [os.path.join(parent, each) for each in filter(_is_data, names)]
    if not files:
        raise ValueError(f"{_WHERE}: the folder {folder!r} has no files of data")
    return sorted(files)


def _is_data(name: str) -> bool:
    return not name.startswith((".", "_"))


def _raise(error: OSError) -> None:
    raise error
