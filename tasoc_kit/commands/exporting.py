"""What ``tasoc export`` does: finds products and frames, shows a bar, and tells what was written."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from rich.progress import Progress

from tasoc_kit import catalog
from tasoc_kit.commands.look import as_size, as_time, console
from tasoc_kit.commands.options import read_numbers
from tasoc_kit.errors import SourceError, StoreError
from tasoc_kit.exports.star import find_star
from tasoc_kit.exports.tables import write_diagnostics, write_table
from tasoc_kit.exports.tasoc_files import write_tasoc_files
from tasoc_kit.exports.vectors import write_vectors
from tasoc_kit.provenance import lineage
from tasoc_kit.sources.ffi import science
from tasoc_kit.sources.pointings import position_of
from tasoc_kit.storage.units import ProductRef, parse_unit, product_unit, unit_matches
from tasoc_kit.store import current_products, open_ref

__all__ = [
    "export_cutout",
    "export_diagnostics",
    "export_light_curves",
    "export_movie",
    "export_validation",
    "export_vectors",
]

TABLES = (".csv", ".csv.gz", ".parquet")


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=None)

        def progress(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield progress


def export_light_curves(
    to: Path,
    unit: Mapping[str, int | None],
    tics: Sequence[int] | None,
    *,
    tag: str | None,
    version: int,
    cube: str | None,
    correction: str,
    workers: int,
    overwrite: bool,
) -> None:
    """Write the light curves of every unit that fits, of all stars or of some."""
    found = _with_stars(unit, tics, tag)
    started, table = time.monotonic(), to.name.endswith(TABLES)
    if table:
        one = _only([ref for ref, _ in found], ", or a folder for FITS files")
        found = [(ref, chosen) for ref, chosen in found if ref == one]
    made = kept = left_out = 0
    for ref, chosen in found:
        with _bar(ref.unit) as progress:
            if table:
                made += write_table(ref, to, tics=chosen, overwrite=overwrite, progress=progress)
                continue
            written = write_tasoc_files(
                ref,
                to,
                tics=chosen,
                version=version,
                cube=None if cube is None else _open(cube, _ccd(ref)),
                correction=correction,
                overwrite=overwrite,
                workers=workers or len(os.sched_getaffinity(0)),
                progress=progress,
            )
        made, kept, left_out = made + written.made, kept + written.kept, left_out + written.left_out
    told = f"{made} light curves written"
    told += f", {kept} were there" if kept else ""
    told += f", {left_out} stars have none" if left_out else ""
    console.print(f"{told}: {to}, in {as_time(time.monotonic() - started)}")


def export_diagnostics(to: Path, unit: Mapping[str, int | None], *, tag: str | None, overwrite: bool) -> None:
    """Write the diagnostics of the one unit that fits."""
    ref = _only(_matching("diagnostics", unit, tag))
    console.print(f"{write_diagnostics(ref, to, overwrite=overwrite)} stars written: {to}")


def export_vectors(to: Path, unit: Mapping[str, int | None], *, tag: str | None, overwrite: bool) -> None:
    """Write the vectors of every unit that fits."""
    paths = [
        path
        for ref in _matching("cbvs", unit, tag)
        for path in write_vectors(open_ref(ref), to, overwrite=overwrite)
    ]
    console.print(f"vectors of {len(paths)} area{'s' if len(paths) != 1 else ''} written: {to}")


def export_validation(to: Path, unit: Mapping[str, int | None], *, tag: str | None, overwrite: bool) -> None:
    """Write the validation of the one unit that fits."""
    from tasoc_kit.exports.validation_page import write_validation

    ref = _only(_matching("validation", unit, tag))
    verdict = write_validation(ref, to, overwrite=overwrite)
    console.print(f"{ref.unit}: {verdict.name.replace('_', ' ').lower()}, written: {to}")


def _matching(product: str, unit: Mapping[str, int | None], tag: str | None) -> list[ProductRef]:
    """Return the products of this name whose unit fits."""
    refs = [ref for ref in current_products(product, tag=tag) if unit_matches(ref.unit, unit)]
    if not refs:
        asked = ", ".join(f"{name} {value}" for name, value in unit.items() if value is not None)
        raise StoreError(
            f"export: the store has no {product.replace('_', ' ')}{f' of {asked}' if asked else ''}; "
            f"expected some. Make them: tasoc run photometry, or look: tasoc products {product}."
        )
    return refs


def _only(refs: Sequence[ProductRef], otherwise: str = "") -> ProductRef:
    """Return the one product that a table is made of: as ``open_product``, a full CCD before its cutouts."""
    refs = [ref for ref in refs if not parse_unit(ref.unit)["field"]] or refs
    if len(refs) > 1:
        raise StoreError(
            f"export: {len(refs)} units fit ({[ref.unit for ref in refs][:6]}); expected one for one table. "
            f"Give --sector, --camera and --ccd, or a --tag{otherwise}."
        )
    return refs[0]


def _with_stars(
    unit: Mapping[str, int | None], tics: Sequence[int] | None, tag: str | None
) -> list[tuple[ProductRef, list[int] | None]]:
    """Return the units that fit, each with its stars among those asked for."""
    refs = _matching("light_curves", unit, tag)
    if not tics:
        return [(ref, None) for ref in refs]
    holding: dict[ProductRef, list[int]] = {}
    for tic in tics:
        places = [found.ref for found in find_star(tic, tag=tag) if found.ref in refs]
        if not places:
            raise StoreError(
                f"export: TIC {tic} is in none of {[ref.unit for ref in refs][:6]}; expected one that "
                f"holds it. Ask 'tasoc where {tic}'."
            )
        for ref in places:
            holding.setdefault(ref, []).append(tic)
    return list(holding.items())


def _open(cube: str, unit: Mapping[str, int | None]) -> xr.Dataset:
    frames = catalog.open_cube(cube, **{name: value for name, value in unit.items() if value is not None})
    whole = frames.attrs.get("mission") == "TESS" and not frames.attrs.get("field")
    return science(frames) if whole else frames


def _ccd(ref: ProductRef) -> dict[str, int]:
    unit = parse_unit(ref.unit)
    return {name: unit[name] for name in ("sector", "camera", "ccd")}


def _products_of(frames: xr.Dataset, names: Sequence[str]) -> dict[str, xr.Dataset]:
    """Return the current products that were made from these very frames."""
    unit, raw = product_unit(frames), frames.attrs["provenance_id"]
    found = {}
    for name in names:
        for ref in current_products(name):
            if ref.unit == unit:
                opened = open_ref(ref)
                if raw in lineage(opened):
                    found[name] = opened
    return found


def export_cutout(
    target: str, to: Path, cube: str, unit: Mapping[str, int | None], size: int, overwrite: bool
) -> None:
    """Write a cutout with what the store knows of its frames."""
    from tasoc_kit.exports.target_pixels import write_target_pixels

    frames = _open(cube, unit)
    known = _products_of(frames, ("apertures", "stars", "reference", "sky", "pointing"))
    number = target.strip().upper().removeprefix("TIC").strip()
    place: dict[str, Any] = {"tic": int(number)} if number.isdigit() else {"position": position_of(target)}
    path = write_target_pixels(frames, to, size=size, products=known, overwrite=overwrite, **place)
    told = "sky taken out" if {"sky", "reference"} <= known.keys() else "sky left in"
    console.print(f"{frames.sizes['time']} frames, {told}, {as_size(path.stat().st_size)} in {path}")


def export_movie(
    to: Path,
    cube: str,
    sector: int | None,
    place: tuple[str | None, str | None],
    *,
    without_sky: bool,
    overwrite: bool,
    **shown: Any,
) -> None:
    """Write a movie of one or several CCDs."""
    from tasoc_kit.exports.movie import write_movie

    cameras, ccds = read_numbers("--camera", place[0]) or [None], read_numbers("--ccd", place[1]) or [None]
    cubes = [_open(cube, {"sector": sector, "camera": c, "ccd": d}) for c in cameras for d in ccds]
    known = _products_of(cubes[0], ("sky", "reference")) if without_sky and len(cubes) == 1 else {}
    if without_sky and len(known) < 2:
        raise SourceError(
            "export movie: the store has no sky of these frames; expected the products sky and reference of "
            "one CCD. Make them: tasoc run photometry --until sky, or leave --without-sky out."
        )
    with _bar("frames") as progress:
        path = write_movie(cubes, to, products=known, overwrite=overwrite, progress=progress, **shown)
    console.print(f"{as_size(path.stat().st_size)} in {path}")
