"""Pieces of the sky: poles, right ascension 0, distorted CCDs, and the pixels that cover them."""

from __future__ import annotations

import numpy as np
import pytest

from tasoc_kit.errors import SourceError
from tasoc_kit.sources.footprint import BUFFER, Healpix, around, ccd_footprint
from tasoc_kit.sources.pointings import where

pytest.importorskip("astropy_healpix", reason="targets: astropy-healpix is not installed; run: make env")


def sky(count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    return random.uniform(0, 360, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))


def distance(ra, dec, ra0, dec0):
    a, d, a0, d0 = map(np.radians, (ra, dec, ra0, dec0))
    half = np.sin((d - d0) / 2) ** 2 + np.cos(d) * np.cos(d0) * np.sin((a - a0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half)))


@pytest.mark.parametrize("place", [(0.0, 0.0), (359.99, -66.56), (123.0, 90.0), (10.0, -89.5)])
def test_a_circle_holds_what_is_near_and_its_pixels_hold_that(place):
    circle = around(*place, 10.0)
    ra, dec = sky()
    away = distance(ra, dec, *place)
    inside = circle.contains(ra, dec)
    assert inside[away < 10.0].all()
    assert not inside[away > 10.02].any()
    assert np.isin(Healpix(5).pixel_of(ra[inside], dec[inside]), circle.pixels(5)).all()
    assert circle.area == pytest.approx(np.pi * np.degrees(np.tan(np.radians(10.0))) ** 2, rel=2e-3)


@pytest.mark.parametrize("unit", [(1, 1, 2), (1, 4, 3), (14, 4, 1), (70, 2, 4)])
def test_the_footprint_of_a_ccd_agrees_with_where_tess_saw_stars(unit):
    footprint = ccd_footprint(*unit)
    middle = np.radians(footprint.ra), np.radians(footprint.dec)
    x, y, z = (
        (np.cos(middle[1]) * np.cos(middle[0])).mean(),
        (np.cos(middle[1]) * np.sin(middle[0])).mean(),
        np.sin(middle[1]).mean(),
    )
    ra, dec = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    seen = where(f"{ra} {dec}")
    assert tuple(unit) in set(map(tuple, seen[["sector", "camera", "ccd"]].to_numpy().tolist()))
    corner = footprint.ra[0], footprint.dec[0]
    assert 11.5 < footprint.area**0.5 - 2 * BUFFER < 12.1
    beyond = where(f"{corner[0]} {corner[1]}")
    assert tuple(unit) not in set(map(tuple, beyond[["sector", "camera", "ccd"]].to_numpy().tolist()))


def test_what_is_no_place_is_refused():
    with pytest.raises(SourceError, match="dec=91"):
        around(0.0, 91.0, 1.0)
    with pytest.raises(SourceError, match="radius=0"):
        around(0.0, 9.0, 0.0)
    with pytest.raises(SourceError, match="sector 0, camera 1, CCD 5; expected sectors 1 to"):
        ccd_footprint(0, 1, 5)
