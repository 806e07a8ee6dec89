"""Which star owns an aperture.

Stars are taken from bright to faint. A star whose pixel lies in the aperture of a brighter one gets
none of its own, and neither does one whose aperture would hold a brighter star: its light curve
would be that star's. This is TASOC's rule (Handberg+ 2021, AJ 162 170, section 4.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

__all__ = ["Claims"]


@numba.njit(cache=True, nogil=True)
def _claim(
    stars: np.ndarray,
    row_size: np.ndarray,
    pixels: np.ndarray,
    centre: np.ndarray,
    rank: np.ndarray,
    brightest: np.ndarray,
    owner: np.ndarray,
    skipped_by: np.ndarray,
) -> None:
    """Give the pixels of each mask to its star, unless a brighter star has a better right."""
    first = 0
    for k in range(stars.size):
        star, last = stars[k], first + row_size[k]
        skipped_by[star] = owner[centre[star]]
        for p in pixels[first:last]:
            other = brightest[p]
            if skipped_by[star] < 0 and other >= 0 and rank[other] < rank[star]:
                skipped_by[star] = other
        if skipped_by[star] < 0:
            for p in pixels[first:last]:
                if owner[p] < 0:
                    owner[p] = star
        first = last


@dataclass
class Claims:
    """The state of the frame while masks are claimed, from bright stars to faint ones."""

    owner: np.ndarray
    """Star whose aperture holds the pixel, −1 where none does; flat."""
    brightest: np.ndarray
    """Brightest star whose centre lies in the pixel, −1 where none does; flat."""
    centre: np.ndarray
    """Flat index of the pixel that each star lies in."""
    rank: np.ndarray
    """Place of each star in the order of brightness."""
    skipped_by: np.ndarray
    """Star that each star gives way to, −1 where there is none."""

    @classmethod
    def open(cls, pixels: int, centre: np.ndarray, order: np.ndarray, count: int) -> Claims:
        """
        Return a frame without apertures.

        Parameters
        ----------
        pixels
            Pixels of the frame.
        centre
            Flat index of the pixel that each star lies in.
        order
            The stars that may have an aperture, from bright to faint.
        count
            Stars in the catalogue.
        """
        rank = np.full(count, count, dtype=np.int64)
        rank[order] = np.arange(order.size)
        brightest = np.full(pixels, -1, dtype=np.int32)
        brightest[centre[order[::-1]]] = order[::-1]
        nobody = np.full(pixels, -1, dtype=np.int32)
        return cls(nobody, brightest, centre, rank, np.full(count, -1, dtype=np.int32))

    def free(self, stars: np.ndarray) -> np.ndarray:
        """Mark the stars that lie in an aperture as skipped; return the others."""
        self.skipped_by[stars] = self.owner[self.centre[stars]]
        return stars[self.skipped_by[stars] < 0]

    def claim(self, stars: np.ndarray, row_size: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """
        Let stars, from bright to faint, claim their masks; return True for those that may keep it.

        Parameters
        ----------
        stars
            Stars in order of brightness.
        row_size
            Pixels of each one's mask.
        pixels
            Flat indices of these pixels, star after star.
        """
        _claim(
            stars,
            row_size,
            pixels,
            self.centre,
            self.rank,
            self.brightest,
            self.owner,
            self.skipped_by,
        )
        return self.skipped_by[stars] < 0
