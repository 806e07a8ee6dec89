"""Flag bits, states, kinds and classes: what a whole number in a product stands for."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "DEFAULT_BAD_BITS",
    "DEFAULT_BAD_KIT_BITS",
    "ApertureFlag",
    "Correction",
    "Dataval",
    "EdgeSide",
    "Fate",
    "KitQuality",
    "Method",
    "OscillationFlag",
    "RotationFlag",
    "Status",
    "TessQuality",
    "VariabilityClass",
    "Verdict",
    "flag_names",
]


class TessQuality(IntFlag):
    """Bits of the mission (TESS Science Data Products Description Document, table 32)."""

    ATTITUDE_TWEAK = 1
    SAFE_MODE = 2
    COARSE_POINT = 4
    EARTH_POINT = 8
    ZERO_CROSSING = 16
    DESAT = 32
    APERTURE_COSMIC = 64
    MANUAL_EXCLUDE = 128
    SENSITIVITY_DROPOUT = 256
    IMPULSIVE_OUTLIER = 512
    COLLATERAL_COSMIC = 1024
    EARTH_MOON_PLANET_IN_FOV = 2048
    SCATTERED_LIGHT = 4096
    SCATTERED_LIGHT_2 = 8192
    INSUFFICIENT_TARGETS = 16384


class KitQuality(IntFlag):
    """Our own bits, in their own column; the first nine keep TASOC's meaning (Handberg+ 2021)."""

    FLAGGED_BAD_DATA = 1
    MANUAL_EXCLUDE = 2
    SIGMA_CLIP = 4
    JUMP_ADDITIVE_CONSTANT = 8
    JUMP_ADDITIVE_LINEAR = 16
    JUMP_MULTIPLICATIVE_CONSTANT = 32
    JUMP_MULTIPLICATIVE_LINEAR = 64
    INTERPOLATED = 128
    BACKGROUND_SHENANIGANS = 256
    NO_DATA = 512
    HIGH_SKY = 1024
    POINTING_OUTLIER = 2048
    NO_WCS = 4096
    SKY_RESIDUAL = 8192
    NONFINITE_PIXELS = 16384
    COSMIC_RAY = 32768


class Status(IntEnum):
    """
    What became of a star; TASOC's codes.

    Its 0, 4 and 6 (unknown, aborted, started) are of work that is not done: a product is whole, or not there.
    """

    OK = 1
    """It has a light curve that nothing is said against."""
    ERROR = 2
    """It was to have one, and none could be made: it is off the frame, or has no finite flux."""
    WARNING = 3
    """It has one that is doubtful."""
    SKIPPED = 5
    """None was made: a brighter star has its light, or nobody asked for it."""


class Correction(IntEnum):
    """What a light curve was corrected by."""

    NONE = 0
    CBV = 1
    ENSEMBLE = 2
    FILTER = 3


class VariabilityClass(IntEnum):
    """How a star varies: the classes of TASOC's starclass (Audenaert+ 2021, AJ 162 209)."""

    UNKNOWN = 0
    """No class is probable enough, or the light curve is too short."""
    SOLARLIKE = 1
    ECLIPSE = 2
    """Transits and detached eclipses."""
    RRLYR_CEPHEID = 3
    DSCT_BCEP = 4
    GDOR_SPB = 5
    CONTACT_ROT = 6
    """Contact binaries, and rotation with spots."""
    APERIODIC = 7
    CONSTANT = 8


class Method(IntEnum):
    """The photometry that serves a star best."""

    NONE = 0
    APERTURE = 1
    PSF = 2
    HALO = 3


class Fate(IntEnum):
    """What became of a row of a list of targets."""

    FOUND = 0
    NO_PLACE = 1
    """It has neither a TIC number nor a position that can be read."""
    NOT_IN_CATALOGUE = 2
    """It has no position, and no star of the catalogue its TIC number."""
    OFF_FRAME = 3
    REPEATED = 4
    """An earlier row is the same star."""
    EXCLUDED = 5


class RotationFlag(IntFlag):
    """What limits the period of rotation of a star."""

    NOT_FOUND = 1
    """The autocorrelation has no peak that noise has not: no period is stated."""
    DISAGREE = 2
    """The spectrum has another period."""
    TWICE = 4
    """The period is twice that of the spectrum, as with spots on either side."""
    LONG = 8
    """The spectrum is highest at a period longer than half the light curve."""


class EdgeSide(IntFlag):
    """Where the data end that an aperture reaches."""

    FIRST_ROW = 1
    LAST_ROW = 2
    FIRST_COLUMN = 4
    LAST_COLUMN = 8


class ApertureFlag(IntFlag):
    """How the aperture of a star was made, and what limits it."""

    MINIMUM = 1
    EDGE = 2
    SATURATED = 4
    HOLES_FILLED = 8
    OUTSIDE = 16
    NO_SIGNAL = 32
    INSIDE_BRIGHTER = 64
    STRAP = 128
    CONTAMINATED = 256


class Dataval(IntFlag):
    """What is wrong with the numbers of a star; TASOC's bits of data validation."""

    MAG_VS_FLUX_HIGH = 1
    MAG_VS_FLUX_LOW = 2
    FLUX_FFI_OVER_TPF = 4
    FLUX_TPF_OVER_FFI = 8
    MINIMAL_MASK = 16
    SMALL_MASK = 32
    LARGE_MASK = 64
    SMALL_STAMP = 128
    LOW_PTP = 256
    LOW_RMS = 512
    INVALID_CONTAMINATION = 1024
    CONTAMINATION_HIGH = 2048
    INVALID_FLUX = 4096
    INVALID_NOISE = 8192


class Verdict(IntEnum):
    """What a check says; of several the highest counts."""

    NOT_DONE = 0
    """There was too little to go by."""
    PASS = 1
    WARN = 2
    FAIL = 3


class OscillationFlag(IntFlag):
    """What limits the oscillations of a star, or speaks against them."""

    UNLIKELY = 1
    FIRST_PASS = 2
    """The coarse first pass saw nothing, so that there was no fine one."""
    AT_THE_END = 4
    """The interval of numax reaches the lowest or highest frequency that can be told."""
    COHERENT = 8
    """Over half of the power of the envelope lies in one peak."""
    TOO_HIGH = 16
    """The envelope is far higher than that of any star with such a numax."""
    NO_DNU = 32
    DISAGREE = 64
    """dnu is far from what numax lets expect."""
    NO_TEFF = 128


DEFAULT_BAD_BITS = int(
    TessQuality.ATTITUDE_TWEAK
    | TessQuality.SAFE_MODE
    | TessQuality.COARSE_POINT
    | TessQuality.EARTH_POINT
    | TessQuality.DESAT
    | TessQuality.APERTURE_COSMIC
    | TessQuality.MANUAL_EXCLUDE
    | TessQuality.SCATTERED_LIGHT
)
"""The TESS bits that TASOC leaves out by default (Handberg+ 2021)."""

DEFAULT_BAD_KIT_BITS = int(
    KitQuality.FLAGGED_BAD_DATA
    | KitQuality.MANUAL_EXCLUDE
    | KitQuality.NO_DATA
    | KitQuality.SKY_RESIDUAL
    | KitQuality.NONFINITE_PIXELS
    | KitQuality.COSMIC_RAY
    | KitQuality.SIGMA_CLIP
)
"""Our bits of a cadence that is set apart; a high sky or a moved frame is corrected, and only noisier."""


def flag_names(value: int, flags: type[IntFlag]) -> list[str]:
    """Return the names of the bits that are set, in order."""
    return [flag.name for flag in flags if flag.name and flag.value and value & flag.value == flag.value]
