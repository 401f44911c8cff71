"""The table of stages. A new stage is one entry here and its package.

The command line, the pipeline, the Prefect flows and their tasks, and the table in docs/architecture.md are made from
``STAGES``. Which stage begins a manifest is said by the manifest itself (``ManifestSchema.stage``).

A stage's code is imported from the place that its entry names, when the stage runs: ``keepset --help`` reads this table and
must not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol

from keepset.errors import KeepsetError, SourceError
from keepset.stages import Progress, Shard, Stage, StageResult

if TYPE_CHECKING:
    from keepset.config import RunConfig
    from keepset.workspace import Workspace

__all__ = ["STAGES", "Sharded", "StageChain", "StageFunction", "StageOption", "StageSpec", "find", "stages_of"]


class StageChain(StrEnum):
    """The part of a full run that a stage belongs to; within it, stages run in the order of the table."""

    BUILD = "build"
    LEARN = "learn"
    ON_DECISION = "on decision"  # a person's approval of a batch
    ON_DEMAND = "on demand"


class StageFunction(Protocol):
    """A stage: reads its parents' manifests and writes its own, or finds that nothing is to be done."""

    def __call__(self, ws: Workspace, config: Any, *args: Any, **options: Any) -> StageResult:
        """``config``: the run config; None for a stage whose row has no ``config``."""
        raise NotImplementedError


class Sharded(Protocol):
    """A module whose stage can also run in shards, on several machines at once."""

    def is_current(self, ws: Workspace, config: RunConfig) -> bool:
        """Whether the stage has nothing to do."""

    def plan(self, ws: Workspace, config: RunConfig, *args: Any, **options: Any) -> list[Shard]:
        """The shards with something to do, for as many lanes as the first of ``args`` says."""
        raise NotImplementedError

    def run_shard(self, ws: Workspace, config: RunConfig, *args: Any, **options: Any) -> Mapping[str, Any]:
        """Do one shard (``shard, progress``), into the stage's journal."""
        raise NotImplementedError

    def merge(self, ws: Workspace, config: RunConfig, progress: Progress) -> StageResult:
        """Put what all shards found together into the manifest."""
        raise NotImplementedError


@dataclass(frozen=True)
class StageOption:
    """A keyword of a stage function that the stage's command offers. ``kind``: bool, or None for yes, no or unset."""

    name: str
    flag: str
    kind: Any
    default: Any
    help: str


@dataclass(frozen=True)
class StageSpec:
    """One row of the table.

    ``retries``: seconds before each further try under Prefect, of any trouble or only of ``retry_on``. ``hours``: time-out
    under Prefect; None where each item has its own. ``takes``: outputs of earlier stages that it is given by name.
    """

    name: str
    help: str
    load: Callable[[], StageFunction]
    chain: StageChain
    opening: str
    """What the progress bar says until the stage names its own work."""
    reads: tuple[str, ...] = ()
    config: tuple[str, ...] | None = ()
    """The parts of the run config that are its own; None: it needs no run config."""
    leaves: str = ""
    """What it leaves in the workspace besides manifests."""
    gate: str = ""
    """The manifest that is checked after it (``keepset.gates``)."""
    takes: tuple[str, ...] = ()
    shards: Callable[[], Sharded] | None = None
    options: tuple[StageOption, ...] = ()
    command: bool = False
    """Whether its command is made from this row."""
    then: tuple[str, ...] = ()
    """Stages that its command runs after it."""
    retries: tuple[float, ...] = ()
    retry_on: type[KeepsetError] | None = None
    hours: float | None = 1

    @property
    def writes(self) -> tuple[str, ...]:
        """The manifests that it begins."""
        from keepset.manifests.schemas import SCHEMAS

        return tuple(name for name, schema in SCHEMAS.items() if schema.stage == self.name)


def _at(place: str) -> Callable[[], Any]:
    """What is at ``module:name``, or the module, imported when it is asked for."""
    return partial(resolve_name, place)


# -- the table -------------------------------------------------------------------------------------

STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        Stage.SCRAPE,
        "Collect image URLs from the config's sources into urls.parquet. Adds only new ones.",
        _at("keepset.scrape:scrape"), StageChain.BUILD, "reading the sources", config=("classes", "scrape"), gate="urls",
        command=True, retries=(10, 60), retry_on=SourceError,  # a source that does not answer may answer later
    ),
    StageSpec(
        Stage.DOWNLOAD,
        "Fetch the URLs: concurrent, polite, resumable; each failure is a row with its reason.",
        _at("keepset.download:download"), StageChain.BUILD, "planning the downloads", reads=("urls",),
        config=("download",), leaves="blobs/", gate="downloads", shards=_at("keepset.download"), command=True,
        retries=(10,), hours=None,
        options=(StageOption("retry_failed", "--retry-failed", bool, False, "Retry failed URLs only."),),
    ),
    StageSpec(
        Stage.VALIDATE,
        "Decode every image in guarded processes, measure it, make its thumbnail, find duplicates.",
        _at("keepset.validate.stage:validate"), StageChain.BUILD, "planning the validation", reads=("downloads",),
        config=("validate",), leaves="thumbs/", gate="images", shards=_at("keepset.validate.stage"), command=True,
        retries=(10,), hours=None,
    ),
    StageSpec(
        Stage.SPLIT,
        "Assign train and validation by seed; copies and pictures of one page or creator stay on one side; images keep theirs.",
        _at("keepset.split:split"), StageChain.BUILD, "splitting", reads=("images",), config=("split",), gate="dataset",
        command=True,
    ),
    StageSpec(
        Stage.TRAIN,
        "Train on the current revision: linear head, then fine-tuning where it is likely to help.\n\n"
        "Then exports the model for serving and puts it in use if it is not worse than the one before. A training that "
        "was killed continues where it stopped.",
        _at("keepset.train:train"), StageChain.LEARN, "loading torch", reads=("dataset", "images"), config=("train",),
        leaves="models/", command=True, then=(Stage.EXPORT, Stage.PROMOTE), hours=24,
    ),
    StageSpec(  # right after the training: a person can begin while the model is exported, compared and reported on
        Stage.REVIEW, "Open a cleaning batch, if any image needs review.", _at("keepset.review:review"), StageChain.LEARN,
        "looking for images to review", reads=("dataset", "images", "predictions"), config=("review",), leaves="batches/",
    ),
    StageSpec(
        Stage.EXPORT, "Write the model as ONNX, so that predicting needs no torch.",
        _at("keepset.export.onnx:export_for_serving"), StageChain.LEARN, "exporting the model", reads=("dataset",), leaves="models/", takes=("model_id",),
    ),
    StageSpec(
        Stage.PROMOTE, "Put the model in use, unless it is worse than the one before by more than chance explains.",
        _at("keepset.models.promote:compare_and_promote"), StageChain.LEARN, "comparing with the model in use",
        reads=("dataset", "predictions"), leaves="models/", takes=("model_id",),
    ),
    StageSpec(
        Stage.INTERPRET,
        "Write the report: how good the model is, where it fails and why, what cleaning bought, what to do next.\n\n"
        "It goes to reports/<model id>/report.html (one file, no script) and report.json in the workspace.",
        _at("keepset.interpret:interpret"), StageChain.LEARN, "writing the report", reads=("dataset", "images", "predictions"),
        leaves="reports/", takes=("model_id",), command=True,
        options=(
            StageOption("model_id", "--model", str | None, None, "Id of a model. Default: the newest."),
        ),
    ),
    StageSpec(
        Stage.CLEAN, "Apply approved batches: a new revision of the data set.", _at("keepset.clean:clean"),
        StageChain.ON_DECISION, "applying the decisions", reads=("dataset", "candidates"), leaves="datasets/", retries=(5, 5),
    ),
    StageSpec(
        Stage.PREDICT, "Predict many pictures into one Parquet file.", _at("keepset.predict.batch:predict"),
        StageChain.ON_DEMAND, "predicting", config=None, leaves="predictions/", retries=(10,), hours=None,
    ),
)  # fmt: skip


def find(name: str) -> StageSpec:
    """The row of the stage ``name``. Raises ``KeyError``."""
    return {spec.name: spec for spec in STAGES}[name]


def stages_of(chain: StageChain, *, without: Iterable[str] = ()) -> list[StageSpec]:
    """The stages of a chain, in order."""
    return [spec for spec in STAGES if spec.chain == chain and spec.name not in set(without)]
