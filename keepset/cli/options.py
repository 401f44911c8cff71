"""Options that many commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepset.stages import EngineKind
from keepset.storage import locate

if TYPE_CHECKING:
    from keepset.config import RunConfig
    from keepset.pipeline.engine import Engine
    from keepset.workspace import Workspace

__all__ = [
    "AddressOption",
    "ConfigArgument",
    "EngineOption",
    "JsonOption",
    "NoteOption",
    "Panel",
    "WhoOption",
    "WorkspaceOption",
    "engine_or_default",
    "open_workspace",
    "who_or_default",
]


class Panel(StrEnum):
    """The panels of `keepset --help`, in their order."""

    START = "Start here"
    DATA = "The data set"
    SERVICE = "As a service, and when something is wrong"
    STAGES = "The stages of a run, one by one (`keepset run` runs them all)"


WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        parser=locate,
        metavar="DIR",
        help="Folder, or s3://BUCKET/PREFIX, that holds everything about one data set. "
        "Default: KEEPSET_WORKSPACE, else the one around or in the current folder; of a new config, the folder beside it of "
        "the same name.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, for scripts.")]
ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        help="Run config (TOML), or pictures: a folder with one folder per class, or a table. Default: the workspace's "
        "current config.",
        show_default=False,
    ),
]
EngineOption = Annotated[
    EngineKind | None,
    typer.Option(
        "--engine",
        help="Where shards run: local (in this process, the default) or dask (several at once). See `keepset docs scale`.",
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address", help="Dask scheduler, e.g. tcp://scheduler:8786. Default: start workers here.", show_default=False
    ),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why; goes into the audit log.")]
WhoOption = Annotated[
    str, typer.Option("--who", help="Your name for the audit log. Default: KEEPSET_REVIEWER, or the login name.")
]


def open_workspace(folder: Path | None, source: Path | None = None) -> tuple[Workspace, RunConfig]:
    """The workspace and the run config in force. A config file that is given is checked, then becomes that one; pictures
    that are given are imported first."""
    from keepset.cli.output import say
    from keepset.finding import find_workspace
    from keepset.starting import start
    from keepset.workspace import Workspace

    ws = Workspace.open(find_workspace(folder)) if source is None else start(source, folder, say)
    return ws, ws.config()


def engine_or_default(kind: EngineKind | None, address: str) -> Engine:
    """What was asked for; what was left out is as the machine's settings say. Raises ``ConfigError``."""
    from keepset.errors import ConfigError
    from keepset.pipeline.engine import Engine

    mine = Engine.of_this_machine()
    if address and EngineKind.DASK not in (kind, mine.kind):
        raise ConfigError("--address is of a Dask scheduler.", "Give --engine dask with it.")
    if kind is None or kind == mine.kind:
        return mine.model_copy(update={"address": address}) if address else mine
    return Engine(kind=kind, address=address)


def who_or_default(who: str) -> str:
    from keepset.settings import settings

    return who.strip() or settings().reviewer
