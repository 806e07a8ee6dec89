"""The stars of a field as PSF photometry sees them: stamps of weights, and who shares pixels with whom.

Every star has a stamp of weights ``w·P`` around it, its PSF over the variance of the pixels on the
reference. Stars that no PSF could tell apart are one source with one flux, which they
share as the catalogue says. Everything follows from the products ``psf`` and ``reference``, so that
the pass over the frames and the light curves have the same stamps without storing them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numba import njit
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import SuperLU, splu

from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.effective_psf import (
    MOVES,
    EffectivePsf,
    add_light,
    add_moved,
    draw_stamp,
    psf_at,
    reach_of,
    secants,
)
from tasoc_kit.numerics.overlaps import Sources, overlap_matrix, stamp_sums
from tasoc_kit.numerics.prf import TERMS
from tasoc_kit.numerics.psf_sums import SIDE
from tasoc_kit.photometry.curves.motion import ShownStars, draw_bands

__all__ = ["FAINT_WINGS", "Scene", "make_scene", "psf_of", "scene_of", "shown_stars"]

FAINT_WINGS = 0.1
"""electron/s in a pixel below which the light of a star is not followed."""
LEAST_LIGHT = 0.3
"""Share of its light that a star must have on pixels of its stamp that count."""


@dataclass(frozen=True)
class Scene:
    """All stars that are fitted together; rows and columns are indices in the frame."""

    star: np.ndarray
    """(unknown) index of the star, the brightest where several are one source."""
    weight: np.ndarray
    """(unknown, SIDE, SIDE) stamps, so scaled that the star itself sums to 1."""
    top: np.ndarray
    """(unknown) first row and column of the stamp."""
    left: np.ndarray
    held: np.ndarray
    """(unknown) True where too few pixels count: the flux is held at what is expected."""
    expected: np.ndarray
    """(unknown) expected flux, electron/s."""
    scale: np.ndarray
    """(unknown) information of the pixels about a flux, 1 ÷ variance: what stamps were divided by."""
    sources: Sources
    member: np.ndarray
    """(source) index of the star."""

    @cached_property
    def matrix(self) -> csr_array:
        """The light of every unknown in every stamp."""
        light = overlap_matrix(self.weight, self.top, self.left, self.sources)
        return csr_array(light + diags_array(self.held.astype(float)))

    @cached_property
    def factors(self) -> SuperLU:
        """The same, factorised."""
        return splu(self.matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    def __getstate__(self) -> dict[str, object]:
        """Leave out what cannot be sent to another process; it is made anew there."""
        return {name: value for name, value in self.__dict__.items() if name != "factors"}

    def solve(self, sums: np.ndarray) -> np.ndarray:
        """Return the fluxes (unknown, …) of the sums over all stamps."""
        return np.asarray(self.factors.solve(sums)) if self.star.size else np.zeros_like(sums)

    def fluxes(self, image: np.ndarray) -> np.ndarray:
        """Return the flux of every unknown in an image without sky."""
        sums = stamp_sums(image, self.weight, self.top, self.left)
        return self.solve(np.where(self.held, self.expected, sums))

    def draw(self, flux: np.ndarray, shape: tuple[int, int], terms: int = len(TERMS)) -> np.ndarray:
        """
        Return the light of all stars and its derivatives by their position.

        Parameters
        ----------
        flux
            (unknown) fluxes.
        shape
            Rows and columns of the frame.
        terms
            Images to draw, in the order of TERMS.
        """
        sources = self.sources
        light = np.nan_to_num(flux)[sources.unknown] * sources.share

        def draw(band: np.ndarray, start: int, some: np.ndarray) -> None:
            add_light(
                band, light[some], sources.row[some] - start, sources.column[some], sources.tables[some],
                sources.radius[some],
            )  # fmt: skip

        return draw_bands(shape, sources.row, sources.radius, draw, terms)

    def draw_expansion(self, flux: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Return the light of all stars and its differences by position, in the order of TERMS."""
        sources = self.sources
        light = np.nan_to_num(flux)[sources.unknown] * sources.share

        def draw(band: np.ndarray, start: int, some: np.ndarray) -> None:
            add_moved(
                band, light[some], sources.row[some] - start, sources.column[some], sources.tables[some],
                sources.radius[some],
            )  # fmt: skip

        return secants(draw_bands(shape, sources.row, sources.radius, draw, len(MOVES)))


def psf_of(psf: xr.Dataset) -> EffectivePsf:
    """Return the PSF that a product holds."""
    nodes = (psf[name].values.astype(float) for name in ("node_row", "node_column"))
    return EffectivePsf(*nodes, psf["psf_coefficient"].values)


def scene_of(psf: xr.Dataset, reference: xr.Dataset) -> Scene:
    """Return the scene that belongs to a product ``psf``."""
    return make_scene(
        psf_of(psf),
        reference,
        *(psf[name].values for name in ("psf_row", "psf_column", "psf_flux", "psf_source")),
    )


def shown_stars(psf: xr.Dataset, apertures: xr.Dataset) -> ShownStars:
    """Return the stars as the PSF has them; those without a flux are as bright as the catalogue says."""
    expected = 10 ** (-0.4 * (apertures["tmag"].values.astype(float) - ZERO_POINT))
    flux = psf["psf_flux"].values
    return ShownStars(
        psf_of(psf),
        psf["psf_row"].values,
        psf["psf_column"].values,
        np.where(np.isfinite(flux), np.maximum(flux, 0.0), expected),
    )


def make_scene(
    psf: EffectivePsf,
    reference: xr.Dataset,
    row: np.ndarray,
    column: np.ndarray,
    flux: np.ndarray,
    source: np.ndarray,
) -> Scene:
    """
    Lay out the stamps of all stars.

    Parameters
    ----------
    psf
        The PSF of the CCD.
    reference
        Star image, sky and noise; saturated pixels do not count.
    row, column
        (star) labels.
    flux
        (star) expected flux, which says how far its light is followed and what it has of a source.
    source
        (star) the star whose source it belongs to, itself for most; −1 for stars left out.
    """
    origin = float(reference["row"].values[0]), float(reference["column"].values[0])
    shape = reference["reference"].shape
    (member,) = np.nonzero(source >= 0)
    star, unknown = np.unique(source[member], return_inverse=True)
    y, x = row[member] - origin[0], column[member] - origin[1]
    light = np.maximum(np.nan_to_num(flux[member], nan=0.0), 1e-6)
    total = np.bincount(unknown, light, minlength=star.size)
    sources = Sources(
        y, x, psf_at(psf, row[member], column[member]), reach_of(psf, light, FAINT_WINGS),
        light / total[unknown], unknown,
    )  # fmt: skip
    corner = [
        np.clip(np.rint(place[star] - first - (SIDE - 1) / 2).astype(np.int64), 0, max(size - SIDE, 0))
        for place, first, size in zip((row, column), origin, shape, strict=True)
    ]
    weight = _own_light(sources, *corner)
    whole = weight.sum(axis=(1, 2))
    own = _weigh(weight, _inverse_variance(reference), *corner)
    held = own[0] < LEAST_LIGHT * np.maximum(whole, LEAST_LIGHT)
    weight *= np.where(held, 0.0, 1 / np.where(held, 1.0, own[1]))[:, None, None]
    return Scene(star, weight.astype(np.float32), *corner, held, total, own[1], sources, member)


@njit(nogil=True, cache=True)
def _own_light(sources, top, left):
    """Return what every unknown of flux 1 puts into the pixels of its stamp."""
    out, drawn = np.zeros((top.size, SIDE, SIDE)), np.empty((SIDE, SIDE))
    for j in range(sources.row.size):
        i = sources.unknown[j]
        draw_stamp(sources.tables[j], top[i], left[i], sources.row[j], sources.column[j], drawn)
        # Not by slices: the words of their errors take seconds to compile.
        for r in range(SIDE):
            for c in range(SIDE):
                out[i, r, c] += sources.share[j] * drawn[r, c]
    return out


@njit(nogil=True, cache=True)
def _weigh(light, weight, top, left):
    """Multiply light with the weights of the pixels; return its sum where they count, and with its square."""
    out = np.zeros((2, top.size))
    for i in range(top.size):
        for r in range(SIDE):
            for c in range(SIDE):
                value, w = light[i, r, c], weight[top[i] + r, left[i] + c]
                out[0, i] += value if w > 0 else 0.0
                out[1, i] += w * value * value
                light[i, r, c] = w * value
    return out


def _inverse_variance(reference: xr.Dataset) -> np.ndarray:
    """Return 1 ÷ variance of every pixel of a frame like the reference; 0 for pixels that do not count."""
    image = reference["reference"].values.astype(float) + reference["reference_sky"].values
    noise = reference["noise_floor"].values, reference["noise_slope"].values
    variance = noise[0] + noise[1] * np.maximum(image, 0.0)
    return np.where(np.isfinite(image) & ~reference["saturated"].values, 1 / variance, 0.0)
