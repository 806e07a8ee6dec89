"""
The known defects of the original pipeline, each shown to be absent from end to end.

Three are shown where their subject is tested: errors of PSF photometry (1) in ``test_psf_light_curves``,
the sky near zero (4) and the pixels that it really used (11) in the tests of the sky. Three are defects of
the corrections of light curves (6, 7 and 8: the prior, the ensemble, the convergence of the fit), which this
package does not make.
"""

from __future__ import annotations

import importlib
import pkgutil
import socket
from pathlib import Path

import holoviews as hv
import numpy as np
import pytest
from sector import make_products, make_sector

import tasoc_kit
from tasoc_kit import plots, vocabulary
from tasoc_kit.numerics.noise import ecliptic_latitude, expected_noise
from tasoc_kit.photometry.one_star import light_curve
from tasoc_kit.store import open_product, write_product
from tasoc_kit.vocabulary import KitQuality, TessQuality


@pytest.mark.parametrize(("number", "cadence"), [(27, 600), (56, 200)])
def test_defect_2_every_cadence_of_the_mission_goes_through_the_chain(tmp_path, number, cadence):
    made = make_sector(tmp_path, sector=number, cadence=cadence, frames=12, rows=128, columns=128)
    assert made.light_curves.attrs["cadence"] == cadence
    assert made.light_curves.attrs["sector"] == number
    assert np.isfinite(made.light_curves["flux"].values[made.light_curves["row_size"].values > 0]).all()


def test_defect_3_flags_are_read_by_the_names_they_are_written_under(sector, tmp_path):
    place = str(tmp_path)
    write_product(sector.light_curves, store=place)
    stored = open_product("light_curves", id=sector.light_curves.attrs["provenance_id"], store=place)
    for name in ("quality", "frame_quality", "pixel_quality"):
        assert name in vocabulary.VARIABLES
        np.testing.assert_array_equal(stored[name], sector.light_curves[name])


@pytest.fixture(scope="module")
def flagged(sector):
    """Products of frames in which every bit of the mission and one of ours of each kind is set."""
    bits = np.zeros(sector.cube.sizes["time"], np.int32)
    harmless = [b for b in TessQuality if b.value and not b.value & vocabulary.DEFAULT_BAD_BITS]
    for k, bit in enumerate(TessQuality):
        bits[2 + 3 * k] |= int(bit)
    for bit in harmless:
        bits[1] |= int(bit)
    ours = sector.cube["frame_quality"].values.copy()
    ours[1] |= int(KitQuality.BACKGROUND_SHENANIGANS | KitQuality.SIGMA_CLIP | KitQuality.INTERPOLATED)
    cube = sector.cube.assign_coords(quality=("time", bits), frame_quality=("time", ours))
    return cube, make_products(cube, sector.stars)


def test_defect_5_no_bit_is_lost_or_overwritten_from_the_file_to_the_light_curve(flagged):
    cube, made = flagged
    one = light_curve(cube=cube, catalogue=made.stars, target=f"TIC {int(made.stars['tic'][5])}").data
    for product in (made.quality, made.sky, made.light_curves, one):
        np.testing.assert_array_equal(product["quality"], cube["quality"])
        kept = product["frame_quality"].values & cube["frame_quality"].values
        np.testing.assert_array_equal(kept, cube["frame_quality"])
    assert int(made.light_curves["frame_quality"][1]) & int(KitQuality.BACKGROUND_SHENANIGANS)
    # 256 is SENSITIVITY_DROPOUT to the mission and BACKGROUND_SHENANIGANS to us; the columns are two.
    assert not int(made.light_curves["frame_quality"][26]) & 256
    assert int(made.light_curves["quality"][26]) == int(TessQuality.SENSITIVITY_DROPOUT) == 256


def test_defect_9_zodiacal_noise_follows_the_ecliptic_latitude_of_the_field(sector):
    tmag = np.linspace(6, 16, 200)
    latitude = float(np.median(ecliptic_latitude(sector.stars["ra"], sector.stars["dec"])))
    assert ecliptic_latitude(np.array([270.0]), np.array([66.5607])) == pytest.approx(90, abs=0.01)
    figure = plots.noise(sector.light_curves)
    drawn = figure.traverse(lambda curve: curve, [hv.Curve])
    line = next(curve for curve in drawn if curve.label == "zodiacal light")
    tmag = line.dimension_values("tmag")
    seconds = sector.light_curves.attrs["exposure"]
    expected = expected_noise(tmag, seconds=seconds, ecliptic_latitude=latitude).zodiacal
    np.testing.assert_allclose(line.dimension_values("ptp"), expected)


def test_defect_10_nothing_of_the_chain_asks_the_network(sector, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    made = light_curve(cube=sector.cube, catalogue=sector.stars, target=f"TIC {int(sector.stars['tic'][5])}")
    assert np.isfinite(made.data["flux"].values).any()


def test_defect_12_every_module_imports_on_the_current_stack():
    names = [m.name for m in pkgutil.walk_packages(tasoc_kit.__path__, "tasoc_kit.")]
    assert len(names) > 100
    for name in names:
        if ".migrations" not in name:
            importlib.import_module(name)


def test_defect_13_the_readme_tells_how_to_make_photometry_of_ones_own(repository: Path):
    text = (repository / "README.md").read_text()
    for command in ("tk.light_curve(", "tasoc run photometry --cube"):
        assert command in text
    assert "coming soon" not in text.lower()
