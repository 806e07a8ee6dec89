"""What the headers of a TASOC light curve say (Handberg+ 2021, AJ 162 170, section 6; version 1.5)."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np

from tasoc_kit import __version__
from tasoc_kit.exports.family import Family
from tasoc_kit.exports.stamp import Card
from tasoc_kit.numerics.clock import BTJD_ZERO, DAY, julian_year, utc_from_btjd
from tasoc_kit.numerics.geometry import move_epoch
from tasoc_kit.numerics.total_variation import ITERATIONS, ROUNDS
from tasoc_kit.photometry.halo_light_curves import FAINTEST
from tasoc_kit.photometry.masks.k2p2 import CORE_NEIGHBOURS
from tasoc_kit.photometry.plan.pixel_noise import SATURATION
from tasoc_kit.provenance import lineage
from tasoc_kit.vocabulary import Method

__all__ = ["COLUMNS", "object_cards", "primary_cards", "time_cards"]

COLUMNS = (
    ("TIME", "D", "BJD - 2457000, days", "D14.7", "column title: data time stamps"),
    ("TIMECORR", "E", "d", "E13.6", "column title: barycenter - timeslice correction"),
    ("CADENCENO", "J", "", "I10", "column title: unique cadence number"),
    ("FLUX_RAW", "D", "e-/s", "E26.17", "column title: photometric flux"),
    ("FLUX_RAW_ERR", "D", "e-/s", "E26.17", "column title: photometric flux error"),
    ("FLUX_BKG", "D", "e-/s", "E26.17", "column title: photometric background flux"),
    ("FLUX_CORR", "D", "ppm", "E26.17", "column title: corrected photometric flux"),
    ("FLUX_CORR_ERR", "D", "ppm", "E26.17", "column title: corrected photometric flux error"),
    ("QUALITY", "J", "", "B16.16", "column title: photometry quality flags"),
    ("PIXEL_QUALITY", "J", "", "B16.16", "column title: pixel quality flags"),
    ("MOM_CENTR1", "D", "pixels", "F10.5", "column title: moment-derived column centroid"),
    ("MOM_CENTR2", "D", "pixels", "F10.5", "column title: moment-derived row centroid"),
    ("POS_CORR1", "D", "pixels", "F14.7", "column title: column position correction"),
    ("POS_CORR2", "D", "pixels", "F14.7", "column title: row position correction"),
)
"""Name, format, unit, display and meaning of every column of LIGHTCURVE."""

J2000 = 2000.0
_TIC_TITLE = re.compile(r"TESS Input Catalog (\d[\d.]*)")
INTEGRATION, READOUT, FRAME = 1.98, 0.02, 2.0
"""Seconds of a frame on the spacecraft (TESS Instrument Handbook, section 5)."""
_METHOD = {Method.APERTURE: "aperture", Method.PSF: "linpsf", Method.HALO: "halo"}
_K2P2 = {
    "KP_THRES": ("threshold", "K2P2 sum-image threshold"),
    "KP_MIPIX": ("minimum_pixels", "K2P2 min pixels in mask"),
}


def live_share(attrs: dict[str, Any]) -> float:
    """Return the share of a cadence in which light is kept (DEADC)."""
    return float(attrs["exposure"]) / float(attrs["cadence"])


def _mitigation(attrs: dict[str, Any]) -> tuple[bool, int | None]:
    """Return whether cosmic rays were clipped on board, and in blocks of how many frames."""
    stated = int(attrs.get("cosmic_block", -1))
    if stated >= 0:
        return stated > 0, stated or None
    # Frames that do not say so themselves show it in their exposure: two of each block are thrown away.
    kept = live_share(attrs) / (INTEGRATION / FRAME)
    return (True, round(2 / (1 - kept))) if kept < 0.95 else (False, None)


def _tic_version(family: Family) -> str | None:
    """Return the version of the TIC that the stars are from; None where the catalogue does not say."""
    stars = family.parents.get("stars")
    found = _TIC_TITLE.search(str(stars.attrs.get("catalogue", ""))) if stars is not None else None
    return found.group(1) if found else None


def primary_cards(family: Family, version: int) -> list[Card]:
    """Return the cards of the primary header that all stars of a CCD share."""
    attrs = family.light_curves.attrs
    mitigated, block = _mitigation(attrs)
    return [
        ("EXTNAME", "PRIMARY", "name of extension"),
        ("ORIGIN", "TASOC/Aarhus", "whose format this is; see CREATOR"),
        ("CREATOR", f"tasoc_kit {__version__}", "program that made this file"),
        ("DATE", datetime.datetime.now(datetime.UTC).date().isoformat(), "date the file was created"),
        ("TELESCOP", "TESS", "telescope"),
        ("INSTRUME", "TESS Photometer", "detector type"),
        ("FILTER", "TESS", "Photometric bandpass filter"),
        ("CAMERA", int(attrs["camera"]), "Camera number"),
        ("CCD", int(attrs["ccd"]), "CCD number"),
        ("SECTOR", int(attrs["sector"]), "Observing sector"),
        ("PROCVER", __version__, "Version of photometry pipeline"),
        ("FILEVER", "1.5", "File format version"),
        ("DATA_REL", int(attrs.get("data_rel", 0)), "Data release number; 0 not known"),
        ("VERSION", version, "Version of the processing"),
        ("RADESYS", "ICRS", "reference frame of celestial coordinates"),
        ("EQUINOX", 2000.0, "equinox of celestial coordinate system"),
        ("TICVER", _tic_version(family), "TESS Input Catalog version"),
        ("CRMITEN", mitigated, "spacecraft cosmic ray mitigation enabled"),
        ("CRBLKSZ", block, "[exposures] s/c cosmic ray mitigation block siz"),
        ("CRSPOC", bool(attrs.get("cosmic_cleaned", False)), "SPOC cosmic ray cleaning enabled"),
        ("DATAVAL", 0, "Data validation flags; 0 not validated"),
        *_k2p2_cards(family),
    ]


def _k2p2_cards(family: Family) -> list[Card]:
    """Return the settings of the apertures, as their record has them."""
    made = [record for record in lineage(family.light_curves).values() if record["step"] == "make_apertures"]
    settings = made[0]["parameters"] if made else {}
    known = [(key, settings.get(name), meaning) for key, (name, meaning) in _K2P2.items()]
    return [
        *known,
        ("KP_MICLS", CORE_NEIGHBOURS, "K2P2 min pixels in cluster"),
        ("KP_CLSRA", float(np.sqrt(2)), "K2P2 cluster radius"),
        ("KP_WS", True, "K2P2 watershed segmentation"),
        ("KP_WSBLR", 0.5, "K2P2 watershed blur"),
        ("KP_WSTHR", 0.0, "K2P2 watershed threshold"),
        ("KP_WSFOT", 3, "K2P2 watershed footprint"),
        ("KP_EX", True, "K2P2 extend overflow"),
    ]


def halo_cards(family: Family, method: Method) -> list[Card]:
    """Return the settings of halo photometry; none known where another method served the star."""
    cards: list[Card] = [
        ("HALO_VER", f"tasoc_kit {__version__}", "Version of the halo photometry"),
        ("HALO_OBJ", "tv", "Halo objective function: total variation"),
        ("HALO_THR", SATURATION, "[e-/s] Halo saturated pixel threshold"),
        ("HALO_MXI", ROUNDS * ITERATIONS, "Halo maximum optimisation iterations"),
        ("HALO_SCL", False, "Halo sigma clipping enabled"),
        ("HALO_MFL", FAINTEST, "Halo minimum flux of a pixel over its noise"),
        ("HALO_PRT", _halo_parts(family), "Halo most parts with a weight of their own"),
    ]
    return cards if method is Method.HALO else []


def _halo_parts(family: Family) -> int | None:
    made = lineage(family.source(Method.HALO)).values()
    parts = [
        record["parameters"].get("parts") for record in made if record["step"] == "make_halo_light_curves"
    ]
    return parts[0] if parts else None


def object_cards(family: Family, star: int, method: Method, share: float) -> list[Card]:
    """
    Return the cards of the primary header that are a star's own.

    Parameters
    ----------
    share
        Share of other stars in the light.
    """
    tic = int(family.light_curves["tic"][star])
    pmra, pmdec = (float(family.per_star(name)[star]) for name in ("pmra", "pmdec"))
    ra, dec = _at_j2000(family, star, pmra, pmdec)
    return [
        ("OBJECT", f"TIC {tic:d}", "string version of TICID"),
        ("TICID", tic, "unique TESS target identifier"),
        (
            "PROVID",
            family.source(method).attrs["provenance_id"],
            "tasoc_kit id of the product of this series",
        ),
        ("PHOTMET", _METHOD[method], "Photometric method used"),
        ("RA_OBJ", ra, "[deg] Right ascension"),
        ("DEC_OBJ", dec, "[deg] Declination"),
        ("PMRA", pmra, "[mas/yr] RA proper motion"),
        ("PMDEC", pmdec, "[mas/yr] Dec proper motion"),
        ("PMTOTAL", float(np.hypot(pmra, pmdec)), "[mas/yr] total proper motion"),
        ("TESSMAG", float(family.per_star("tmag")[star]), "[mag] TESS magnitude"),
        ("TEFF", float(family.per_star("teff")[star]), "[K] Effective temperature"),
        ("AP_CONT", share if method is not Method.PSF else None, "AperturePhotometry contamination"),
        ("PSF_CONT", share if method is Method.PSF else None, "PSFPhotometry contamination"),
        *halo_cards(family, method),
    ]


def _at_j2000(family: Family, star: int, pmra: float, pmdec: float) -> tuple[float, float]:
    """Return the position of the star at J2000, where TASOC states it."""
    ra, dec = (float(family.per_star(name)[star]) for name in ("ra", "dec"))
    if not np.isfinite([pmra, pmdec]).all():
        return ra, dec
    years = J2000 - julian_year(float(family.light_curves["time"].values.mean()))
    moved = move_epoch(ra, dec, pmra, pmdec, years)
    return float(moved[0]), float(moved[1])


def time_cards(time: np.ndarray, attrs: dict[str, Any]) -> list[Card]:
    """Return the cards of LIGHTCURVE that say when and how long it was observed."""
    step = float(attrs["cadence"]) / DAY
    start, stop = float(time[0]) - step / 2, float(time[-1]) + step / 2
    first, last = utc_from_btjd([start, stop])
    to_mjd = BTJD_ZERO - 2400000.5
    share, frames = live_share(attrs), round(float(attrs["cadence"]) / FRAME)
    live = (stop - start) * share
    return [
        ("TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"),
        ("TIMESYS", "TDB", "time system is Barycentric Dynamical Time (TDB)"),
        ("BJDREFI", int(BTJD_ZERO), "integer part of BTJD reference date"),
        ("BJDREFF", 0.0, "fraction of the day in BTJD reference date"),
        ("TIMEUNIT", "d", "time unit for TIME, TSTART and TSTOP"),
        ("TSTART", start, "observation start time in BTJD"),
        ("TSTOP", stop, "observation stop time in BTJD"),
        ("DATE-OBS", str(first), "TSTART as UTC calendar date"),
        ("DATE-END", str(last), "TSTOP as UTC calendar date"),
        ("MJD-BEG", start + to_mjd, "observation start time in MJD"),
        ("MJD-END", stop + to_mjd, "observation stop time in MJD"),
        ("TELAPSE", stop - start, "[d] TSTOP - TSTART"),
        ("LIVETIME", live, "[d] TELAPSE multiplied by DEADC"),
        ("DEADC", share, "deadtime correction"),
        ("EXPOSURE", live, "[d] time on source"),
        ("XPOSURE", float(attrs["exposure"]), "[s] Duration of exposure"),
        ("TIMEPIXR", 0.5, "bin time beginning=0 middle=0.5 end=1"),
        ("TIMEDEL", step, "[d] time resolution of data"),
        ("INT_TIME", INTEGRATION, "[s] photon accumulation time per frame"),
        ("READTIME", READOUT, "[s] readout time per frame"),
        ("FRAMETIM", FRAME, "[s] frame time (INT_TIME + READTIME)"),
        ("NUM_FRM", frames, "number of frames per time stamp"),
        ("NREADOUT", round(frames * share / (INTEGRATION / FRAME)), "number of read per cadence"),
    ]
