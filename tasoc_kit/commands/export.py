"""``tasoc export``: light curves, tables, vectors, pages, cutouts and movies as files of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tasoc_kit.commands.options import OPTIONS

__all__ = ["app"]

app = typer.Typer(
    help="Write products as files: TASOC light curves, tables, vectors, pages, cutouts, movies.", **OPTIONS
)

Sector = Annotated[int | None, typer.Option(help="Sector.")]
Camera = Annotated[int | None, typer.Option(min=1, max=4, help="Camera.")]
Ccd = Annotated[int | None, typer.Option(min=1, max=4, help="CCD.")]
Tic = Annotated[list[int] | None, typer.Option(help="TIC number; may be repeated. All stars by default.")]
Tag = Annotated[str | None, typer.Option(help="Tag of the products; by default current, else newest.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
Frames = Annotated[str, typer.Option(help="Catalog entry, folder, file or URL of the frames.")]


@app.command("light-curves")
def light_curves(
    to: Annotated[Path, typer.Option(help="Folder for FITS files; a .csv or .parquet file for one table.")],
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    tic: Tic = None,
    tag: Tag = None,
    version: Annotated[
        int, typer.Option(min=0, max=99, help="Version of the processing, in file names.")
    ] = 1,
    cube: Annotated[
        str | None,
        typer.Option(help="Frames, to mark the pixels that the sky was made of; else those without a star."),
    ] = None,
    correction: Annotated[
        str, typer.Option(help="What FLUX_CORR is: best, none, cbv, ensemble or filter.")
    ] = "best",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """
    Write light curves as TASOC FITS files, which lightkurve opens, or as one table.

    What an interrupted run has written is kept.

    [bold]Examples[/]

    tasoc export light-curves --sector 14 --to files/

    tasoc export light-curves --tic 261136679 --tic 25155310 --to files/

    tasoc export light-curves --sector 14 --camera 1 --ccd 2 --to s0014-1-2.parquet
    """
    from tasoc_kit.commands.exporting import export_light_curves

    unit = {"sector": sector, "camera": camera, "ccd": ccd}
    how = {"version": version, "cube": cube, "correction": correction, "workers": workers}
    export_light_curves(to, unit, tic, tag=tag, overwrite=overwrite, **how)


@app.command()
def diagnostics(
    to: Annotated[Path, typer.Option(help="Table to write: .csv, .csv.gz or .parquet.")],
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    tag: Tag = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Write what is known of every star of a CCD as a table: noise, status, and why it has it.

    The head of the table says how long each notebook ran.

    [bold]Examples[/]

    tasoc export diagnostics --sector 14 --camera 1 --ccd 2 --to stars.csv
    """
    from tasoc_kit.commands.exporting import export_diagnostics

    export_diagnostics(to, {"sector": sector, "camera": camera, "ccd": ccd}, tag=tag, overwrite=overwrite)


@app.command()
def vectors(
    to: Annotated[Path, typer.Option(help="Folder for FITS files; each area has a folder in it.")],
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    tag: Tag = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Write co-trending vectors in the layout of the mission's CBV files, which lightkurve opens.

    [bold]Examples[/]

    tasoc export vectors --sector 14 --camera 1 --ccd 2 --to vectors/
    """
    from tasoc_kit.commands.exporting import export_vectors

    export_vectors(to, {"sector": sector, "camera": camera, "ccd": ccd}, tag=tag, overwrite=overwrite)


@app.command()
def validation(
    to: Annotated[Path, typer.Option(help="HTML file to write; it opens without a network.")],
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    tag: Tag = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Write the validation of a CCD as a page: verdict, checks and figures in one file.

    [bold]Examples[/]

    tasoc export validation --sector 14 --camera 1 --ccd 2 --to s0014-1-2.html
    """
    from tasoc_kit.commands.exporting import export_validation

    export_validation(to, {"sector": sector, "camera": camera, "ccd": ccd}, tag=tag, overwrite=overwrite)


@app.command()
def cutout(
    target: Annotated[str, typer.Argument(help="TIC number, or 'RA DEC' in degrees.")],
    to: Annotated[Path, typer.Option(help="FITS file to write; .fits or .fits.gz.")],
    cube: Frames = "ffi.local",
    sector: Sector = None,
    camera: Camera = None,
    ccd: Ccd = None,
    size: Annotated[int, typer.Option(min=1, max=2048, help="Rows and columns of pixels.")] = 11,
    overwrite: Overwrite = False,
) -> None:
    """
    Write the pixels around a star or a place as a target pixel file, which lightkurve opens.

    Where the store has the sky and the apertures of these frames, the sky is taken out and the aperture
    marked.

    [bold]Examples[/]

    tasoc export cutout 261136679 --cube frames/ --sector 1 --camera 4 --ccd 2 --to pi_men.fits

    tasoc export cutout "84.291 -80.469" --cube frames/ --size 21 --to pi_men.fits.gz
    """
    from tasoc_kit.commands.exporting import export_cutout

    export_cutout(target, to, cube, {"sector": sector, "camera": camera, "ccd": ccd}, size, overwrite)


@app.command()
def movie(
    to: Annotated[Path, typer.Option(help="mp4 file to write.")],
    cube: Frames = "ffi.local",
    sector: Sector = None,
    camera: Annotated[str | None, typer.Option(help="Camera, or several: 1 or 1-4.")] = None,
    ccd: Annotated[str | None, typer.Option(help="CCD, or several: 1 or 1-4.")] = None,
    bin: Annotated[int, typer.Option(min=1, max=64, help="Pixels averaged along each side.")] = 4,  # noqa: A002
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames a second.")] = 15,
    every: Annotated[int, typer.Option(min=1, help="Take each so many frames.")] = 1,
    stretch: Annotated[str, typer.Option(help="asinh, linear, log or eq_hist.")] = "asinh",
    colours: Annotated[str, typer.Option(help="magma, viridis, cividis or gray.")] = "magma",
    without_sky: Annotated[
        bool, typer.Option("--without-sky", help="Take out the sky of the store.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """
    Write a movie of the frames of a CCD, or of several as they lie on the sky.

    [bold]Examples[/]

    tasoc export movie --cube frames/ --sector 14 --camera 1 --ccd 2 --to s0014-1-2.mp4

    tasoc export movie --cube frames/ --sector 14 --camera 1-4 --ccd 1-4 --bin 16 --to s0014.mp4
    """
    from tasoc_kit.commands.exporting import export_movie

    shown: dict[str, Any] = {"bin": bin, "fps": fps, "every": every, "stretch": stretch, "colours": colours}
    export_movie(to, cube, sector, (camera, ccd), without_sky=without_sky, overwrite=overwrite, **shown)
