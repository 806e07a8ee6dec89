"""How well rotation and classes of variability are told.

The period of a real star is held against that of the literature; the classes of simulated stars, of a
generator that the trees never saw, against those they were made as. A star that is told as UNKNOWN counts as
wrong.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from claims import Claim

sys.path.insert(0, str(Path(__file__).parents[1]))

from variable_stars import SHAPES, as_light_curves, spotted_stars, variable_stars

from tasoc_kit.seismology.rotation import measure_rotation
from tasoc_kit.seismology.variability import classify_stars
from tasoc_kit.vocabulary import VariabilityClass

STARS, SEED = 300, 2026
GJ_1243, PERIOD = "lightcurves/kplr009726699-2009350155506_llc.fits", 0.5926
"""Davenport+ 2015, ApJ 806 212."""
SECTOR = 27.0
CLAIMS = {
    "gj1243_prot": Claim("d / d", 0.01),
    "rotation_within_10_percent": Claim("stars / stars", least=0.95),
    "class_balanced_accuracy": Claim("", least=0.90),
    "class_worst_recall": Claim("", least=0.70),
    "class_calibration_error": Claim("", 0.03),
}


def real_rotation() -> dict[str, float]:
    """Return by how much the period of GJ 1243 is off, relative; the larger of two reductions."""
    folder = Path(os.environ.get("TASOC_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / GJ_1243).exists():
        print(
            f"gj1243_prot: no {GJ_1243} in {folder}; set TASOC_TEST_DATA to the folder that holds it",
            flush=True,
        )
        return {}
    table, wrong = fits.getdata(folder / GJ_1243, 1), []
    for column in ("SAP_FLUX", "PDCSAP_FLUX"):
        good = np.isfinite(table["TIME"]) & np.isfinite(table[column]) & (table["SAP_QUALITY"] == 0)
        good &= table["TIME"] < table["TIME"][good][0] + SECTOR
        flux = table[column][good].astype(float)
        curves = as_light_curves(
            table["TIME"][good], 1e6 * (flux / np.median(flux) - 1)[None], np.full(1, 100.0)
        )
        told = measure_rotation(curves)
        period, error = (float(told[name][0]) for name in ("rotation_period", "rotation_period_err"))
        print(f"GJ 1243, {column}: {period:.4f} ± {error:.4f} d, {PERIOD} in the literature", flush=True)
        wrong.append(abs(period / PERIOD - 1))
    return {"gj1243_prot": max(wrong)}


def rotation() -> dict[str, float]:
    """Return the share of the periods that are told which are right to 10 %."""
    made = spotted_stars(STARS, seed=SEED)
    period = measure_rotation(as_light_curves(made.time, made.flux, made.error))["rotation_period"].values
    told = np.isfinite(period)
    quiet = variable_stars(STARS, seed=SEED, kinds=(VariabilityClass.CONSTANT,))
    none = measure_rotation(as_light_curves(quiet.time, quiet.flux, quiet.error))["rotation_period"].values
    print(
        f"{told.mean():.1%} of rotators have a period, and {np.isfinite(none).mean():.1%} of constant stars",
        flush=True,
    )
    return {"rotation_within_10_percent": float((np.abs(period / made.period - 1)[told] < 0.1).mean())}


def classes() -> dict[str, float]:
    """Return balanced accuracy, worst recall and error of the probabilities; print the confusion matrix."""
    made = variable_stars(STARS, seed=SEED)
    began = time.process_time()
    table = classify_stars(as_light_curves(made.time, made.flux, made.error))
    print(
        f"{made.kind.size} stars, {1e3 * (time.process_time() - began) / made.kind.size:.1f} ms each",
        flush=True,
    )
    told = table["variability_class"].values
    for kind in SHAPES:
        row = [int(((made.kind == kind) & (told == other)).sum()) for other in (*SHAPES, 0)]
        print(f"{kind.name:14s} {' '.join(f'{count:4d}' for count in row)}", flush=True)
    recall = {kind.name: float((told[made.kind == kind] == kind).mean()) for kind in SHAPES}
    for low in (8, 10, 12):
        some = (made.tmag >= low) & (made.tmag < low + 2)
        share = np.mean([(told[some & (made.kind == kind)] == kind).mean() for kind in SHAPES])
        print(f"T {low} to {low + 2}: {share:.3f}", flush=True)
    print("recall: " + ", ".join(f"{name} {share:.3f}" for name, share in recall.items()), flush=True)
    return {
        "class_balanced_accuracy": float(np.mean(list(recall.values()))),
        "class_worst_recall": min(recall.values()),
        "class_calibration_error": _calibration(table, made.kind),
    }


def _calibration(table, kind) -> float:
    """Return the distance of probability and share of right ones in bins of a tenth, averaged over stars."""
    probability = table["class_probability"].values
    right = table["class"].values[probability.argmax(axis=1)] == kind
    sure = probability.max(axis=1)
    bins = np.minimum((10 * sure).astype(int), 9)
    return float(
        sum(
            abs(sure[bins == k].mean() - right[bins == k].mean()) * (bins == k).mean()
            for k in np.unique(bins)
        )
    )


MEASURES = {
    real_rotation: ("gj1243_prot",),
    rotation: ("rotation_within_10_percent",),
    classes: ("class_balanced_accuracy", "class_worst_recall", "class_calibration_error"),
}
"""What each function measures."""
