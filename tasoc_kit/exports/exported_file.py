"""A file that a person asked for: never lost by mistake, and there whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tasoc_kit.errors import StoreError
from tasoc_kit.storage.whole_file import whole_file

__all__ = ["exported_file", "refuse_to_lose"]


def refuse_to_lose(path: Path, overwrite: bool) -> None:
    """Raise StoreError where a file is there and may not be replaced; ask before work begins."""
    if path.exists() and not overwrite:
        raise StoreError(
            f"export: {path} is there already; expected a name that is free. "
            "Give --overwrite (overwrite=True) to replace it, or another name."
        )


@contextlib.contextmanager
def exported_file(path: Path) -> Iterator[Path]:
    """
    Yield the place of a file to write, which takes its name when the block ends well.

    Raises
    ------
    StoreError
        If the disk does not take it; what was there before is not touched.
    """
    try:
        with whole_file(path) as part:
            yield part
    except OSError as error:
        raise StoreError(
            f"export: {path} cannot be written ({error.strerror or error}); expected a folder that takes it. "
            "Files that are there are whole; make space or choose another place, and run the same again."
        ) from None
