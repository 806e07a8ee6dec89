"""The ``@step`` decorator: checked inputs, checked settings, labelled and traceable results."""

from __future__ import annotations

from typing import Annotated, Literal

import dask.array
import numpy as np
import pytest
import xarray as xr

from tasoc_kit.errors import StepInputError, StepParameterError
from tasoc_kit.provenance import lineage
from tasoc_kit.step import Parameter, step


@step(
    version=3,
    product="sum_image",
    needs={"cube": ("flux", "quality")},
    gives=("reference",),
    libraries=("numpy",),
    unhashed=("threads",),
)
def make_sum_image(
    cube: xr.Dataset,
    mask: xr.Dataset | None = None,
    *,
    scale: Annotated[float, Parameter("factor on the mean", unit="", gt=0)] = 1.0,
    method: Annotated[Literal["mean", "median"], Parameter("statistic")] = "mean",
    box: Annotated[int, Parameter("side of a box", unit="pix", ge=1, le=128)] = 64,
    threads: Annotated[int | None, Parameter("threads")] = None,
) -> xr.Dataset:
    """Average a cube."""
    return xr.Dataset({"reference": getattr(cube["flux"], method)("time") * scale})


@step(version=1, product="nothing", gives=("reference",))
def make_nothing(cube: xr.Dataset) -> xr.Dataset:
    """Forget the result."""
    return xr.Dataset()


@pytest.fixture
def cube() -> xr.Dataset:
    flux = dask.array.from_array(np.arange(24.0, dtype="float32").reshape(2, 3, 4), chunks=(1, 3, 4))
    return xr.Dataset(
        {"flux": (("time", "row", "column"), flux)},
        coords={"quality": ("time", np.zeros(2, "int32"))},
        attrs={"sector": 1, "camera": 1, "ccd": 2, "field": "", "product": "cube", "provenance_id": "a" * 12},
    )


def test_a_step_gives_what_its_function_gives(cube):
    np.testing.assert_array_equal(make_sum_image(cube, scale=2.0)["reference"], 2 * cube["flux"].mean("time"))


def test_a_step_leaves_its_input_alone(cube):
    before = cube.copy(deep=True)
    make_sum_image(cube)
    xr.testing.assert_identical(cube, before)


def test_a_lazy_input_gives_a_lazy_result(cube, forbid_compute):
    assert make_sum_image(cube)["reference"].chunks is not None


def test_the_result_is_labelled_from_the_vocabulary_and_inherits_its_place(cube):
    result = make_sum_image(cube)
    assert result["reference"].attrs["units"] == "electron / s"
    assert result.attrs["product"] == "sum_image"
    assert [result.attrs[name] for name in ("sector", "camera", "ccd", "field")] == [1, 1, 2, ""]


def test_the_id_is_known_before_the_step_runs(cube):
    expected = make_sum_image.record(["a" * 12], {"box": 32}).id
    assert make_sum_image(cube, box=32).attrs["provenance_id"] == expected


def test_the_record_holds_every_setting_that_touches_the_numbers_with_its_default(cube):
    record = lineage(make_sum_image(cube))[make_sum_image(cube).attrs["provenance_id"]]
    assert record["parameters"] == {"scale": 1.0, "method": "mean", "box": 64}
    assert (record["step"], record["version"], record["parents"]) == ("make_sum_image", 3, ["a" * 12])
    assert set(record["libraries"]) == {"numpy"}


def test_a_setting_that_is_not_hashed_does_not_change_the_id():
    assert make_sum_image.record([], {"threads": 7}).id == make_sum_image.record([]).id


def test_an_int_for_a_float_is_the_same_number_and_the_same_id():
    assert make_sum_image.record([], {"scale": 2}).id == make_sum_image.record([], {"scale": 2.0}).id


def test_parents_come_from_every_dataset(cube):
    mask = xr.Dataset(attrs={"provenance_id": "b" * 12})
    result = make_sum_image(cube, mask)
    assert lineage(result)[result.attrs["provenance_id"]]["parents"] == ["a" * 12, "b" * 12]


def test_an_unknown_setting_is_refused_with_the_nearest_name(cube):
    with pytest.raises(
        StepParameterError, match="make_sum_image: unknown parameter 'bx'; did you mean 'box'"
    ):
        make_sum_image(cube, bx=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("box", 0),
        ("box", 129),
        ("box", "64"),
        ("box", 64.0),
        ("scale", 0.0),
        ("method", "mode"),
        ("box", True),
    ],
)
def test_a_setting_out_of_bounds_or_of_another_type_is_refused_with_its_value(cube, name, value):
    with pytest.raises(StepParameterError, match=f"make_sum_image: {name}={value!r}: "):
        make_sum_image(cube, **{name: value})


def test_a_missing_variable_is_named_with_those_that_are_there(cube):
    with pytest.raises(StepInputError, match=r"make_sum_image: cube has no \['quality'\]; it has \['flux'\]"):
        make_sum_image(cube.drop_vars("quality"))


@pytest.mark.parametrize("value", [None, 3, np.zeros(3)], ids=["None", "number", "array"])
def test_what_is_no_dataset_is_refused(value):
    with pytest.raises(StepInputError, match="make_sum_image: cube is a .*; expected an xarray.Dataset"):
        make_sum_image(value)


def test_an_input_that_was_not_given_is_named():
    with pytest.raises(StepInputError, match="make_sum_image: cube was not given"):
        make_sum_image()


def test_more_datasets_than_the_step_takes_are_refused(cube):
    with pytest.raises(
        StepInputError, match=r"make_sum_image: 3 Datasets were given; it takes \['cube', 'mask'\]"
    ):
        make_sum_image(cube, cube, cube)


def test_a_step_that_forgets_what_it_promised_is_told(cube):
    with pytest.raises(StepInputError, match=r"make_nothing: the result has no \['reference'\]"):
        make_nothing(cube)


def test_the_schema_lists_name_type_default_unit_and_meaning():
    rows = {row.name: row for row in make_sum_image.schema()}
    assert list(rows) == ["scale", "method", "box", "threads"]
    assert (rows["box"].type, rows["box"].default, rows["box"].unit) == ("int", 64, "pix")
    assert rows["box"].meaning == "side of a box"
    assert rows["method"].type == "Literal['mean', 'median']"
    assert rows["threads"].default is None


def test_a_step_keeps_the_name_and_the_docstring_of_its_function():
    assert make_sum_image.__name__ == "make_sum_image"
    assert make_sum_image.__doc__ == "Average a cube."
    assert make_sum_image.product == "sum_image"
