"""Claims about vectors as files in the layout of the mission's."""

import importlib.util

import numpy as np
import pytest
from astropy.io import fits
from drifting_stars import drifting_stars

from tasoc_kit import store
from tasoc_kit.commands.exporting import export_vectors
from tasoc_kit.config import settings
from tasoc_kit.corrections.cbvs import make_cbvs
from tasoc_kit.errors import StoreError
from tasoc_kit.exports.vectors import write_vectors
from tasoc_kit.vocabulary import TessQuality


@pytest.fixture(scope="module")
def drifting():
    made = drifting_stars(260, 500, seed=2)
    quality = np.zeros(500, np.int32)
    quality[[7, 400]] = int(TessQuality.DESAT)
    made.light_curves = made.light_curves.assign_coords(quality=("time", quality))
    made.light_curves.attrs |= {"cadence": 1800.0}
    return made


@pytest.fixture(scope="module")
def cbvs(drifting):
    return make_cbvs(drifting.light_curves, drifting.diagnostics)


def test_a_file_has_the_vectors_of_an_area_by_the_numbers_of_cadences(cbvs, tmp_path):
    paths = write_vectors(cbvs, tmp_path)
    assert [path.parent.name for path in paths] == [str(area) for area in cbvs["area"].values]
    assert paths[0].name == f"tasoc_kit-s0001-1-2-a{cbvs['area'].values[0]}-c1800-s_cbv.fits"
    with fits.open(paths[0], checksum=True) as file:
        assert [hdu.header.get("EXTNAME") for hdu in file] == [None, "CBV.single-scale.1.2", "CBV.spike.1.2"]
        assert (file[0].header["TELESCOP"], file[0].header["SECTOR"]) == ("TESS", 1)
        slow, spikes = file[1].data, file[2].data
        np.testing.assert_array_equal(slow["CADENCENO"], cbvs["cadenceno"].values)
        np.testing.assert_array_equal(slow["TIME"], cbvs["time"].values)
        assert np.flatnonzero(slow["GAP"]).tolist() == [7, 400]
        number = int(np.isfinite(cbvs["cbv_snr"].values[0]).sum())
        assert (
            slow.names
            == spikes.names
            == ["TIME", "CADENCENO", "GAP", *(f"VECTOR_{n + 1}" for n in range(number))]
        )
        whole = slow["VECTOR_1"] + spikes["VECTOR_1"]
        ours = (cbvs["cbv"] + cbvs["spike_cbv"]).values[0, 0]
        np.testing.assert_allclose(whole, ours / np.linalg.norm(ours), atol=1e-7)
    with pytest.raises(StoreError, match="is there already"):
        write_vectors(cbvs, tmp_path)


def test_the_command_writes_what_the_store_has_and_says_how_to_make_it(cbvs, tmp_path, capsys):
    settings.cache_clear()
    with pytest.raises(StoreError, match="the store has no cbvs.*tasoc run photometry"):
        export_vectors(
            tmp_path / "files", {"sector": 1, "camera": None, "ccd": None}, tag=None, overwrite=False
        )
    store.write_product(cbvs)
    export_vectors(tmp_path / "files", {"sector": 1, "camera": None, "ccd": None}, tag=None, overwrite=False)
    assert "vectors of 1 area written" in capsys.readouterr().out
    assert len(list((tmp_path / "files").rglob("*_cbv.fits"))) == cbvs.sizes["area"]


@pytest.mark.skipif(importlib.util.find_spec("lightkurve") is None, reason="lightkurve (extra oracle)")
def test_lightkurve_takes_vectors_and_corrects_a_light_curve_with_them(drifting, cbvs, tmp_path):
    import lightkurve
    from astropy import units
    from lightkurve.correctors import CBVCorrector

    paths = write_vectors(cbvs, tmp_path)
    place = {name: int(cbvs.attrs[name]) for name in ("sector", "camera", "ccd")}
    star = int(np.flatnonzero(cbvs["star_area"].values == cbvs["area"].values[0])[0])
    flux = drifting.light_curves["flux"].values[star].astype(float)
    kept = np.delete(np.arange(500), [7, 250, 400])
    curve = lightkurve.TessLightCurve(
        time=drifting.light_curves["time"].values[kept],
        flux=flux[kept] * units.electron / units.second,
        flux_err=drifting.light_curves["flux_err"].values[star, kept] * units.electron / units.second,
        meta={"MISSION": "TESS"} | {name.upper(): value for name, value in place.items()},
    )
    curve["cadenceno"] = drifting.light_curves["cadenceno"].values[kept]
    corrector = CBVCorrector(curve, cbv_dir=str(paths[0].parent))
    assert [one.cbv_type for one in corrector.cbvs] == ["SingleScale", "Spike"]
    number = len(corrector.cbvs[0].cbv_indices)
    assert number == np.isfinite(cbvs["cbv_snr"].values[0]).sum()
    np.testing.assert_array_equal(corrector.cbvs[0].cadenceno.value, curve["cadenceno"])
    found = corrector.correct_gaussian_prior(cbv_type=["SingleScale"], cbv_indices=["ALL"], alpha=1e-9)
    left = np.asarray(found.flux.value) / np.median(found.flux.value)
    before = flux[kept] / np.median(flux)
    assert before.std() > 8e-4
    assert left.std() < 1.15 * drifting.noise
