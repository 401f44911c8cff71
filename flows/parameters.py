"""What the forms in Prefect's UI ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from prefect.input import RunInput
from pydantic import BaseModel, ConfigDict, Field

from keepset.config import RunConfig, load_config, parse_config
from keepset.errors import ConfigError
from keepset.workspace import Workspace

__all__ = ["ClassForm", "DatasetForm", "Decision", "begin"]


_SEARCHES = ("openverse", "wikimedia", "inaturalist", "gbif")


class ClassForm(BaseModel):
    """One class and where its pictures come from."""

    name: str = Field(min_length=1, title="Class", description="As predictions will show it.")
    urls: str = Field("", title="Picture URLs", description="URLs of pictures, one per line.")
    openverse: str = Field("", title="Openverse search", description="Pictures with open licences.")
    wikimedia: str = Field("", title="Wikimedia Commons search", description="Pictures with open licences.")
    inaturalist: str = Field("", title="iNaturalist species", description="Scientific or common name.")
    gbif: str = Field("", title="GBIF species", description="Scientific name.")
    pages: list[str] = Field([], title="Web pages", description="Pages whose pictures are taken.")
    lists: list[str] = Field(
        [], title="URL lists", description="Files on the worker's disk: one URL per line, or CSV or Parquet."
    )
    folders: list[str] = Field([], title="Folders", description="Folders of pictures on the worker's disk.")

    def as_config(self) -> dict[str, Any]:
        search = {k: v for k in _SEARCHES if (v := getattr(self, k).strip())}
        urls = [url for line in self.urls.splitlines() if (url := line.strip())]
        plain = {"name": self.name, "lists": self.lists, "folders": self.folders, "pages": self.pages}
        return plain | {"urls": urls, "search": search}


class DatasetForm(BaseModel):
    """No file needs to be edited. Give "workspace" above a folder that is not there yet."""

    model_config = ConfigDict(title="New data set")

    name: str = Field(min_length=1, title="Name of the data set")
    classes: list[ClassForm] = Field(min_length=2, description="At least two.")
    max_per_class: int = Field(
        1000, ge=1, title="Maximum URLs per class", description="Collected from all sources together."
    )
    seed: int = Field(42, ge=0, description="Same seed, same split, same model.")
    valid: float = Field(
        0.2, gt=0, lt=1, title="Validation share", description="Of all pictures, set apart for measuring."
    )
    epochs: int = Field(-1, ge=-1, description="Fine-tuning epochs. -1: only where it is likely to help. 0: never.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where training runs; auto takes the best there is."
    )

    def as_config(self) -> RunConfig:
        raw = {
            "name": self.name, "seed": self.seed, "classes": [c.as_config() for c in self.classes],
            "scrape": {"max_per_class": self.max_per_class}, "split": {"valid": self.valid},
            "train": {"device": self.device} | ({} if self.epochs < 0 else {"epochs": self.epochs}),
        }  # fmt: skip
        return parse_config(raw, base=Path.cwd(), where="the form")


class Decision(RunInput):
    """Approve, reject or send back a cleaning batch. Better done in the gallery, where the pictures are."""

    decision: Literal["approve", "reject", "send_back"] = Field(
        "reject", description="Approving makes a new revision and retrains. Rejecting changes nothing."
    )
    reviewer: str = Field(min_length=1, description="Your name, for the audit log.")
    note: str = Field("", description="Why.")
    undecided: Literal["keep", "suggested"] = Field(
        "keep", description="Images nobody marked in the gallery: keep them as they are, or do what is suggested."
    )
    keep: list[str] = Field([], description="Images to keep in any case, by their ids above.")
    confirm: bool = Field(False, description="Tick to allow a large deletion.")


def begin(workspace: str, config: str | None, dataset: DatasetForm | None) -> Workspace:
    """Open the workspace, or make it from a config file or from the form. Raises ``ConfigError``."""
    if config and dataset:
        raise ConfigError("Both a config file and a new data set were given.", "Give one of them.")
    root = Path(workspace)
    if not config and not dataset:
        ws = Workspace.open(root)
        ws.config()
        return ws
    facts = load_config(Path(config)) if config else dataset.as_config()  # type: ignore[union-attr]
    ws = Workspace.create(root, facts.name)
    ws.check_writable()
    ws.save_config(facts, Path(config) if config else None)
    return ws
