"""The table of stages: a stage that is added to it runs by command, in the pipeline and in a flow, and is documented."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from keepset import manifests, pipeline
from keepset.cli import stages as commands
from keepset.config import RunConfig, load_config
from keepset.demo.draw import CLASSES, draw
from keepset.errors import KeepsetError
from keepset.files import write_json
from keepset.manifests.schemas import SCHEMAS
from keepset.pipeline import registry
from keepset.pipeline.engine import Engine
from keepset.pipeline.registry import STAGES, StageChain, StageFunction, StageOption, StageSpec, find
from keepset.stages import Progress, Stage, StageResult
from keepset.workspace import Workspace
from tests.factories import jpeg
from tests.stack_fixtures import Running


def census(ws: Workspace, config: RunConfig, *, progress: Progress, only: str | None = None) -> StageResult:
    """A stage: counts the validated images of each class."""
    rows = manifests.each(ws.images, "images", ("label",))
    counts = Counter(r["label"] for r in rows if only in (None, r["label"]))
    path = ws.root / "census.json"
    changed = not path.exists() or json.loads(path.read_text()) != counts
    write_json(path, counts)
    return StageResult("census", changed, f"{counts.total()} images", counts, {"census": path.name})


def _load() -> StageFunction:
    return census


CENSUS = StageSpec(
    "census", "Count the images of each class.", _load, StageChain.BUILD, "counting", reads=("images",), command=True,
    options=(StageOption("only", "--only", str | None, None, "Count this class only."),),
)  # fmt: skip


def with_census() -> tuple[StageSpec, ...]:
    """The table with the entry, between validation and split."""
    at = 1 + [s.name for s in STAGES].index(Stage.VALIDATE)
    return (*STAGES[:at], CENSUS, *STAGES[at:])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A run config of three folders with five pictures each."""
    for label in CLASSES:
        (tmp_path / label).mkdir()
        for i in range(5):
            (tmp_path / label / f"{i}.jpg").write_bytes(jpeg(draw(label, i, width=120, height=90)))
    classes = "".join(f'[classes.{label}]\nfolders = ["{label}"]\n' for label in CLASSES)
    gates = "[gates]\nmin_images_per_class = 2\nmax_duplicates = 1.0\n"
    (tmp_path / "run.toml").write_text(f'name = "drawn"\n{classes}{gates}[train]\narch = "lite0"\n')
    return tmp_path / "run.toml"


def _counted(ws: Workspace) -> Any:
    return json.loads((ws.root / "census.json").read_text())


def test_an_added_stage_runs_in_the_pipeline_and_by_command(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (registry, commands):
        monkeypatch.setattr(module, "STAGES", with_census())
    config = load_config(pictures)
    ws = Workspace.create(tmp_path / "ws", config.name)
    ws.save_config(config)
    done = [r.stage for r in pipeline.build(ws, config, engine=Engine())]
    assert done == ["scrape", "download", "validate", "census", "split"]
    assert _counted(ws) == dict.fromkeys(CLASSES, 5)

    app = typer.Typer()
    commands.register_stages(app)
    helped = CliRunner().invoke(app, ["census", "--help"]).output
    assert "Count the images of each class." in helped
    assert "Count this class only." in helped
    asked = ["census", "-w", str(ws.root), "--only", CLASSES[0], "--json"]
    answer = json.loads(CliRunner().invoke(app, asked).output)
    assert answer["results"][0]["summary"] == {CLASSES[0]: 5} == _counted(ws)


_FLOW = """
import sys
from keepset.pipeline import registry
from tests.test_registry import with_census
registry.STAGES = with_census()
from flows.build_dataset import build_dataset
assert build_dataset(sys.argv[1], config=sys.argv[2])["stage"] == "split"
"""


@pytest.mark.prefect
def test_an_added_stage_runs_as_a_task_of_the_flows(stack: Running, tmp_path: Path, pictures: Path) -> None:
    stack.python(_FLOW, str(tmp_path / "ws"), str(pictures))
    found = stack.post("/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 50}).json()
    (mine,) = [r["id"] for r in found if r["parameters"].get("workspace") == str(tmp_path / "ws")]
    asked = {"task_runs": {"flow_run_id": {"any_": [mine]}}, "limit": 200}
    runs = sorted(stack.post("/task_runs/filter", asked).json(), key=lambda r: r["start_time"])
    assert [r["name"] for r in runs] == [
        "scrape", "gate urls", "download", "gate downloads", "validate", "gate images", "census", "split", "gate dataset",
    ]  # fmt: skip
    assert _counted(Workspace.open(tmp_path / "ws")) == dict.fromkeys(CLASSES, 5)


def test_each_stage_reads_what_a_stage_before_it_begins() -> None:
    made: set[str] = set()
    for spec in STAGES:
        assert set(spec.reads) <= made, spec.name
        assert not spec.gate or spec.gate in spec.writes, spec.name
        made |= set(spec.writes)
    assert made == SCHEMAS.keys()


def test_the_code_of_each_stage_is_where_its_row_says() -> None:
    for spec in STAGES:
        assert callable(spec.load()), spec.name
        if spec.shards is not None:
            shards = spec.shards()
            assert all(callable(getattr(shards, f)) for f in ("is_current", "plan", "run_shard", "merge")), spec.name


def test_each_part_of_the_config_belongs_to_stages_that_have_it() -> None:
    sections = {f.alias or name for name, f in RunConfig.model_fields.items()}
    assert {s for spec in STAGES for s in spec.config or ()} <= sections


def test_a_missing_manifest_names_the_stage_that_writes_it(tmp_path: Path) -> None:
    for name, schema in SCHEMAS.items():
        with pytest.raises(KeepsetError) as caught:
            manifests.read(tmp_path / f"{name}.parquet", name)
        assert f"`keepset {schema.stage}`" in caught.value.remedy
    with pytest.raises(KeepsetError) as caught:
        manifests.read(Workspace(tmp_path, "id", "x").dataset(3), "dataset")
    assert "`keepset split`" in caught.value.remedy


def test_the_retries_of_a_source_are_for_sources_only() -> None:
    """Under Prefect a wrong config is not tried again, a source that is away is."""
    from prefect.states import Failed

    from keepset.errors import ConfigError, SourceError
    from tasks.stage import _retry_on

    asks = _retry_on(find(Stage.SCRAPE))
    assert asks(None, None, Failed(data=SourceError("away")))
    assert not asks(None, None, Failed(data=ConfigError("wrong")))
    assert _retry_on(replace(CENSUS, retries=(1,))) is None
