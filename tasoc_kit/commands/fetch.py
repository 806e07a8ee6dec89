"""``tasoc fetch``: say what would come, ask, and bring FFIs from the archive onto this disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tasoc_kit.commands.options import read_numbers
from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError, suggest, without_secrets

if TYPE_CHECKING:
    from tasoc_kit.sources.archive import ArchiveFile, Selection

__all__ = ["fetch"]

_SHOWN = 5


def fetch(
    preset: Annotated[
        str | None, typer.Argument(help="mini: 214 FFIs, 8 GB; small: 2,564 FFIs, 91 GB; of sector 1.")
    ] = None,
    sector: Annotated[int | None, typer.Option(min=1, help="Sector, where no preset is named.")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera, or several: 1 or 1,2. All by default.")] = None,
    ccd: Annotated[str | None, typer.Option(help="CCD, or several. All by default.")] = None,
    cadences: Annotated[
        str | None, typer.Option(help="The first so many, or FIRST:END:STEP of each CCD, as ::6.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Bucket or folder of the archive, listing (.parquet), MAST script (.sh)."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder of raw files. Default: TASOC_DATA.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Files at the same time.")] = 4,
    verify: Annotated[bool, typer.Option("--verify", help="Check what is there by its checksums.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Fetch calibrated FFIs from the public archive; what is there is kept, what was begun goes on.

    [bold]Examples[/]

    tasoc fetch mini

    tasoc fetch --sector 14 --camera 2 --ccd 3 --cadences 100

    tasoc fetch --sector 14 --source tesscurl_sector_14_ffic.sh
    """
    from tasoc_kit.sources.archive import PUBLIC_ARCHIVE

    chosen = read_numbers("--camera", camera), read_numbers("--ccd", ccd)
    wanted = _find_selection(preset, sector, *chosen, cadences)
    raise typer.Exit(_fetch(wanted, source or PUBLIC_ARCHIVE, to, workers, verify=verify, ask=not yes))


def _find_selection(
    preset: str | None, sector: int | None, cameras: Sequence[int], ccds: Sequence[int], cadences: str | None
) -> Selection:
    """Return what a person asked for: a preset, or a sector and what is wanted of it."""
    from tasoc_kit.sources.archive import PRESETS, Selection

    if preset is not None:
        if sector or cameras or ccds or cadences:
            raise SourceError(
                f"fetch: {preset} and options that choose frames; expected a preset or options, not both. "
                "Leave one out."
            )
        if preset not in PRESETS:
            raise SourceError(
                f"fetch: no preset {preset!r}{suggest(preset, PRESETS)} There are {sorted(PRESETS)}. "
                "Choose one, or give --sector."
            )
        return PRESETS[preset]
    if sector is None:
        raise SourceError(f"fetch: nothing was asked for; expected {sorted(PRESETS)} or --sector. Give one.")
    every = (1, 2, 3, 4)
    for name, numbers in (("--camera", cameras), ("--ccd", ccds)):
        if not set(numbers) <= set(every):
            raise SourceError(f"fetch: {name} {list(numbers)}; expected numbers from 1 to 4. Correct it.")
    return Selection(sector, tuple(cameras) or every, tuple(ccds) or every, *_cadences(cadences))


def _cadences(text: str | None) -> tuple[int | None, int | None, int | None]:
    """Read ``100``, ``50:150`` or ``::6`` as first, end and step."""
    parts = (text or "").split(":")
    try:
        first, end, step = [int(part) if part.strip() else None for part in (*parts, "", "")][:3]
        if len(parts) > 3 or step == 0 or any(number and number < 0 for number in (first, end, step)):
            raise ValueError(text)
    except ValueError:
        raise SourceError(
            f"fetch: --cadences {text!r}: expected the first so many, or FIRST:END:STEP as 100:300 or ::6. "
            "Correct it."
        ) from None
    return (None, first, None) if len(parts) == 1 else (first, end, step)


def _folder(to: Path | None) -> Path:
    from tasoc_kit.sources.byte_source import is_local, local_path

    if to is None and not is_local(settings().data):
        raise SourceError(
            f"fetch: TASOC_DATA is {settings().data}; expected a folder on this machine. Give one with --to."
        )
    return to or local_path(settings().data)


def _fetch(wanted: Selection, source: str, to: Path | None, at_once: int, *, verify: bool, ask: bool) -> int:
    """Fetch what is missing of a selection; return the exit code."""
    from tasoc_kit.commands.look import as_size, confirm, console
    from tasoc_kit.sources.archive import list_archive
    from tasoc_kit.sources.download import check_room, missing_files

    folder = _folder(to)
    with console.status(f"listing {without_secrets(source)}"):
        files = list_archive(wanted, source)
    missing = missing_files(files, folder, verify=verify)
    left = check_room(missing, folder)
    console.print(
        f"{len(files)} FFIs, {as_size(sum(file.size for file in files))}, from {without_secrets(source)}\n"
        f"{len(files) - len(missing)} are in {folder} already, {len(missing)} are missing: "
        f"{as_size(left)} to come"
    )
    if not missing:
        return 0
    if ask and not confirm(f"Fetch {as_size(left)}?", default=False):
        console.print("Nothing was fetched.")
        return 0
    return _bring(missing, folder, at_once)


def _bring(missing: Sequence[ArchiveFile], folder: Path, at_once: int) -> int:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from tasoc_kit.commands.look import as_size, console, show_error
    from tasoc_kit.sources.download import download

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    hidden = not console.is_terminal
    with Progress("{task.description}", *columns, console=console, transient=True, disable=hidden) as bars:
        task = bars.add_task(f"{len(missing)} FFIs", total=sum(file.size for file in missing))
        fetched = download(missing, folder, at_once=at_once, progress=lambda come: bars.advance(task, come))
    for problem in list(fetched.problems.values())[:_SHOWN]:
        show_error(problem)
    console.print(f"{fetched.files} FFIs came, {as_size(fetched.bytes)}; {len(fetched.problems)} did not.")
    console.print(
        "Fetch again: it goes on." if fetched.problems else f"Next: tasoc run photometry --cube {folder}"
    )
    return 1 if fetched.problems else 0
