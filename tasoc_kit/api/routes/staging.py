"""Frames without their sky: which there are, and one of them as FITS or PNG."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from tasoc_kit.api import formats
from tasoc_kit.api.access import Reads
from tasoc_kit.api.formats import Table
from tasoc_kit.api.frame_files import as_fits, as_png
from tasoc_kit.api.paging import decode, encode
from tasoc_kit.api.queries import Id, Tag
from tasoc_kit.api.routes.raw import Frames
from tasoc_kit.api.staged_frames import COLUMNS, list_staged, open_staged

__all__ = ["router"]

router = APIRouter(prefix="/staging")


class _Staging(Frames):
    tag: Tag = None
    id: Id = None


@router.get("")
def list_frames(asked: Annotated[_Staging, Query()], request: Request, who: Reads) -> Response:
    """
    List frames whose sky is known, in the order of units and cadences.

    A page may hold fewer rows than were asked for while `next` still leads on.
    """
    after = decode(asked.cursor, str, int)
    kind = formats.chosen_format(request, asked.format)
    rows, following = list_staged(asked.wanted(), asked.tag, asked.id, after, asked.limit)  # type: ignore[arg-type]
    table = Table({name: [row[name] for row in rows] for name in COLUMNS})
    return formats.answer(table, kind, name="staging", next=encode(following))


@router.get("/{id}/frame", response_class=Response)
def get_frame(
    id: Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Id of a sky, as /staging lists it.")],
    who: Reads,
    cadenceno: Annotated[int, Query(ge=0, lt=2**31)],
    format: Literal["fits", "png"] = "fits",
    bin: Annotated[int, Query(ge=1, le=32, description="Pixels averaged along each side; png.")] = 4,
    stretch: Literal["asinh", "linear", "log", "eq_hist"] = "asinh",
    colours: Literal["cividis", "viridis", "magma", "gray"] = "cividis",
) -> Response:
    """Return one frame without its sky, electron/s: FITS with its plate solution, or a picture."""
    staged = open_staged(id, cadenceno)
    name = f"{id}-{cadenceno}.{format}"
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, max-age=3600"}
    if format == "png":
        content = as_png(staged, bin=bin, stretch=stretch, colours=colours)
        return Response(content, media_type="image/png", headers=headers)
    return Response(as_fits(staged), media_type="image/fits", headers=headers)
