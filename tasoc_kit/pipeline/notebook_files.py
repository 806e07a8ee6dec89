"""Where notebooks and pipelines lie: one's own folders first, and behind them those that are shipped.

A folder holds notebooks, and in ``pipelines`` a file for each pipeline. ``TASOC_NOTEBOOKS`` names one's own.
"""

from __future__ import annotations

import re
from pathlib import Path

from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError, suggest

__all__ = ["find_notebook", "pipeline_files"]

_STEM = re.compile(r"\w[\w.-]*")


def _folders() -> tuple[Path, ...]:
    for folder in settings().notebooks:
        if not folder.is_dir():
            raise NotebookError(
                f"TASOC_NOTEBOOKS: there is no folder {folder}; expected one that holds notebooks. "
                "Correct the variable, or leave it out for the shipped ones."
            )
    return settings().notebooks


def find_notebook(stem: str) -> Path:
    """
    Return the notebook of a name, of the first folder that has it.

    Raises
    ------
    NotebookError
        If no folder has one, or the name is no plain name.
    """
    folders = _folders()
    if _STEM.fullmatch(stem):
        for folder in folders:
            if (folder / f"{stem}.ipynb").exists():
                return folder / f"{stem}.ipynb"
    known = [path.stem for folder in folders for path in folder.glob("*.ipynb")]
    raise NotebookError(
        f"notebook {stem!r}: there is none in {[str(folder) for folder in folders]}{suggest(stem, known)} "
        "Set TASOC_NOTEBOOKS to the folder that holds it."
    )


def pipeline_files() -> dict[str, Path]:
    """Return the file of each pipeline by its name; that of the first folder counts."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted((folder / "pipelines").glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found
