"""``tasoc targets``: star catalogues of the TIC and Gaia on this machine, and how they get there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tasoc_kit.commands.options import OPTIONS
from tasoc_kit.errors import without_secrets

if TYPE_CHECKING:
    from tasoc_kit.sources.footprint import Footprint

__all__ = ["app"]

app = typer.Typer(help="Star catalogues (TIC, Gaia) on this machine, and how they get there.", **OPTIONS)

DENSITY = 2000.0
"""Stars per square degree to 16 mag, averaged over the sky; ten times as many in the Milky Way."""
STEEPNESS = 0.28
"""Decades of stars per magnitude."""
STAR_BYTES = 60

Sector = Annotated[int | None, typer.Option(min=1, help="Sector, with camera and CCD.")]
Camera = Annotated[int | None, typer.Option(min=1, max=4, help="Camera.")]
Ccd = Annotated[int | None, typer.Option(min=1, max=4, help="CCD.")]
Ra = Annotated[float | None, typer.Option(help="Middle of a circle, degrees; with --dec and --radius.")]
Dec = Annotated[float | None, typer.Option(help="Middle of a circle, degrees.")]
Radius = Annotated[float | None, typer.Option(help="Radius of the circle, degrees.")]
Gaia = Annotated[bool, typer.Option("--gaia", help="Gaia DR3 in place of the TIC.")]


def _footprint(**place: Any) -> Footprint:
    from tasoc_kit.sources.targets import find_footprint

    return find_footprint(**place)


@app.command()
def fetch(
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    ra: Ra = None,
    dec: Dec = None,
    radius: Radius = None,
    faintest: Annotated[float, typer.Option(help="Faintest TESS magnitude.")] = 16.0,
    gaia: Gaia = False,
    table: Annotated[
        Path | None, typer.Option("--from", help="Copy of the TIC, CSV or parquet, in place of the server.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Fetch the stars of a CCD or a circle; what is here already is not fetched again.

    [bold]Examples[/]

    tasoc targets fetch --sector 1 --camera 1 --ccd 2

    tasoc targets fetch --sector 14 --camera 1 --ccd 2 --faintest 17 --yes

    tasoc targets fetch --ra 84.291 --dec -80.469 --radius 0.5 --gaia

    tasoc targets fetch --sector 1 --camera 1 --ccd 2 --from tic.parquet
    """
    from tasoc_kit.commands.look import as_size, confirm, console
    from tasoc_kit.config import settings
    from tasoc_kit.sources.star_partitions import ORDER
    from tasoc_kit.sources.targets import missing_pixels

    name = "gaia" if gaia else "tic"
    place = _footprint(ra=ra, dec=dec, radius=radius, sector=sector, camera=camera, ccd=ccd)
    count, missing = len(place.pixels(ORDER)), len(missing_pixels(name, place, faintest))
    if not missing:
        console.print(f"{place.name}: all {count} parts to {faintest:g} mag are here. Nothing to fetch.")
        return
    stars = missing * 3.36 * DENSITY * 10 ** (STEEPNESS * (faintest - 16))
    console.print(
        f"{place.name}, {name} to {faintest:g} mag: {missing} of {count} parts to fetch from "
        f"{table or without_secrets(settings().tap_server)},\n"
        f"about {stars:,.0f} stars, {as_size(stars * STAR_BYTES)} on disk "
        "(away from the Milky Way less, in it up to ten times more)."
    )
    if yes or confirm("Fetch them?", default=True):
        _fetch(name, place, faintest, table)


def _fetch(name: str, place: Footprint, faintest: float, copy: Path | None) -> None:
    """Fetch with a bar, and say what came."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from tasoc_kit.commands.look import as_size, console
    from tasoc_kit.sources.targets import fetch_targets

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    bars = Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    )
    with bars:
        task = bars.add_task(name, total=None, note="")

        def progress(done: int, total: int, stars: int) -> None:
            bars.update(task, completed=done, total=total, note=f"{done}/{total} parts, {stars:,} stars")

        written = fetch_targets(name, place, faintest, table=copy, progress=progress)
    size = sum(one.path.stat().st_size for one in written)
    console.print(
        f"{len(written)} parts, {sum(one.rows for one in written):,} stars, {as_size(size)} in "
        f"{written[0].path.parent}",
        soft_wrap=True,
    )


@app.command("list")
def list_all() -> None:
    """
    Say how much of the sky is on this machine, and how deep.

    [bold]Example[/]

    tasoc targets list
    """
    from tasoc_kit.commands.look import as_size, console, table
    from tasoc_kit.sources.star_partitions import list_partitions
    from tasoc_kit.sources.star_server import CATALOGUES

    rows = []
    for name, catalogue in CATALOGUES.items():
        parts = list_partitions(name)
        for deep in sorted({part.faintest for part in parts}):
            these = [part for part in parts if part.faintest == deep]
            size = sum(part.path.stat().st_size for part in these)
            times = sorted(str(part.made["time"])[:10] for part in these)
            stars = f"{sum(part.rows for part in these):,}"
            area = f"{len(these) * 41252.96 / 12288:,.0f}"
            told = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
            rows.append((name, catalogue.title, f"{deep:g}", len(these), area, stars, as_size(size), told))
    if not rows:
        console.print("No star catalogue yet. Fetch one: tasoc targets fetch --sector 1 --camera 1 --ccd 2")
        return
    columns = ("name", "catalogue", "to mag", "parts", "square degrees", "stars", "size", "fetched")
    table("star catalogues on this machine", columns, rows, columns[2:7])


@app.command()
def show(
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    ra: Ra = None,
    dec: Dec = None,
    radius: Radius = None,
    faintest: Annotated[float | None, typer.Option(help="Faintest TESS magnitude.")] = None,
    gaia: Gaia = False,
    count: Annotated[int, typer.Option(min=0, help="Stars to show, the brightest first.")] = 10,
) -> None:
    """
    Show the stars of a CCD or a circle, without the network.

    [bold]Examples[/]

    tasoc targets show --sector 1 --camera 1 --ccd 2

    tasoc targets show --ra 84.291 --dec -80.469 --radius 0.1 --count 50
    """
    from tasoc_kit.commands.look import console, table
    from tasoc_kit.sources.targets import open_targets

    name = "gaia" if gaia else "tic"
    place = _footprint(ra=ra, dec=dec, radius=radius, sector=sector, camera=camera, ccd=ccd)
    stars = open_targets(name, place, faintest)
    formats = {name: "d", "ra": ".6f", "dec": "+.6f", "tmag": ".2f", "pmra": ".1f", "pmdec": ".1f"}
    shown = [[format(value, form) for value in stars[n].values[:count]] for n, form in formats.items()]
    rows = list(zip(*shown, strict=True))
    columns = (name, "ra", "dec", "tmag", "pmra (mas/yr)", "pmdec (mas/yr)")
    table(place.name, columns, rows, columns)
    console.print(
        f"{stars.sizes['star']:,} stars to {stars.attrs['faintest']:g} mag in {place.area:,.2f} deg²; "
        f"{stars.attrs['left_out']} artefacts and duplicates left out. {stars.attrs['catalogue']}"
    )
