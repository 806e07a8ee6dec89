"""The light curves of one star by aperture, PSF and halo: which there are, and which serves it best."""

from __future__ import annotations

import numpy as np
import xarray as xr

from tasoc_kit.exports.family import Family
from tasoc_kit.plots.noise import measure_noise
from tasoc_kit.vocabulary import Method

__all__ = ["BEST", "METHODS", "StarMethods", "method_name"]

METHODS = {"aperture": Method.APERTURE, "PSF": Method.PSF, "halo": Method.HALO}
BEST = "best"
"""Stands for the method that serves a star best."""


def method_name(method: int) -> str:
    """Return the name of a method for people; ``none`` where there is none."""
    return next((name for name, known in METHODS.items() if known == method), "none")


class StarMethods:
    """The light curves of one CCD by every method that was run."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.names = [name for name, method in METHODS.items() if family.has(method)]

    def best(self, star: int) -> str:
        """Return the method that serves a star best; ``none`` where no method does."""
        return method_name(int(self.family.method[star]))

    def of(self, star: int) -> list[str]:
        """Return the methods that measured a star."""
        return [name for name in self.names if self.family.measured(METHODS[name])[star]]

    def chosen(self, star: int, wanted: str) -> str:
        """Return the wanted method where it measured the star, else the best, else that of apertures."""
        there = self.of(star)
        usual = self.best(star) if self.best(star) in there else "aperture"
        return wanted if wanted in there else usual

    def series(self, star: int, name: str) -> tuple[xr.Dataset, int]:
        """Return the light curves of a method, and the index of the star in them."""
        method = METHODS[name]
        places = self.family.places.get(method)
        return self.family.source(method), star if places is None else int(places[star])

    def noise(self, star: int) -> dict[str, float]:
        """Return the noise of one exposure in ppm by every method that measured a star."""
        made = {}
        for name in self.of(star):
            light_curves, place = self.series(star, name)
            measured = measure_noise(light_curves.isel(star=np.array([place])))
            made[name] = float(measured["ptp"][0])
        return made
