"""Where notebooks and pipelines lie: one's own folders first, and behind them those that are shipped.

A folder holds notebooks, and in ``pipelines`` a file for each pipeline. ``TASOC_NOTEBOOKS`` names one's own.
"""

from __future__ import annotations

from pathlib import Path

from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError, suggest

__all__ = ["find_notebook", "notebook_files", "pipeline_files"]


def _folders() -> tuple[Path, ...]:
    for folder in settings().notebooks:
        if not folder.is_dir():
            raise NotebookError(
                f"TASOC_NOTEBOOKS: there is no folder {folder}; expected one that holds notebooks. "
                "Correct the variable, or leave it out for the shipped ones."
            )
    return settings().notebooks


def notebook_files() -> dict[str, Path]:
    """Return the notebook of each name, without ending; that of the first folder counts."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("*.ipynb")):
            found.setdefault(path.stem, path)
    return found


def find_notebook(name: str) -> Path:
    """
    Return the notebook of a name; a name is looked up among the files, and never made into a path.

    Raises
    ------
    NotebookError
        If no folder has one.
    """
    known = notebook_files()
    if name not in known:
        raise NotebookError(
            f"run: no notebook {name!r}{suggest(name, known)} There are {sorted(known)}. "
            "Correct the name, or set TASOC_NOTEBOOKS to the folder that holds it."
        )
    return known[name]


def pipeline_files() -> dict[str, Path]:
    """Return the file of each pipeline by its name; that of the first folder counts."""
    found: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted((folder / "pipelines").glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found
