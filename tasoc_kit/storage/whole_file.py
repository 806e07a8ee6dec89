"""A file that is there whole or not at all: written beside its place, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

__all__ = ["PART", "whole_file"]

PART = ".part"
"""How the name of a file ends that is not yet whole."""
_serial = count()


@contextmanager
def whole_file(path: Path, *, beside: Path | None = None) -> Iterator[Path]:
    """
    Yield the place of a file to write, which takes its name when the block ends well.

    However the block ends, nothing else is left; what was there before is replaced by one rename or
    not touched. Threads and processes may write the same file at once: the last one to end counts.
    What a killed process leaves ends in ``PART``.

    Parameters
    ----------
    path
        The file; its folder is made where there is none.
    beside
        Folder of the same file system in which the file grows; by default the one of the file.

    Raises
    ------
    OSError
        If the disk does not take it.
    """
    folder = path.parent if beside is None else beside
    part = folder / f".{path.name}.{os.getpid()}-{next(_serial)}{PART}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
