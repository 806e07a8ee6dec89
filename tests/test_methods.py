"""Which photometry serves a star."""

import numpy as np
import xarray as xr
from star_field import add_star, as_reference, as_stars

from tasoc_kit.photometry.apertures import make_apertures
from tasoc_kit.photometry.masks.methods import choose_methods
from tasoc_kit.sources.overrides import read_overrides
from tasoc_kit.vocabulary import VARIABLES, ApertureFlag, Method

NONE, APERTURE, PSF, HALO = Method.NONE, Method.APERTURE, Method.PSF, Method.HALO


def as_apertures(tmag, *, contamination=0.0, edge_flux=0.0, row_size=9, flags=0) -> xr.Dataset:
    count = len(tmag)
    columns = {
        "tic": np.arange(1, count + 1),
        "tmag": np.asarray(tmag, np.float32),
        "contamination": contamination,
        "edge_flux": edge_flux,
        "row_size": row_size,
        "aperture_flags": flags,
    }
    return xr.Dataset({name: ("star", np.broadcast_to(value, count)) for name, value in columns.items()})


def methods(apertures, **changes):
    return choose_methods(apertures, **({"crowded": 0.5} | changes)).tolist()


def test_the_brightest_stars_have_halo_photometry_at_once():
    assert methods(as_apertures([1.9, 2.0, 2.1])) == [HALO, HALO, APERTURE]


def test_a_bright_star_whose_aperture_is_cut_has_halo_photometry():
    flux = 10 ** (-0.4 * (np.array([5.9, 5.9, 6.1]) - 20.451))
    cut = as_apertures([5.9, 5.9, 6.1], edge_flux=flux * np.array([0.011, 0.009, 0.9]))
    assert methods(cut) == [HALO, APERTURE, APERTURE]


def test_a_bright_star_whose_stamp_cannot_be_enlarged_again_has_halo_photometry():
    made = as_apertures([5.9, 5.9, 6.0, 6.0, 6.1, 5.9], edge_flux=np.array([1, 1, 1, 1, 1, 0]))
    made["stamp_resizes"] = ("star", np.array([10, 9, 5, 4, 5, 10]))
    assert methods(made) == [HALO, APERTURE, HALO, APERTURE, APERTURE, APERTURE]


def test_a_faint_star_in_a_crowd_has_psf_photometry():
    crowd = as_apertures([9.9, 10.1, 10.1], contamination=np.array([0.6, 0.6, 0.4]))
    assert methods(crowd) == [APERTURE, PSF, APERTURE]
    assert methods(crowd, crowded=0.3) == [APERTURE, PSF, PSF]


def test_a_star_without_pixels_or_magnitude_has_no_rule_to_follow():
    assert methods(as_apertures([1.0, 12.0], row_size=0, contamination=np.nan)) == [NONE, NONE]
    assert methods(as_apertures([np.nan], contamination=np.nan)) == [APERTURE]


def test_what_the_user_says_comes_before_the_rules():
    made = as_apertures([1.0, 12.0, 13.0, 14.0], row_size=np.array([9, 9, 0, 0]))
    made["aperture_flags"] = ("star", np.array([0, 0, 0, int(ApertureFlag.OUTSIDE)]))
    overrides = ["1:aperture", " 2 : HALO", "3:psf", "4:psf", "99:psf"]
    assert methods(made, overrides=read_overrides(overrides)) == [APERTURE, HALO, PSF, NONE]


def test_apertures_say_which_photometry_serves_each_star():
    image = np.random.default_rng(1).normal(0, 0.5, (60, 60))
    add_star(image, 30, 30, 1.5)
    add_star(image, 10, 10, 11)
    reference, stars = as_reference(image), as_stars([30, 10, 90], [74, 54, 54], [1.5, 11, 9])
    made = make_apertures(reference, stars)
    assert made["method"].values.tolist() == [HALO, APERTURE, NONE]
    assert made["method"].dtype == VARIABLES["method"].dtype
    assert make_apertures(reference, stars, read_overrides(["2:psf"]))["method"].values[1] == PSF
