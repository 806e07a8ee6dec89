"""
What a frame costs TASOC, by the libraries that do the work there (Handberg+ 2021, AJ 162 170, section 3).

Counted are the meshes of the three rounds of its background (photutils, boxes of 64 pixels) and the
median over 15×15 pixels in its search for spoiled backgrounds (SciPy), on a frame of the sector that our
pass reads. Left out, all in favour of TASOC: the radial light of each round, the smoothing in time, the
motion of the images, its files, and the photometry of every star, while the pass is counted from the
files to the light curves of all stars. What either does once a sector is not counted: sum image and
masks there (masks have rows of their own), reference and apertures here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fresh_process import Cost, measured
from photometry_plan import open_plan
from scipy.ndimage import median_filter

from tasoc_kit.sources.frame_reader import open_frames

__all__ = ["prepared_frame"]

ROUNDS, BOX, WINDOW = 3, 64, 15


def prepared_frame(folder: Path, frame: int) -> Cost:
    """Return what the parts of TASOC's preparation cost for one frame of the steady sector."""
    from astropy.stats import SigmaClip
    from photutils.background import Background2D, SExtractorBackground

    plan = open_plan(folder, frame + 1)
    star_image = plan.reference["reference"].values
    image = np.empty(star_image.shape, np.float32)
    open_frames(plan.cube).read(frame, image)
    as_tasoc = {
        "sigma_clip": SigmaClip(3.0, maxiters=5),
        "bkg_estimator": SExtractorBackground(),
        "exclude_percentile": 50,
        "filter_size": 3,
    }
    with measured() as cost:
        for _ in range(ROUNDS):
            sky = Background2D(image, BOX, **as_tasoc).background
        spoiled = median_filter(image - sky - star_image, size=WINDOW)
    if not (np.isfinite(sky).all() and np.isfinite(spoiled).any()):
        raise RuntimeError("a peer left pixels without a sky")
    return cost
