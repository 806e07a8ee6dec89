"""Which photometry serves a star: its aperture, the PSF, or its halo.

The brightest stars go to halo photometry at once; bright ones do where light of their aperture is lost at
the border of what it may use, or where it still met the border of its stamp when that had been enlarged as
often as it may be (Handberg+ 2021, AJ 162 170, section 4.2). Faint stars in a crowd go to the
PSF, which divides light that pixels do not. What the user says comes before any rule.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.photometry.masks.k2p2 import most_resizes
from tasoc_kit.vocabulary import ApertureFlag, Method

__all__ = ["choose_methods"]

HALO_AT_ONCE, HALO_IF_CUT = 2.0, 6.0
"""TESS magnitudes: stars so bright have halo photometry, or have it where their aperture is cut."""
CROWDED_FROM = 10.0
"""TESS magnitude of the brightest star that a crowd sends to the PSF: wings of brighter ones outdo it."""
CUT = 0.01
"""Share of the expected flux on the border of an aperture beyond which it is cut."""


def choose_methods(
    apertures: xr.Dataset, *, crowded: float, overrides: xr.Dataset | None = None
) -> np.ndarray:
    """
    Return the method of every star, int8 (star).

    Parameters
    ----------
    apertures
        ``tmag``, ``row_size``, ``aperture_flags``, ``contamination`` and ``edge_flux`` (star);
        ``stamp_resizes`` where masks were grown on stamps; ``tic`` where there are overrides.
    crowded
        Contamination beyond which the PSF serves a faint star better.
    overrides
        As :func:`~tasoc_kit.sources.overrides.read_overrides` returns them; only a star on the frame can be
        given a method.
    """
    tmag = apertures["tmag"].values.astype(float)
    on_frame = (apertures["aperture_flags"].values & int(ApertureFlag.OUTSIDE)) == 0
    has_mask = apertures["row_size"].values > 0
    expected = 10 ** (-0.4 * (tmag - ZERO_POINT))
    cut = (tmag <= HALO_IF_CUT) & (apertures["edge_flux"].values > CUT * expected)
    if "stamp_resizes" in apertures:
        exhausted = apertures["stamp_resizes"].values >= most_resizes(tmag)
        cut |= (tmag <= HALO_IF_CUT) & exhausted & (apertures["edge_flux"].values > 0)
    halo = on_frame & has_mask & ((tmag <= HALO_AT_ONCE) | cut)
    psf = has_mask & (tmag >= CROWDED_FROM) & (apertures["contamination"].values > crowded)
    method = np.select(
        [halo, psf, has_mask], [int(Method.HALO), int(Method.PSF), int(Method.APERTURE)], int(Method.NONE)
    )
    if overrides is not None:
        chosen = dict(zip(overrides["override_tic"].values, overrides["override_method"].values, strict=True))
        for star in np.flatnonzero(on_frame & np.isin(apertures["tic"].values, list(chosen))):
            method[star] = chosen[apertures["tic"].values[star]]
    return method.astype(np.int8)
