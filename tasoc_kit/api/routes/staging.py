"""Frames without their sky: which there are, and one of them as FITS or PNG."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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


_FRAME: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "FITS with the plate solution, or a picture.",
        "content": {media: {"schema": {"type": "string"}} for media in ("image/fits", "image/png")},
    },
    409: {"description": "The raw frames that the sky was made of are not here."},
}


class _Staging(Frames):
    tag: Tag = None
    id: Id = None


@router.get("", response_class=Response, responses=formats.documented())
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


@router.get("/{id}/frame", response_class=Response, responses=_FRAME)
def get_frame(
    id: Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="Id of a sky, as /staging lists it.")],
    who: Reads,
    cadenceno: Annotated[int, Query(ge=0, lt=2**31, description="As /staging lists it.")],
    format: Annotated[Literal["fits", "png"], Query(description="What it is sent as.")] = "fits",
    bin: Annotated[int, Query(ge=1, le=32, description="Pixels averaged along each side; png.")] = 4,
    stretch: Annotated[
        Literal["asinh", "linear", "log", "eq_hist"], Query(description="How flux becomes light; png.")
    ] = "asinh",
    colours: Annotated[
        Literal["cividis", "viridis", "magma", "gray"], Query(description="Table of colours; png.")
    ] = "cividis",
) -> Response:
    """Return one frame without its sky, electron/s: FITS with its plate solution, or a picture."""
    staged = open_staged(id, cadenceno)
    name = f"{id}-{cadenceno}.{format}"
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, max-age=3600"}
    if format == "png":
        content = as_png(staged, bin=bin, stretch=stretch, colours=colours)
        return Response(content, media_type="image/png", headers=headers)
    return Response(as_fits(staged), media_type="image/fits", headers=headers)
