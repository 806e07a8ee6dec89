"""``tasoc simulate``: a sector of FITS files with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tasoc_kit.commands.look import as_size, console
from tasoc_kit.pipeline.assigned_value import read_assignment
from tasoc_kit.simulation import write_sector

__all__ = ["simulate_sector"]


def simulate_sector(folder: Path, fixed: Mapping[str, Any], assignments: Sequence[str]) -> None:
    """
    Write a simulated sector with a bar.

    Parameters
    ----------
    folder
        Where the files go.
    fixed
        Settings that have an option of their own.
    assignments
        Further settings, as ``name=value``.
    """
    chosen = dict(fixed)
    for assignment in assignments:
        name, value = read_assignment(assignment, "name=value, as structure=5")
        chosen[name] = value
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("frames", total=None)

        def progress(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        write_sector(folder, progress=progress, **chosen)
    files = sorted(folder.glob("*.fits"))
    size = sum(file.stat().st_size for file in files)
    console.print(
        f"{len(files)} frames, {as_size(size)} in {folder}. Next: tasoc run photometry --cube {folder}"
    )
