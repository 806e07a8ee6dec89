"""What the light-curve files of each pipeline hold, and one file as what it says.

| family | made by | columns that serve as flux, the default first |
|---|---|---|
| ``spoc`` | SPOC, 20 s and 2 min targets (Jenkins+ 2016, SPIE 9913) | PDCSAP_FLUX, SAP_FLUX |
| ``tess-spoc`` | SPOC on FFIs (Caldwell+ 2020, RNAAS 4 201) | PDCSAP_FLUX, SAP_FLUX |
| ``kepler`` | the pipeline of Kepler and K2 (Jenkins+ 2010, ApJ 713 L87) | PDCSAP_FLUX, SAP_FLUX |
| ``tglc`` | TGLC (Han & Brandt 2023, AJ 165 71) | aperture_flux, psf_flux, cal_aper_flux, cal_psf_flux |
| ``cdips`` | CDIPS (Bouma+ 2019, ApJS 245 13) | PCA2, PCA1, PCA3, TFA1 to TFA3, IRM1 to IRM3 |
| ``text`` | anybody: two columns, days and flux over its mean | flux |

The defaults keep what a star varies by itself. PDCSAP and PCA are corrected for what stars share;
``cal_aper_flux`` and ``cal_psf_flux`` lack what takes longer than a day, and TFA follows the star as well.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.utils.exceptions import AstropyWarning

from tasoc_kit.errors import SourceError, suggest
from tasoc_kit.numerics.barycentre import earth_and_sun, light_travel_time
from tasoc_kit.numerics.clock import BTJD_ZERO, DAY, btjd_from_name_stamp, cadence_number
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.time_stamps import stamp_shift
from tasoc_kit.sources.byte_source import file_name, read_all
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, KitQuality, TessQuality

__all__ = ["ENDINGS", "FAMILIES", "Curve", "read_curve"]

ENDINGS = (".fits", ".fits.gz", ".txt")
FRAME_SECONDS = 200.0
"""The shortest exposure of FFIs: what is shorter is a target."""
MAGNITUDE = 0.4 * np.log(10)
"""Relative flux in a magnitude."""
_SAP = {"PDCSAP_FLUX": "PDCSAP_FLUX_ERR", "SAP_FLUX": "SAP_FLUX_ERR"}
FAMILIES: dict[str, dict[str, str]] = {
    "spoc": _SAP,
    "tess-spoc": _SAP,
    "kepler": _SAP,
    "tglc": {
        "aperture_flux": "aperture_flux_err",
        "psf_flux": "psf_flux_err",
        "cal_aper_flux": "cal_aper_flux_err",
        "cal_psf_flux": "cal_psf_flux_err",
    },
    "cdips": {f"{kind}{number}": f"IRE{number}" for kind in ("PCA", "TFA", "IRM") for number in (2, 1, 3)},
    "text": {"flux": ""},
}
"""Family → column of the flux → column of its error; the first is the default."""
_TIMES = {"tglc": ("time", "cadence_num", "TESS_flags", "TGLC_flags"), "cdips": ("TMID_BJD", "RSTFC")}
_RAW = {"cal_aper_flux": "aperture_flux", "cal_psf_flux": "psf_flux"}
"""Columns of TGLC without a level → those that have it."""
AS_IN_TESS = {
    1: TessQuality.ATTITUDE_TWEAK,
    2: TessQuality.SAFE_MODE,
    4: TessQuality.COARSE_POINT,
    8: TessQuality.EARTH_POINT,
    16: TessQuality.ZERO_CROSSING,
    32: TessQuality.DESAT,
    256: TessQuality.MANUAL_EXCLUDE,
    1024: TessQuality.SENSITIVITY_DROPOUT,
    2048: TessQuality.IMPULSIVE_OUTLIER,
}
"""Bits of Kepler (Archive Manual, KDMC-10008-006, table 2-3) that say what one of TESS says."""
KEPLER_BAD = 16384 | 65536 | 1048576
"""Detector anomaly, no data, thruster firing: bits of Kepler without a like in TESS."""
_NEVER_WRONG = "as stated: TESS-SPOC began in November 2020, when times were right"
"""Whatever its DATA_REL, which may be that of the frames: https://archive.stsci.edu/hlsp/tess-spoc."""


@dataclass(frozen=True)
class Curve:
    """One file; arrays are along its cadences."""

    files: tuple[str, int, str]
    """Name, bytes, and the checksum that the header states, else that of the content."""
    family: str
    column: str
    unit: dict[str, Any]
    """Mission, and what is known of sector, camera, CCD; of Kepler quarter or campaign, module, output."""
    star: dict[str, Any]
    """Object, TIC number (0 for none), position and TESS magnitude (NaN for none)."""
    cadence: float
    exposure: float
    time: np.ndarray
    cadenceno: np.ndarray
    quality: np.ndarray
    """Bits of TESS."""
    source_quality: np.ndarray | None
    """Bits as they stand in the file; None where it has none."""
    pixel_quality: np.ndarray
    flux: np.ndarray
    flux_err: np.ndarray
    level: float
    """What flux is multiplied by to be in electron/s; NaN where nothing says so."""
    told: dict[str, str] = field(default_factory=dict)
    """How times, numbers and levels came about."""


def read_curve(path: str, column: str = "") -> Curve:
    """
    Read one light curve.

    Parameters
    ----------
    path
        A ``.fits``, ``.fits.gz`` or ``.txt`` file; path or URL.
    column
        Which of the flux columns of ``FAMILIES``; by default the first of the family.

    Raises
    ------
    SourceError
        If it is no such file, of no known family, has no such column, or no value in it.
    """
    if not path.endswith(ENDINGS):
        raise SourceError.for_file(
            path, "no light-curve file", f"Expected a name that ends in {', '.join(ENDINGS)}."
        )
    content = read_all(path)
    name = file_name(path)
    curve = (_text if path.endswith(".txt") else _fits)(path, name, content, column)
    finite = int((np.isfinite(curve.flux) & np.isfinite(curve.time)).sum())
    if not finite:
        raise SourceError.for_file(
            path,
            f"{curve.column} has no finite value in {curve.flux.size} cadences",
            f"Expected some. Take another column of {list(FAMILIES[curve.family])}, or leave the file out.",
        )
    return curve


def _refusal(path: str, problem: object) -> SourceError:
    return SourceError.for_file(
        path,
        f"no light curve can be read ({problem})",
        f"Expected a file of {', '.join(FAMILIES)}. Fetch it again, or leave it out.",
    )


def _column(path: str, family: str, asked: str) -> str:
    known = FAMILIES[family]
    if asked and asked not in known:
        raise SourceError.for_file(
            path,
            f"column={asked!r} is none of {family}{suggest(asked, known)} It has {list(known)}",
            "Give one of these, or none for the first.",
        )
    return asked or next(iter(known))


def _fits(path: str, name: str, content: bytes, asked: str) -> Curve:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # of truncated files, which are refused
            with fits.open(io.BytesIO(content)) as hdus:
                if len(hdus) < 2 or not isinstance(hdus[1], fits.BinTableHDU):
                    raise _refusal(path, "its first extension is no table")
                table = _Table(name, hdus)
                family = _family(path, table)
                column = _column(path, family, asked)
                table.need(path, _needed(family, column))
                return _READERS[family](table, (name, len(content), table.checksum(content)), family, column)
    except (OSError, ValueError, TypeError, KeyError, VerifyError) as error:
        raise _refusal(path, error) from None


class _Table:
    """The parts of one FITS file that a light curve is made of."""

    def __init__(self, name: str, hdus: fits.HDUList) -> None:
        self.name, self.hdus = name, hdus
        self.names = [str(column).upper() for column in hdus[1].columns.names]

    def value(self, keyword: str, default: Any = None) -> Any:
        """Return a keyword of the table's header, else of the primary one; blank counts as missing."""
        for header in (self.hdus[1].header, self.hdus[0].header):
            found = header.get(keyword)
            if found is not None and found != "" and not isinstance(found, fits.card.Undefined):
                return found
        return default

    def number(self, keyword: str, default: float = np.nan) -> float:
        try:
            return float(self.value(keyword, default))
        except ValueError:
            return default

    def need(self, path: str, columns: tuple[str, ...]) -> None:
        missing = [column for column in columns if column.upper() not in self.names]
        if missing:
            raise _refusal(path, f"its table has no {', '.join(missing)}")

    def column(self, name: str, dtype: str = "float64") -> np.ndarray:
        return np.array(self.hdus[1].data[name], dtype=dtype)

    def checksum(self, content: bytes) -> str:
        return str(self.value("CHECKSUM", "")) or hashlib.sha256(content).hexdigest()

    def unit(self, *names: str, mission: str = "TESS") -> dict[str, Any]:
        known = {name.lower(): self.value(name) for name in names}
        return {"mission": mission} | {name: int(value) for name, value in known.items() if value is not None}

    def star(self, **more: Any) -> dict[str, Any]:
        tic = self.number("TICID", 0.0)
        found = {"object": str(self.value("OBJECT", self.name)), "tic": int(tic) if np.isfinite(tic) else 0}
        keys = {"ra": "RA_OBJ", "dec": "DEC_OBJ", "tmag": "TESSMAG"}
        return found | {name: self.number(key) for name, key in keys.items()} | more


def _family(path: str, table: _Table) -> str:
    origin = f"{table.value('ORIGIN', '')} {table.value('CALIB', '')}".strip()
    if "TGLC" in origin:
        return "tglc"
    if "CDIPS" in origin:
        return "cdips"
    if "NASA/Ames" in origin and table.value("TELESCOP") == "Kepler":
        return "kepler"
    if "NASA/Ames" in origin and table.value("TELESCOP") == "TESS":
        return "spoc" if table.number("TIMEDEL") * DAY < FRAME_SECONDS - 1 else "tess-spoc"
    raise SourceError.for_file(
        path,
        f"a table of {origin or 'unknown origin'!r} is of no family that is known",
        f"Expected one of {', '.join(FAMILIES)}. Target pixel files open with tasoc_kit.open_cube.",
    )


def _needed(family: str, column: str) -> tuple[str, ...]:
    flux = (column, FAMILIES[family][column])
    if family == "cdips":
        return (*flux, *_TIMES[family], f"IRQ{column[-1]}")
    if family == "tglc":
        return (*flux, *_TIMES[family], _RAW.get(column, column))
    bits = "SAP_QUALITY" if family == "kepler" else "QUALITY"
    return (*flux, "TIME", "CADENCENO", bits)


def _apart(flux: np.ndarray, set_apart: np.ndarray) -> np.ndarray:
    """Return our own bits: no value, or set apart by who made the file."""
    bits = np.where(np.isfinite(flux), 0, int(KitQuality.NO_DATA))
    return np.where(set_apart, bits | int(KitQuality.FLAGGED_BAD_DATA), bits).astype(np.int32)


def _mission(table: _Table, files: tuple[str, int, str], family: str, column: str) -> Curve:
    kepler = family == "kepler"
    own = table.column("SAP_QUALITY" if kepler else "QUALITY", "int32")
    bits, bad = own, (own & DEFAULT_BAD_BITS) != 0
    if kepler:
        like = [np.where(own & ours, int(theirs), 0) for ours, theirs in AS_IN_TESS.items()]
        bits = np.bitwise_or.reduce(like).astype(np.int32)
        bad = ((bits & DEFAULT_BAD_BITS) != 0) | ((own & KEPLER_BAD) != 0)
        mission = str(table.value("MISSION") or "Kepler")
        unit = table.unit("CAMPAIGN" if mission == "K2" else "QUARTER", "MODULE", "OUTPUT", mission=mission)
        told = {"time_stamps": "as stated; BKJD + 2454833 − 2457000"}
        shift = 0.0
    else:
        unit = table.unit("SECTOR", "CAMERA", "CCD")
        told, shift = {"time_stamps": _NEVER_WRONG}, 0.0
    if family == "spoc":
        release, version = int(table.value("DATA_REL", 0)), str(table.value("PROCVER", ""))
        late = stamp_shift(release, version, unit.get("camera", 0), unit.get("ccd", 0), "target")
        told, shift = {"time_stamps": late.reason}, late.middle
    zero = table.number("BJDREFI") + table.number("BJDREFF", 0.0) - BTJD_ZERO
    step = table.number("TIMEDEL") * DAY
    flux = table.column(column, "float32")
    return Curve(
        files=files,
        family=family,
        column=column,
        unit=unit,
        star=table.star(),
        cadence=round(step, 2),
        exposure=round(table.number("INT_TIME") * table.number("NUM_FRM") * _kept(table), 4),
        time=table.column("TIME") + zero + shift / DAY,
        cadenceno=table.column("CADENCENO", "int32"),
        quality=bits,
        source_quality=own,
        pixel_quality=_apart(flux, bad),
        flux=flux,
        flux_err=table.column(FAMILIES[family][column], "float32"),
        level=1.0,
        told=told | {"cadence_numbers": "of the mission", "level": "electron / s as stated"},
    )


def _kept(table: _Table) -> float:
    """Return the share of the exposures that the mitigation of cosmic rays on board keeps."""
    block = table.number("CRBLKSZ", 0.0)
    return 1 - 2 / block if table.value("CRMITEN", False) and block > 2 else 1.0


def _tglc(table: _Table, files: tuple[str, int, str], family: str, column: str) -> Curve:
    flux, error = (table.column(name, "float64") for name in (column, FAMILIES[family][column]))
    star, time = table.star(), table.column("time")
    time = time + table.number("BJDREFI") - BTJD_ZERO
    step = table.number("XPTIME")
    own, theirs = table.column("TESS_flags", "int32"), table.column("TGLC_flags", "int32")
    numbers, how = table.column("cadence_num", "int32"), "of the file"
    if not numbers.any():
        numbers, how = _numbers_by_law(time, star, step), "by the law of the first sectors, from the times"
    level, said = 1.0, "electron / s as stated"
    if column in _RAW:
        level, said = float(np.nanmedian(table.column(_RAW[column]))), f"the median of {_RAW[column]}"
    return Curve(
        files=files,
        family=family,
        column=column,
        unit=table.unit("SECTOR", "CAMERA", "CCD"),
        star=star,
        cadence=step,
        exposure=round(0.792 * step, 4),
        time=time,
        cadenceno=numbers,
        quality=own,
        source_quality=own,
        pixel_quality=_apart(flux, ((own & DEFAULT_BAD_BITS) != 0) | (theirs != 0)),
        flux=flux,
        flux_err=error,
        level=level,
        told={"time_stamps": "as stated by TGLC", "cadence_numbers": how, "level": said},
    )


def _numbers_by_law(time: np.ndarray, star: dict[str, Any], step: float) -> np.ndarray:
    """Return cadence numbers from barycentric times, by way of those at Earth, 1 s off TESS at most."""
    known = np.isfinite(time)
    if not known.all():
        raise ValueError(f"it has neither times nor numbers in {int((~known).sum())} cadences")
    delay = light_travel_time(time, earth_and_sun(time)[0], star["ra"], star["dec"])[0]
    return cadence_number(time - delay / DAY, step)


def _cdips(table: _Table, files: tuple[str, int, str], family: str, column: str) -> Curve:
    magnitude, error = (table.column(name) for name in (column, FAMILIES[family][column]))
    relative = 10 ** (-0.4 * (magnitude - np.nanmedian(magnitude)))
    good = np.char.strip(table.column(f"IRQ{column[-1]}", "U1"))
    step = table.number("XPOSURE")
    stamps = [name[4:17] for name in table.column("RSTFC", "U48")]
    tmag = table.number("TESSMAG", table.number("TMAGPRED"))
    return Curve(
        files=files,
        family=family,
        column=column,
        unit=table.unit("SECTOR", "CAMERA", "CCD"),
        star=table.star(object=f"Gaia DR2 {table.value('OBJECT', '')}", tmag=tmag),
        cadence=step,
        exposure=round(table.number("NREADOUT") * table.number("INTTIME"), 4),
        time=table.column("TMID_BJD") - BTJD_ZERO,
        cadenceno=cadence_number(btjd_from_name_stamp(stamps) + 0.5 * step / DAY, step),
        quality=np.zeros(magnitude.size, np.int32),
        source_quality=None,
        pixel_quality=_apart(relative, ~np.isin(good, ("G", "0"))),
        flux=relative,
        flux_err=relative * MAGNITUDE * error,
        level=10 ** (-0.4 * (tmag - ZERO_POINT)),
        told={
            "time_stamps": "as stated by CDIPS",
            "cadence_numbers": "by the law of the first sectors, from the names of the frames",
            "level": f"that of the TESS magnitude, 1 electron / s at {ZERO_POINT}: the file has magnitudes",
        },
    )


_READERS = {"spoc": _mission, "tess-spoc": _mission, "kepler": _mission, "tglc": _tglc, "cdips": _cdips}


def _counted(time: np.ndarray, step: float) -> np.ndarray:
    """Return numbers counted from one cadence to the next: barycentric steps are not even."""
    steps = np.maximum(1, np.rint(np.diff(time) / step))
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int32)


def _text(path: str, name: str, content: bytes, asked: str) -> Curve:
    column = _column(path, "text", asked)
    if not content.strip():
        raise _refusal(path, "it is empty")
    try:
        table = np.loadtxt(io.StringIO(content.decode("ascii")), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise _refusal(path, error) from None
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2 or not (np.diff(table[:, 0]) > 0).all():
        raise _refusal(path, f"{table.shape[0]} rows of {table.shape[1]}; two columns, days rising and flux")
    time, flux = table.T
    step = float(np.median(np.diff(time)))
    nothing = np.zeros(time.size, np.int32)
    return Curve(
        files=(name, len(content), hashlib.sha256(content).hexdigest()),
        family="text",
        column=column,
        unit={"mission": ""},
        star={"object": name.removesuffix(".txt"), "tic": 0, "ra": np.nan, "dec": np.nan, "tmag": np.nan},
        cadence=round(step * DAY, 2),
        exposure=0.0,
        time=time,
        cadenceno=_counted(time, step),
        quality=nothing,
        source_quality=None,
        pixel_quality=_apart(flux, nothing > 0),
        flux=flux,
        flux_err=np.full(flux.size, np.nan),
        level=np.nan,
        told={
            "time_stamps": "days from a start that the file does not say",
            "cadence_numbers": "counted from the first",
            "level": "none: flux over its mean, as the file has it",
        },
    )
