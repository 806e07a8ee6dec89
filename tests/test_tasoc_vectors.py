"""Claims about vectors that TASOC made: they open as ours do, and correct light curves of their sector."""

import numpy as np
import pytest
from drifting_stars import drifting_stars

from tasoc_kit import catalog
from tasoc_kit.corrections.cbv_light_curves import make_cbv_light_curves
from tasoc_kit.errors import SourceError
from tasoc_kit.vocabulary import KitQuality

AREA = "tess_ffi/cbv-ffi-143.hdf5"


@pytest.fixture
def real(shared_data):
    """TASOC's vectors of sector 1, camera 1, CCD 4, the third ring."""
    pytest.importorskip("h5py", reason="h5py (extra hdf5)")
    return catalog.open_entry("vectors.tasoc", files=str(shared_data(AREA)))


def test_the_vectors_of_a_real_file_open_as_the_product(real):
    assert {name: real.attrs[name] for name in ("sector", "camera", "ccd", "cadence")} == {
        "sector": 1, "camera": 1, "ccd": 4, "cadence": 1800,
    }  # fmt: skip
    assert dict(real.sizes) == {"area": 1, "vector": 16, "time": 1282, "star": 0}
    assert real["area"].values.tolist() == [143]
    # Sector 1 lost 55 cadences to the gap in its middle; numbers go on over it.
    assert (real["cadenceno"].values[0], real["cadenceno"].values[-1]) == (4697, 6033)
    both = (real["cbv"] + real["spike_cbv"]).values[0]
    assert both.std(axis=1) == pytest.approx(1, abs=1e-5)
    assert (real["cbv_snr"].values > 5).all()
    assert np.isfinite(real["time"].values).all()


def test_light_curves_that_drift_by_real_vectors_are_corrected_with_them(real):
    made = drifting_stars(150, 1340, seed=4)
    curves, random = made.light_curves.assign_attrs(ccd=4, cadence=1800), np.random.default_rng(1)
    numbers, known = curves["cadenceno"].values, real["cadenceno"].values
    place = np.clip(np.searchsorted(known, numbers), 0, known.size - 1)
    there = known[place] == numbers
    vectors = (real["cbv"] + real["spike_cbv"]).values[0, :4][:, place]
    model = random.normal(size=(150, 4)) * 1e-3 @ vectors
    noise = 200e-6 * random.normal(size=model.shape)
    level = 10 ** (-0.4 * (curves["tmag"].values[:, None] - 20.451))
    curves["flux"] = ("star", "time"), (level * (1 + model + noise)).astype(np.float32)
    corrected = make_cbv_light_curves(curves, made.diagnostics, real, prior=False)
    flux, bits = corrected["flux_corr"].values, corrected["pixel_quality"].values
    # The three numbers past the end of the file, and those of the gap, have no vectors.
    assert (~there).sum() == 55 + 3
    assert np.isnan(flux[:, ~there]).all()
    assert (bits[:, ~there] == int(KitQuality.NO_DATA)).all()
    assert np.isfinite(flux[:, there]).all()
    scatter = (flux[:, there] / np.median(flux[:, there], axis=1, keepdims=True)).std(axis=1)
    assert np.median(scatter) == pytest.approx(200e-6, rel=0.03)
    assert np.median(model[:, there].std(axis=1)) > 1.5e-3


def test_a_file_that_is_not_tasocs_is_refused_by_its_name(tmp_path):
    with pytest.raises(SourceError, match="vectors: no files at .*none.hdf5"):
        catalog.open_entry("vectors.tasoc", files=str(tmp_path / "none.hdf5"))
    pytest.importorskip("h5py", reason="h5py (extra hdf5)")
    (tmp_path / "cbv-ffi-111.hdf5").write_bytes(b"not HDF5 at all")
    with pytest.raises(SourceError, match=r"cbv-ffi-111\.hdf5: not TASOC's vectors .*name one, or fetch"):
        catalog.open_entry("vectors.tasoc", files=str(tmp_path))


def test_several_areas_open_together_and_one_twice_is_refused(shared_data, tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py (extra hdf5)")
    content = shared_data(AREA).read_bytes()
    (tmp_path / "cbv-ffi-143.hdf5").write_bytes(content)
    (tmp_path / "cbv-ffi-144.hdf5").write_bytes(content)
    with pytest.raises(SourceError, match=r"2 files of areas \[143, 143\]"):
        catalog.open_entry("vectors.tasoc", files=str(tmp_path))
    with h5py.File(tmp_path / "cbv-ffi-144.hdf5", "r+") as file:
        file.attrs["cbv_area"] = 144
        file["cbv-single-scale"][5] = np.nan
    both = catalog.open_entry("vectors.tasoc", files=str(tmp_path))
    assert both["area"].values.tolist() == [143, 144]
    assert both.sizes["time"] == 1282
    assert np.flatnonzero(np.isnan(both["cbv"].values[1, 0])).tolist() == [5]
