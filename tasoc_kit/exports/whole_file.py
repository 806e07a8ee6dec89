"""A file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tasoc_kit.errors import StoreError

__all__ = ["refuse_to_lose", "whole_file"]


def refuse_to_lose(path: Path, overwrite: bool) -> None:
    """Raise StoreError where a file is there and may not be replaced; ask before work begins."""
    if path.exists() and not overwrite:
        raise StoreError(
            f"export: {path} is there already; expected a name that is free. "
            "Give --overwrite (overwrite=True) to replace it, or another name."
        )


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    Yield the place of a file to write, which takes its name when the block ends well.

    Raises
    ------
    StoreError
        If the disk does not take it; what was there before is not touched.
    """
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise StoreError(
            f"export: {path} cannot be written ({error.strerror or error}); expected a folder that takes it. "
            "Files that are there are whole; make space or choose another place, and run the same again."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
