"""Everything that decides a simulated sector: one validated, frozen record.

Two sectors with equal settings have equal pixels; anything that is not here cannot change one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasoc_kit.errors import SourceError, suggest

__all__ = ["VERSION", "SectorSettings"]

VERSION = 1
"""Raised when the same settings give other pixels, so that no cached sector is taken for a new one."""


def _field(default: Any, meaning: str, unit: str = "", **limits: Any) -> Any:
    return Field(default, description=meaning, json_schema_extra={"unit": unit}, **limits)


Positive = Annotated[float, Field(ge=0)]


class SectorSettings(BaseModel):
    """The settings of one simulated sector of one CCD."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sector: int = _field(1, "sector; decides times, field and cadence numbers", ge=1, le=200)
    camera: int = _field(1, "camera", ge=1, le=4)
    ccd: int = _field(2, "CCD", ge=1, le=4)
    seed: int = _field(1, "seed of every random number", ge=0)
    frames: int = _field(64, "frames made", ge=0, le=20000)
    first: int = _field(0, "place in the sector of the first frame, counted in cadences", ge=0)
    every: int = _field(1, "cadences from one frame to the next", ge=1)
    cadence: Literal[200, 600, 1800] = _field(1800, "time from one cadence to the next", "s")
    rows: int = _field(256, "science rows; fewer than 2048 keep the lower-left corner", "pix", ge=32, le=2048)
    columns: int = _field(
        256, "science columns; fewer than 2048 keep the lower-left corner", "pix", ge=32, le=2048
    )

    star_density: Positive = _field(12_000.0, "stars brighter than T = 15 on a whole CCD")
    faint_limit: float = _field(20.0, "magnitude of the faintest stars drawn", "mag", ge=10, le=22)
    catalogue_limit: float = _field(
        16.0, "magnitude of the faintest stars in stars.parquet", "mag", ge=5, le=22
    )
    prf: Literal["nominal", "skewed"] = _field(
        "nominal", "form of the PRF: the nominal one, or a drawn-out Moffat profile with a tail"
    )
    prf_width: float = _field(1.0, "factor on the width of the PRF core", ge=0.5, le=3)
    variables: bool = _field(True, "stars vary: planets, binaries, pulsators, flares, rotators, a supernova")
    asteroid: bool = _field(True, "an asteroid crosses the field")

    zodiacal: Positive = _field(110.0, "zodiacal light at the CCD centre", "electron / s")
    zodiacal_gradient: float = _field(0.12, "its relative change from corner to corner", ge=-1, le=1)
    glow: Positive = _field(60.0, "corner glow 600 pixels beyond the edge of the field", "electron / s")
    glow_row: float = _field(12.0, "rows from the nominal optical axis to the centre of the glow", "pix")
    glow_column: float = _field(
        16.0, "columns from the nominal optical axis to the centre of the glow", "pix"
    )
    scattered: Positive = _field(180.0, "scattered light at its strongest", "electron / s")
    structure: Positive = _field(0.0, "rms of the Gaussian random sky", "electron / s")
    structure_scale: float = _field(300.0, "FWHM of its correlation", "pix", ge=50, le=2000)
    straps: bool = _field(True, "columns with straps answer more, and more still to scattered light")
    column_noise: Positive = _field(0.05, "rms of the offsets of the columns of a frame", "electron / s")
    earth_edge: Positive = _field(
        0.0, "step of an edge of Earth light that crosses the field", "electron / s"
    )

    jitter: Positive = _field(0.0015, "rms of the frame-to-frame pointing", "pix")
    drift: float = _field(0.2, "drift of the pointing over a whole sector", "pix", ge=-2, le=2)
    aberration: float = _field(
        0.15, "change over a sector, at the corners, of the aberration field", "pix", ge=-1, le=1
    )
    dump_offset: Positive = _field(0.5, "offset of the pointing during a momentum dump", "pix", le=5)
    wcs_noise: Positive = _field(0.002, "rms error of the pointing that the headers state", "pix")

    noise: bool = _field(True, "photon and read noise")
    cosmic_rays: Positive = _field(
        150.0, "cosmic-ray hits per frame of a whole CCD that on-board mitigation misses"
    )
    saturation: bool = _field(True, "pixels above full well bleed along their column")

    @classmethod
    def validated(cls, **values: Any) -> Self:
        """Return the settings, or say which value is wrong and what is expected."""
        names = sorted(cls.model_fields)
        for name in values:
            if name not in cls.model_fields:
                raise SourceError(
                    f"simulation: unknown setting {name!r}{suggest(name, names)} It takes {names}. "
                    "Correct the name."
                )
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "settings"
            raise SourceError(
                f"simulation: {name}={values.get(name)!r}: {first['msg']}. "
                f"{cls._meaning(name)}Give a value in that range."
            ) from None

    @classmethod
    def _meaning(cls, name: str) -> str:
        field = cls.model_fields.get(name)
        return f"{name} is the {field.description}. " if field else ""

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that stand for these settings."""
        text = json.dumps({"version": VERSION, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
