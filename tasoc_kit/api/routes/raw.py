"""Raw frames that are known, by date, sector, camera, CCD and bits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from tasoc_kit.api import formats
from tasoc_kit.api.access import Reads
from tasoc_kit.api.formats import Table
from tasoc_kit.api.paging import Cursor, Limit, decode, encode
from tasoc_kit.api.queries import Bits, Camera, Ccd, Kind, Moment, Sector, second_of
from tasoc_kit.api.raw_frames import COLUMNS, FrameFilter, find_raw, key_of

__all__ = ["Frames", "router"]

router = APIRouter()


class Frames(BaseModel):
    """Which frames are asked for; whatever else stands in the address is refused."""

    model_config = ConfigDict(extra="forbid")

    sector: Sector = None
    camera: Camera = None
    ccd: Ccd = None
    start: Annotated[Moment, Query(description="Not before this, UTC.")] = None
    end: Annotated[Moment, Query(description="Before this, UTC.")] = None
    with_bits: Annotated[Bits, Query(description="TESS quality bits that are all set.")] = None
    without_bits: Annotated[Bits, Query(description="Bits of which none is set.")] = None
    limit: Limit = 100
    cursor: Cursor = None
    format: Kind = None

    def wanted(self) -> FrameFilter:
        """Return them as the lists of frames take them."""
        same = ("sector", "camera", "ccd", "with_bits", "without_bits")
        return FrameFilter(
            begin=second_of("start", self.start),
            end=second_of("end", self.end),
            **{name: getattr(self, name) for name in same},
        )


@router.get("/raw", response_class=Response, responses=formats.documented())
def list_raw(asked: Annotated[Frames, Query()], request: Request, who: Reads) -> Response:
    """
    List raw frames in the order of their start.

    Known are those of the data folder whose headers were read, by a run or by `tasoc catalog index`, and
    those that came in by /inject, which /download/raw sends by their `sha256`. Dates are compared with the
    second in which the exposure began at the spacecraft, as it stands in `start` and in the name.
    """
    after = decode(asked.cursor, int, str, str)
    kind = formats.chosen_format(request, asked.format)
    rows = find_raw(asked.wanted(), after, asked.limit)  # type: ignore[arg-type]
    following = key_of(rows[asked.limit - 1]) if len(rows) > asked.limit else None
    rows = rows[: asked.limit]
    table = Table({name: [row[name] for row in rows] for name in COLUMNS})
    return formats.answer(table, kind, name="raw", next=encode(following))
