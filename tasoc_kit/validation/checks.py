"""The checks of a CCD, what they found in words, and the verdict that follows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from tasoc_kit.numerics import validation_limits as limits
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.validation.star_flags import measured_stars
from tasoc_kit.vocabulary import ApertureFlag, Correction, Dataval, Status, Verdict

__all__ = ["judge", "run_checks"]

_MASKS = Dataval.SMALL_MASK | Dataval.LARGE_MASK
_CONTAMINATED = Dataval.INVALID_CONTAMINATION | Dataval.CONTAMINATION_HIGH
_ALWAYS = "duplicates"
"""The check that is done of any table."""
_FLUX = Dataval.MAG_VS_FLUX_HIGH | Dataval.MAG_VS_FLUX_LOW | Dataval.INVALID_FLUX


class _Found(NamedTuple):
    """What one check measured, of how many stars, and the words that say so."""

    value: float
    stars: int
    words: str
    fewest: int = limits.FEWEST


def run_checks(stars: xr.Dataset, overlap: xr.Dataset | None = None) -> xr.Dataset:
    """
    Hold the stars of a CCD against the limits.

    Parameters
    ----------
    stars
        The table of :func:`~tasoc_kit.validation.validation.make_validation`: bits, measures before and
        after, expected noise, zero point.
    overlap
        As of ``compare_overlap``; None where no other CCD was given.

    Returns
    -------
    (check): ``check_value``, ``check_warn``, ``check_fail``, ``check_verdict`` and ``check_reason``.
    """
    found = _shares(stars) | _zero_point(stars) | _noise(stars) | _changes(stars)
    found |= {_ALWAYS: _duplicates(stars)} | _overlap(overlap)
    rows = [(limits.CHECKS[name], found[name]) for name in limits.CHECKS]
    made = [_said(check, one) for check, one in rows]
    columns = {
        "check_value": [one.value if one.stars >= one.fewest else np.nan for _, one in rows],
        "check_warn": [float(check.warn) for check, _ in rows],
        "check_fail": [float(check.fail) for check, _ in rows],
        "check_verdict": np.array([int(verdict) for verdict, _ in made], np.int8),
        "check_reason": np.array([words for _, words in made], dtype=object),
    }
    return xr.Dataset(
        {name: ("check", values) for name, values in columns.items()},
        coords={"check": np.array(list(limits.CHECKS), dtype=object)},
    )


def judge(checks: xr.Dataset, stars: int) -> tuple[Verdict, str]:
    """
    Return the verdict on a CCD, the worst of its checks, and why.

    Numbers that stand once say nothing of the light curves: where no other check was done, none was.

    Parameters
    ----------
    checks
        As of :func:`run_checks`.
    stars
        How many have a light curve; a CCD without any fails.
    """
    if not stars:
        return Verdict.FAIL, "No star has a light curve."
    verdicts = checks["check_verdict"].values
    worst = Verdict(int(verdicts.max()))
    done = verdicts != Verdict.NOT_DONE
    if worst <= Verdict.PASS:
        if not (done & (checks["check"].values != _ALWAYS)).any():
            return Verdict.NOT_DONE, f"No check of the light curves could be done: too few stars ({stars})."
        return worst, f"All of the {int(done.sum())} checks that could be done are within their limits."
    told = [words for words, one in zip(checks["check_reason"].values, verdicts, strict=True) if one == worst]
    words = "; ".join(told)
    return worst, f"{words[0].upper()}{words[1:]}."


def _said(check: limits.Check, found: _Found) -> tuple[Verdict, str]:
    if found.stars < found.fewest:
        return Verdict.NOT_DONE, f"not done: {found.words}"
    if not np.isfinite(found.value):
        return Verdict.NOT_DONE, "not done: nothing finite to go by"
    if found.value >= check.fail:
        return Verdict.FAIL, found.words
    return (Verdict.WARN if found.value >= check.warn else Verdict.PASS), found.words


def _few(found: int, what: str) -> str:
    return f"{found} {what}, expected {limits.FEWEST}"


def _share(some: np.ndarray, among: np.ndarray, words: str) -> _Found:
    count = int(among.sum())
    if count < limits.FEWEST:
        return _Found(np.nan, count, _few(count, "stars"))
    value = float((some & among).sum() / count)
    return _Found(value, count, f"{value:.1%} of {count:,} {words}")


def _shares(stars: xr.Dataset) -> dict[str, _Found]:
    status, bits = stars["status"].values, stars["dataval"].values
    measured = measured_stars(stars)
    failed = (status == Status.ERROR) & ((stars["aperture_flags"].values & ApertureFlag.OUTSIDE) == 0)

    def with_bits(wanted: Dataval, words: str) -> _Found:
        return _share((bits & int(wanted)) != 0, measured, words)

    return {
        "errors": _share(failed, measured | failed, "stars on the frame failed"),
        "rejected": _share(~stars["approved"].values, measured, "light curves are not approved"),
        "masks": with_bits(_MASKS, "apertures are too small or too large for their stars"),
        "contamination": with_bits(_CONTAMINATED, "stars have more light of others than is usual"),
        "flux": with_bits(_FLUX, "stars have a flux that does not fit their magnitude"),
    }


def _zero_point(stars: xr.Dataset) -> dict[str, _Found]:
    value, error = float(stars["zero_point"]), float(stars["zero_point_err"])
    count = int(stars["zero_point_stars"])
    if count < limits.FEWEST:
        low, high = limits.ZERO_POINT_TMAG
        few = _few(count, f"stars of the catalogue between Tmag {low:g} and {high:g} without others' light")
        return {"zero_point": _Found(np.nan, count, few)}
    words = f"the zero point is {value:.4f} ± {error:.4f} mag, from {count:,} stars"
    return {"zero_point": _Found(abs(value - ZERO_POINT), count, words)}


def _median(ratio: np.ndarray, some: np.ndarray, words: str, what: str) -> _Found:
    known = ratio[some & np.isfinite(ratio)]
    if known.size < limits.FEWEST:
        return _Found(np.nan, known.size, _few(known.size, what))
    value = float(np.median(known))
    return _Found(value, known.size, words.format(value, known.size))


def _ratio(stars: xr.Dataset, name: str, over: str) -> np.ndarray:
    below = stars[over].values.astype(float)
    return np.asarray(stars[name].values / np.where(below > 0, below, np.nan))


def _noise(stars: xr.Dataset) -> dict[str, _Found]:
    low, high = limits.NOISE_TMAG
    tmag = stars["tmag"].values
    some = stars["approved"].values & (tmag >= low) & (tmag <= high)
    what = f"approved stars between Tmag {low:g} and {high:g}"
    return {
        "hour_noise": _median(
            _ratio(stars, "rms_hour", "noise_hour"), some,
            "noise of one hour is {:.2f} times the model, the median of {:,} stars", what,
        ),
        "ptp_noise": _median(
            _ratio(stars, "ptp", "noise_ptp"), some,
            "noise from cadence to cadence is {:.2f} times the model, the median of {:,} stars", what,
        ),
    }  # fmt: skip


def _changes(stars: xr.Dataset) -> dict[str, _Found]:
    corrected = stars["best_correction"].values != Correction.NONE
    some, what = stars["approved"].values & corrected, "approved stars that a correction serves"
    return {
        "hour_change": _median(
            _ratio(stars, "rms_hour_best", "rms_hour"), some,
            "corrected, {1:,} stars have {0:.3f} times the noise of one hour that they had", what,
        ),
        "ptp_change": _median(
            _ratio(stars, "ptp_best", "ptp"), some,
            "corrected, {1:,} stars have {0:.3f} times the noise from cadence to cadence that they had", what,
        ),
    }  # fmt: skip


def _duplicates(stars: xr.Dataset) -> _Found:
    tic = stars["tic"].values
    _, times = np.unique(tic[tic > 0], return_counts=True)
    twice = int((times > 1).sum())
    return _Found(float(twice), tic.size, f"{twice or 'no'} TIC numbers stand twice in the table", fewest=0)


def _overlap(overlap: xr.Dataset | None) -> dict[str, _Found]:
    names = ("overlap_flux", "overlap_noise")
    if overlap is None:
        return dict.fromkeys(names, _Found(np.nan, 0, "no other CCD was given"))
    common = overlap["overlap_stars"].values
    enough = common >= limits.FEWEST
    if not enough.any():
        few = _few(int(common.max(initial=0)), "stars in common with another CCD")
        return dict.fromkeys(names, _Found(np.nan, 0, few))
    apart = np.abs(overlap["overlap_flux"].values - 1)
    noise = np.exp(np.abs(np.log(overlap["overlap_rms"].values)))
    found = {}
    for name, values, words in (
        (names[0], apart, "the flux is {:.1%} off that on {}, the median of {:,} stars"),
        (names[1], noise, "noise of one hour differs by a factor of {:.2f} from that on {}, of {:,} stars"),
    ):
        worst = int(np.argmax(np.where(enough, values, -np.inf)))
        camera, ccd = (int(overlap[f"overlap_{of}"].values[worst]) for of in ("camera", "ccd"))
        told = words.format(values[worst], f"camera {camera}, CCD {ccd}", int(common[worst]))
        found[name] = _Found(float(values[worst]), int(common[worst]), told)
    return found
