"""From a list of notebooks to runs whose ids are known before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_pipeline import make_doubled, make_unit

from tasoc_kit import provenance, store
from tasoc_kit.commands.submitting import read_arguments
from tasoc_kit.config import settings
from tasoc_kit.errors import NotebookError, SourceError, StepParameterError
from tasoc_kit.photometry.quality import make_quality
from tasoc_kit.pipeline.plan import (
    Pipeline,
    Unit,
    check_start,
    load_pipelines,
    make_plan,
    read_settings,
)
from tasoc_kit.sources.manual_excludes import read_manual_excludes


def test_the_planned_id_is_the_id_that_the_step_gives(pipeline: Pipeline, tmp_path: Path) -> None:
    unit = make_unit(tmp_path)
    doubled, summed = make_plan(pipeline, unit, {"doubled": {"factor": 3}})
    made = make_doubled(unit.cube, factor=3.0)
    assert doubled.id == made.attrs["provenance_id"]
    assert dict(summed.ids) == {"doubled": doubled.id}


def test_a_setting_changes_the_ids_from_its_step_on(pipeline: Pipeline, tmp_path: Path) -> None:
    unit = make_unit(tmp_path)
    before = [run.id for run in make_plan(pipeline, unit)]
    late = [run.id for run in make_plan(pipeline, unit, {"summed": {"offset": 1}})]
    early = [run.id for run in make_plan(pipeline, unit, {"doubled": {"factor": 3.0}})]
    assert (late[0] == before[0], late[1] == before[1]) == (True, False)
    assert not set(early) & set(before)


def test_other_input_and_another_library_give_other_ids(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_plan(pipeline, make_unit(tmp_path))[0].id
    assert make_plan(pipeline, make_unit(tmp_path, identity="bbbbbbbbbbbb"))[0].id != before
    monkeypatch.setattr(provenance, "_version", lambda name: "99.0")
    assert make_plan(pipeline, make_unit(tmp_path))[0].id != before


def test_the_place_of_the_input_is_no_part_of_an_id(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here, there = make_unit(tmp_path), make_unit(tmp_path / "elsewhere")
    assert here.source != there.source
    assert [r.id for r in make_plan(pipeline, here)] == [r.id for r in make_plan(pipeline, there)]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("doubled.factro=1", "unknown parameter 'factro'; did you mean 'factor'"),
        ("doubled.factor=two", "factor='two'"),
        ("doubled.factor=-1", "factor=-1.0"),
        ("doubld.factor=1", "no step 'doubld'; did you mean 'doubled'"),
        ("factor=1", "expected step.parameter=value"),
        ("doubled.factor", "expected step.parameter=value"),
        ("doubled.factor=[1", "expected step.parameter=value"),
    ],
)
def test_a_mistyped_setting_is_refused_when_the_plan_is_made(
    pipeline: Pipeline, tmp_path: Path, assignment: str, message: str
) -> None:
    with pytest.raises((NotebookError, StepParameterError), match=message):
        make_plan(pipeline, make_unit(tmp_path), read_settings(pipeline, [assignment]))


def test_the_command_line_wins_over_the_settings_file(pipeline: Pipeline, tmp_path: Path) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("doubled: {factor: 3.0}\nsummed: {offset: 7}\n")
    chosen = read_settings(pipeline, ["doubled.factor=4.5"], config)
    assert chosen == {"doubled": {"factor": 4.5}, "summed": {"offset": 7}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("261136679:6.268", "261136679:6.268"),
        ("12:30", "12:30"),
        ("2018-08-01", "2018-08-01"),
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        ("1_000", 1000),
        ("007", 7),
        ("0x10", 16),
        (".5", 0.5),
        (".inf", float("inf")),
        ("null", None),
        ("true", True),
        ("", None),
        ("[1, a]", [1, "a"]),
        ("'12'", "12"),
    ],
)
def test_a_value_is_read_as_what_it_looks_like(
    pipeline: Pipeline, tmp_path: Path, text: str, value: object
) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(f"doubled: {{factor: {text}}}\n")
    for chosen in (
        read_settings(pipeline, [f"doubled.factor={text}"]),
        read_settings(pipeline, [], config),
        read_arguments("photometry", [f"doubled.factor={text}"])[1]["settings"],
    ):
        assert chosen == {"doubled": {"factor": value}}


@pytest.mark.parametrize("text", ["doubled: 3", "- a", "a: [", "duobled: {factor: 1.0}", "factor: ½"])
def test_an_unusable_settings_file_is_refused(pipeline: Pipeline, tmp_path: Path, text: str) -> None:
    config = tmp_path / "my.yaml"
    config.write_text(text, encoding="latin-1")
    with pytest.raises(NotebookError, match="my.yaml|did you mean 'doubled'"):
        read_settings(pipeline, [], config)


def test_first_and_last_steps_bound_the_plan(pipeline: Pipeline) -> None:
    assert [stage.name for stage in pipeline.between(None, "doubled")] == ["doubled"]
    assert [stage.name for stage in pipeline.between("summed", None)] == ["summed"]
    with pytest.raises(NotebookError, match="comes after"):
        pipeline.between("summed", "doubled")
    with pytest.raises(NotebookError, match="no step 'sumed'; did you mean 'summed'"):
        pipeline.between(None, "sumed")


LATER = """
title: The sum of what another pipeline doubles
after: tiny
notebooks:
  - {notebook: 11_summed, step: "tiny_pipeline:make_summed", inputs: [doubled]}
"""


@pytest.fixture
def later(tiny_pipelines: dict[str, Pipeline]) -> Pipeline:
    (settings().notebooks[0] / "pipelines" / "later.yaml").write_text(LATER)
    return load_pipelines()["later"]


def test_a_pipeline_starts_from_the_products_of_the_one_before_it(
    pipeline: Pipeline, later: Pipeline, tmp_path: Path
) -> None:
    unit = make_unit(tmp_path)
    doubled, summed = make_plan(pipeline, unit)
    (run,) = make_plan(later, unit)
    assert (run.id, run.ids["doubled"]) == (summed.id, doubled.id)
    assert [run.stage.name for run in make_plan(later, unit, whole=True)] == ["doubled", "summed"]
    with pytest.raises(NotebookError, match=r"starts from \['doubled'\].*Run 'tasoc run tiny'"):
        check_start([[run]], later)
    store.write_product(make_doubled(unit.cube))
    check_start([[run]], later)


def test_settings_of_the_pipeline_before_choose_what_a_pipeline_starts_from(
    later: Pipeline, tmp_path: Path
) -> None:
    unit = make_unit(tmp_path)
    chosen = read_settings(later, ["doubled.factor=3.0", "summed.offset=1"])
    assert chosen == {"doubled": {"factor": 3.0}, "summed": {"offset": 1}}
    (plain,), (other,) = make_plan(later, unit), make_plan(later, unit, chosen)
    assert plain.ids["doubled"] != other.ids["doubled"]
    with pytest.raises(NotebookError, match="no step 'sumed'; did you mean 'summed'"):
        read_settings(later, ["sumed.offset=1"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inputs: [doubled]", "inpust: [doubled]", "later.yaml: notebooks.0.inp"),
        ("after: tiny", "after: tyni", "later comes after 'tyni'; did you mean 'tiny'"),
        ("after: tiny", "after: later", "come after each other"),
        (LATER, "- 11_summed", "later.yaml is not readable"),
        ("title:", "title: [", "later.yaml is not readable"),
        ("title:", "title: ½", "later.yaml is not readable"),
    ],
)
def test_a_file_that_no_pipeline_is_made_of_is_refused(
    tiny_pipelines: dict[str, Pipeline], old: str, new: str, said: str
) -> None:
    path = settings().notebooks[0] / "pipelines" / "later.yaml"
    path.write_text(LATER.replace(old, new), encoding="latin-1")
    with pytest.raises(NotebookError, match=said):
        load_pipelines()


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("no_such_module:make_summed", "No module named 'no_such_module'"),
        ("tiny_pipeline:make_sumed", "has no attribute 'make_sumed'"),
        ("tiny_pipeline:make_unit", "is a function; expected a function with @step"),
    ],
)
def test_a_step_that_is_none_is_refused_in_words(later: Pipeline, step: str, said: str) -> None:
    with pytest.raises(NotebookError, match=said):
        later.notebooks[0].model_copy(update={"step": step}).load_step()


def test_a_side_table_enters_the_ids_by_its_content(sector: Any, tmp_path: Path) -> None:
    photometry, unit = load_pipelines()["photometry"], Unit(str(sector.folder), sector.cube)
    spans = ",".join(f"first_{name},last_{name}" for name in ("cadenceno", "row", "column"))
    table = f"sector,camera,ccd,{spans},reason\n"
    for name, row in (
        ("a", "1,1,2,4700,4701,,,,,dark"),
        ("copy", "1,1,2,4700,4701,,,,,dark"),
        ("b", "1,1,2,4,5,,,,,"),
    ):
        (tmp_path / f"{name}.csv").write_text(table + row + "\n")
    given = [{}] + [{"excludes": str(tmp_path / f"{name}.csv")} for name in ("a", "copy", "b")]
    runs = [make_plan(photometry, unit, {"quality": one}, last="pointing") for one in given]
    none, mine, copy, other = ([run.id for run in plan] for plan in runs)
    assert mine == copy
    assert not set(none) & set(mine) | set(mine) & set(other)
    made = make_quality(sector.cube, excludes=read_manual_excludes(tmp_path / "a.csv"))
    assert made.attrs["provenance_id"] == mine[0]
    assert sector.quality.attrs["provenance_id"] == none[0]
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        make_plan(photometry, unit, {"quality": {"ephemeris": str(tmp_path / "nowhere.csv")}})
    with pytest.raises(NotebookError, match="quality: ephemeris=3"):
        make_plan(photometry, unit, {"quality": {"ephemeris": 3}})


def test_overrides_are_the_same_input_as_a_list_and_as_any_file(sector: Any, tmp_path: Path) -> None:
    photometry, unit = load_pipelines()["photometry"], Unit(str(sector.folder), sector.cube)
    (tmp_path / "mine.txt").write_text("8 halo  # the bright one\nTIC 7:psf\n")
    (tmp_path / "other.csv").write_text("TIC,method\n7,psf\n8,aperture\n")
    settings = ([], [f"apertures.overrides={tmp_path}/mine.txt"], ["apertures.overrides=['7:psf', '8:halo']"],
                [f"apertures.overrides={tmp_path}/other.csv"])  # fmt: skip
    plans = [
        make_plan(photometry, unit, read_settings(photometry, list(one)), last="psf") for one in settings
    ]
    none, file, given, other = ([run.id for run in plan[4:]] for plan in plans)
    assert file == given
    assert not set(none) & set(file) | set(none) & set(other) | set(file) & set(other)
    assert [run.id for run in plans[0][:4]] == [run.id for run in plans[1][:4]]
    (tmp_path / "mine.txt").write_text("8 halo\n7:pfs\n")
    with pytest.raises(SourceError, match=r"mine\.txt, line 2: '7:pfs'"):
        make_plan(photometry, unit, {"apertures": {"overrides": str(tmp_path / "mine.txt")}})
    with pytest.raises(NotebookError, match="apertures: overrides=3"):
        make_plan(photometry, unit, {"apertures": {"overrides": 3}})
