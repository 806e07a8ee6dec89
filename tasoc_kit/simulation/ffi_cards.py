"""The headers of a simulated FFI: the cards of the mission's format, for one frame.

Source of the layout: TESS Science Data Products Description Document (EXP-TESS-ARC-ICD-0014),
section 5, and the headers of real sector-1 frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasoc_kit.numerics import detector
from tasoc_kit.numerics.geometry import Solution
from tasoc_kit.simulation import field
from tasoc_kit.simulation.settings import VERSION, SectorSettings
from tasoc_kit.sources.header_text import Card

__all__ = ["GAINS", "FrameFacts", "READ_NOISES", "image_cards", "primary_cards"]

GAINS = (5.35, 5.22, 5.22, 5.18)
READ_NOISES = (10.058, 7.465, 7.308, 9.169)
"""Electrons of read noise per 2-second read of the CCD outputs A to D."""
_BLACK_LEVELS = (6589, 6649, 6427, 6359)
_OUTPUTS = "ABCD"
_FIRST_FFIINDEX_SECTOR = 6
_DATE = "2018-09-05"


@dataclass(frozen=True)
class FrameFacts:
    """What the headers of one frame say."""

    cadenceno: int
    quality: int
    start: float
    """Start of the exposure at the spacecraft, TJD, days."""
    stop: float
    barycorr: float
    """BTJD at the CCD centre minus TJD, days."""
    utc: tuple[str, str, str, str]
    """Calendar dates of start and stop at the spacecraft, then of the barycentric times."""
    solution: Solution | None
    """Plate solution; None for a frame without one."""
    extra_cards: int
    """Comment cards that lengthen the header, so that the pixels begin elsewhere."""


def primary_cards(settings: SectorSettings, frame: FrameFacts) -> list[Card]:
    """Return the cards of the primary header, whose times are those at the spacecraft."""
    cards: list[Card] = [
        ("SIMPLE", True, "conforms to FITS standards"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 0, "number of array dimensions"),
        ("EXTEND", True, "file contains extensions"),
        ("NEXTEND", 2, "number of standard extensions"),
        ("EXTNAME", "PRIMARY", "name of extension"),
        ("EXTVER", 1, "extension version number (not format version)"),
        ("SIMDATA", True, "file is based on simulated data"),
        ("ORIGIN", "tasoc_kit", "who made this file"),
        ("DATE", _DATE, "file creation date."),
        ("TSTART", frame.start, "observation start time in TJD"),
        ("TSTOP", frame.stop, "observation stop time in TJD"),
        ("DATE-OBS", frame.utc[0], "TSTART as UTC calendar date"),
        ("DATE-END", frame.utc[1], "TSTOP as UTC calendar date"),
        ("CREATOR", "tasoc_kit.simulation", "program that made this file"),
        ("PROCVER", f"simulation-{VERSION}", "SW version"),
        ("FILEVER", "1.0", "file format version"),
        ("TIMVERSN", "OGIP/93-003", "OGIP memo number for file format"),
        ("TELESCOP", "TESS", "telescope"),
        ("INSTRUME", "TESS Photometer", "detector type"),
        ("DATA_REL", max(1, settings.sector), "data release version number"),
        ("ASTATE", True, "archive state F indicates single orbit processing"),
        ("SCCONFIG", 120, "spacecraft configuration ID"),
        ("RADESYS", "ICRS", "reference frame of celestial coordinates"),
        ("EQUINOX", 2000.0, "equinox of celestial coordinate system"),
        ("CRMITEN", settings.cadence > 20, "spacecraft cosmic ray mitigation enabled"),
        ("CRBLKSZ", 10, "[exposures] s/c cosmic ray mitigation block size"),
        ("CRSPOC", False, "SPOC cosmic ray cleaning enabled"),
    ]
    if settings.sector >= _FIRST_FFIINDEX_SECTOR:
        cards.append(("FFIINDEX", frame.cadenceno, "FFI cadence interval number"))
    return cards


def image_cards(
    settings: SectorSettings, frame: FrameFacts, shape: tuple[int, int], kind: str, live: float
) -> list[Card]:
    """
    Return the cards of the image (``kind`` "cal") or of the uncertainty ("uncert").

    ``live`` is the time on source in seconds; times are barycentric at the CCD centre.
    """
    name = f"CAMERA.CCD {settings.camera}.{settings.ccd} {kind}"
    return [
        ("XTENSION", "IMAGE", "Image extension"),
        ("BITPIX", -32, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", shape[1], ""),
        ("NAXIS2", shape[0], ""),
        ("PCOUNT", 0, "number of parameters"),
        ("GCOUNT", 1, "number of groups"),
        ("INHERIT", True, "inherit the primary header"),
        ("EXTNAME", name, "name of extension"),
        ("EXTVER", 1, "extension version number (not format version)"),
        ("SIMDATA", True, "file is based on simulated data"),
        ("TELESCOP", "TESS", "telescope"),
        ("INSTRUME", "TESS Photometer", "detector type"),
        ("CAMERA", settings.camera, "Camera number"),
        ("CCD", settings.ccd, "CCD chip number"),
        *_time_cards(settings, frame, live),
        *_detector_cards(settings),
        *_solution_cards(frame.solution, settings.sector),
        ("DQUALITY", frame.quality, "data quality flags"),
        ("IMAGTYPE", kind, "FFI image type: raw, cal, uncert"),
        *(
            ("COMMENT", f" calibration record {k + 1} of {frame.extra_cards}", "")
            for k in range(frame.extra_cards)
        ),
    ]


def _time_cards(settings: SectorSettings, frame: FrameFacts, live: float) -> list[Card]:
    elapsed = frame.stop - frame.start
    frames = settings.cadence // 2
    return [
        ("EXPOSURE", live / 86400.0, "[d] time on source"),
        ("TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"),
        ("TASSIGN", "SPACECRAFT", "where time is assigned"),
        ("TIMESYS", "TDB", "time system is Barycentric Dynamical Time (TDB)"),
        ("BJDREFI", 2457000, "integer part of BTJD reference date"),
        ("BJDREFF", 0.0, "fraction of the day in BTJD reference date"),
        ("TIMEUNIT", "d", "time unit for TIME, TSTART and TSTOP"),
        ("TELAPSE", elapsed, "[d] TSTOP - TSTART"),
        ("LIVETIME", live / 86400.0, "[d] TELAPSE multiplied by DEADC"),
        ("TSTART", frame.start + frame.barycorr, "observation start time in BTJD"),
        ("TSTOP", frame.stop + frame.barycorr, "observation stop time in BTJD"),
        ("DATE-OBS", frame.utc[2], "TSTART as UTC calendar date"),
        ("DATE-END", frame.utc[3], "TSTOP as UTC calendar date"),
        ("DEADC", 0.792, "deadtime correction"),
        ("TIMEPIXR", 0.5, "bin time beginning=0 middle=0.5 end=1"),
        ("TIERRELA", 1.16e-05, "[d] relative time error"),
        ("BTC_PIX1", 1068.0, "reference col for barycentric time correction"),
        ("BTC_PIX2", 1024.0, "reference row for barycentric time correction"),
        ("BUNIT", "electrons/s", "physical units of image data"),
        ("BARYCORR", frame.barycorr, "[d] barycentric time correction"),
        ("INT_TIME", 1.98, "[s] photon accumulation time per frame"),
        ("READTIME", 0.02, "[s] readout time per frame"),
        ("FRAMETIM", 2.0, "[s] frame time (INT_TIME + READTIME)"),
        ("NUM_FRM", frames, "number of frames per time stamp"),
        ("TIMEDEL", settings.cadence / 86400.0, "[d] time resolution of data"),
        ("BACKAPP", False, "background is subtracted"),
        ("DEADAPP", True, "deadtime applied"),
        ("VIGNAPP", True, "vignetting or collimator correction applied"),
    ]


def _detector_cards(settings: SectorSettings) -> list[Card]:
    reads = round(settings.cadence // 2 * 0.8)
    cards: list[Card] = [
        *(
            (f"GAIN{o}", g, f"[electrons/count] CCD output {o} gain")
            for o, g in zip(_OUTPUTS, GAINS, strict=True)
        ),
        *(
            (f"READNOI{o}", r, f"[electrons] read noise CCD output {o}")
            for o, r in zip(_OUTPUTS, READ_NOISES, strict=True)
        ),
        ("NREADOUT", reads, "number of read per cadence"),
        ("FXDOFF", 3355400, "compression fixed offset"),
        (
            f"TMOFST{settings.camera}{settings.ccd}",
            0.02 * (settings.ccd - 1),
            "(s) readout delay of this ccd",
        ),
    ]
    for output, black in zip(_OUTPUTS, _BLACK_LEVELS, strict=True):
        cards.append((f"MEANBLC{output}", black, f"[count] FSW mean black level CCD output {output}"))
    for k, output in enumerate(_OUTPUTS):
        cards += [
            (f"LVCS{output}", 1 + 11 * k, f"serial register col start, output {output}"),
            (f"LVCE{output}", 11 + 11 * k, f"serial register col end (inclusive), output {output}"),
            (f"TVCS{output}", 2093 + 11 * k, f"trailing virtual column start, output {output}"),
            (f"TVCE{output}", 2103 + 11 * k, f"trailing virtual column end (inclusive), output {output}"),
            (f"SCCS{output}", 45 + 512 * k, f"science col start, output {output}"),
            (f"SCCE{output}", 556 + 512 * k, f"science col end (inclusive), output {output}"),
            (f"SCICOLH{output}", k % 2 == 0, "T science cols are read increasing order else decreasing"),
        ]
    places = {"SCI": (1, 2048), "V": (2069, 2078), "SM": (2059, 2068), "BF": (2049, 2058)}
    names = {"SCI": "science rows", "V": "virtual row", "SM": "smear rows", "BF": "buffer rows"}
    for short, (first, last) in places.items():
        cards.append((f"{short}ROWS", first, f"{names[short]} start"))
        cards.append((f"{short}ROWE", last, f"{names[short]} end (inclusive)"))
    return cards


def _solution_cards(solution: Solution | None, sector: int) -> list[Card]:
    """Return the plate solution; nothing for a frame that has none."""
    if solution is None:
        return []
    inverse = field.inverse_terms(solution)
    cards: list[Card] = [
        ("RADESYS", "ICRS", "reference frame of celestial coordinates"),
        ("EQUINOX", 2000.0, "equinox of celestial coordinate system"),
        ("WCSAXES", 2, "number of WCS axes"),
        ("CTYPE1", "RA---TAN-SIP", "Gnomonic projection + SIP distortions"),
        ("CTYPE2", "DEC--TAN-SIP", "Gnomonic projection + SIP distortions"),
        ("CRVAL1", solution.crval[0], "RA at CRPIX1, CRPIX2"),
        ("CRVAL2", solution.crval[1], "DEC at CRPIX1, CRPIX2"),
        ("CRPIX1", solution.crpix[0], "X reference pixel"),
        ("CRPIX2", solution.crpix[1], "Y reference pixel"),
        *(
            (f"CD{i + 1}_{j + 1}", float(solution.matrix[i, j]), "Transformation matrix")
            for i in (0, 1)
            for j in (0, 1)
        ),
        ("A_ORDER", field.ORDER, "Polynomial order, axis 1"),
        ("B_ORDER", field.ORDER, "Polynomial order, axis 2"),
    ]
    for axis, letter in enumerate("AB"):
        cards += [
            (f"{letter}_{p}_{q}", float(solution.sip[axis, p, q]), "distortion coefficient")
            for p, q in field.TERMS
        ]
    cards += [
        ("AP_ORDER", field.ORDER, "Inv polynomial order, axis 1"),
        ("BP_ORDER", field.ORDER, "Inv polynomial order, axis 2"),
    ]
    for axis, letter in enumerate("AB"):
        cards += [
            (f"{letter}P_{p}_{q}", float(inverse[k, axis]), "inv distortion coefficient")
            for k, (p, q) in enumerate(field.INVERSE_TERMS)
        ]
    return [*cards, *_physical_cards(solution, sector)]


def _physical_cards(solution: Solution, sector: int) -> list[Card]:
    largest = field.largest_distortion(solution)
    cards: list[Card] = [
        ("A_DMAX", float(largest[0]), "maximum distortion, axis 1"),
        ("B_DMAX", float(largest[1]), "maximum distortion, axis 2"),
        ("WCSNAMEP", "PHYSICAL", "name of world coordinate system alternate P"),
        ("WCSAXESP", 2, "number of WCS physical axes"),
    ]
    for axis, (name, word) in enumerate((("RAWX", "column"), ("RAWY", "row")), start=1):
        cards += [
            (f"CTYPE{axis}P", name, f"physical WCS axis {axis} type CCD {word[:3]}"),
            (f"CUNIT{axis}P", "PIXEL", f"physical WCS axis {axis} unit"),
            (f"CRPIX{axis}P", 1, f"reference CCD {word}"),
            (f"CRVAL{axis}P", 1, f"value at reference CCD {word}"),
            (f"CDELT{axis}P", 1.0, f"physical WCS axis {axis} step"),
        ]
    ra, dec, roll = field.boresight(sector)
    return [
        *cards,
        ("RA_NOM", ra, "[deg] RA of camera boresight"),
        ("DEC_NOM", dec, "[deg] DEC of camera boresight"),
        ("ROLL_NOM", roll, "[deg] roll angle of camera"),
    ]


def stored_shape(settings: SectorSettings) -> tuple[int, int]:
    """Return (NAXIS2, NAXIS1) of the file: the whole chip, or its lower-left corner."""
    rows = detector.ROWS if settings.rows == 2048 else settings.rows
    columns = (
        detector.COLUMNS if settings.columns == 2048 else detector.SCIENCE_COLUMNS.start + settings.columns
    )
    return rows, columns
