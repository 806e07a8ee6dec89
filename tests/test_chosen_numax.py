"""A νmax that a person chooses gives the model and the numbers that go with it, at once."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from giants import simulate_giants

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.oscillation_model import ENVELOPE, model_of
from tasoc_kit.seismology.chosen_numax import chosen_trials, oscillations_at
from tasoc_kit.seismology.oscillations import measure_oscillations
from tasoc_kit.seismology.spectra import make_spectra


@pytest.fixture(scope="module")
def giants():
    """Spectra of four giants, what the step finds in them, and the truth."""
    made = simulate_giants(4, seed=5, span=(40.0, 160.0))
    cadences = made.time.size
    nothing = np.zeros(cadences, np.int32)
    curves = xr.Dataset(
        {
            "flux": (("star", "time"), (1e4 * (1 + 1e-6 * made.flux)).astype(np.float32)),
            "pixel_quality": (("star", "time"), np.zeros(made.flux.shape, np.int32)),
        },
        coords={
            "time": made.time, "quality": ("time", nothing), "frame_quality": ("time", nothing),
            "cadenceno": ("time", np.rint((made.time - made.time[0]) / made.cadence).astype(np.int32)),
            "tic": ("star", np.arange(1, 5)), "teff": ("star", np.full(4, 4800.0, np.float32)),
        },
        attrs={"sector": 1, "camera": 1, "ccd": 2, "cadence": 1800.0},
    )  # fmt: skip
    spectra = make_spectra(curves)
    return spectra, measure_oscillations(spectra), made


def test_at_the_numax_that_was_found_the_numbers_are_those_that_were_found(giants):
    spectra, measured, made = giants
    for star in range(4):
        found = oscillations_at(spectra, star, float(measured["numax"][star]))
        assert float(found["numax"][0]) == pytest.approx(float(measured["numax"][star]), rel=0.007)
        assert float(found["dnu"][0]) == pytest.approx(made.dnu[star], rel=0.03)
        assert float(found["mass"][0]) == pytest.approx(float(measured["mass"][star]), rel=0.1)
        here, there = (
            model_of(
                spectra["frequency"].values,
                float(one["numax"]),
                one["part_height"].values.astype(float),
                spectra.attrs["nyquist"],
                spectra.attrs["resolution"],
            ).sum(axis=0)
            for one in (found.isel(star=0), measured.isel(star=star))
        )
        np.testing.assert_allclose(here, there, rtol=0.15)
    assert found["numax"].attrs["units"] == "uHz"
    assert found["tic"].values.tolist() == [4]


def test_elsewhere_the_envelope_goes_and_the_white_noise_stays(giants):
    spectra, measured, _made = giants
    trials, star = chosen_trials(spectra), int(np.argmin(measured["numax"].values))
    numax = float(measured["numax"][star])
    right, wrong = (oscillations_at(spectra, star, at, trials) for at in (numax, 2.5 * numax))
    share = [float(one["part_height"][0, ENVELOPE] / one["part_height"][0, 0]) for one in (right, wrong)]
    assert share[1] < 0.2 * share[0]
    assert float(wrong["white_noise"][0]) == pytest.approx(float(right["white_noise"][0]), rel=0.2)


def test_a_numax_outside_of_the_spectrum_or_a_star_without_one_is_refused(giants):
    spectra = giants[0]
    with pytest.raises(StepInputError, match=r"numax=1000 µHz; expected 3.0 to 263\.\d.*Choose"):
        oscillations_at(spectra, 0, 1000.0)
    with pytest.raises(StepInputError, match="numax=nan"):
        oscillations_at(spectra, 0, np.nan)
    empty = spectra.assign(power=spectra["power"] * np.nan)
    with pytest.raises(StepInputError, match="star 2 has no spectrum"):
        oscillations_at(empty, 2, 50.0)
