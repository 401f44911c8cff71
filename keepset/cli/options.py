"""Options that many commands share, declared once."""

from __future__ import annotations

import contextlib
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
    "WhoOption",
    "WorkspaceOption",
    "engine_or_default",
    "open_workspace",
    "who_or_default",
    "workspace_or_default",
]

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        parser=locate,
        metavar="DIR",
        help="Folder, or s3://BUCKET/PREFIX, that holds everything about one data set. "
        "Default: KEEPSET_WORKSPACE, else the workspace around the current folder, else data/workspace.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, for scripts.")]
ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        help="Run config (TOML). Left out: the one the workspace already has.", show_default=False
    ),
]
EngineOption = Annotated[
    EngineKind | None,
    typer.Option(
        "--engine",
        help="Where shards run: local (in this process, the default) or dask (several at once). See `keepset docs scale`.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        help="Dask scheduler, e.g. tcp://scheduler:8786. Left out: workers are started on this machine.",
        show_default=False,
    ),
]
NoteOption = Annotated[str, typer.Option("--note", help="Why; goes into the audit log.")]
WhoOption = Annotated[
    str,
    typer.Option("--who", help="Your name for the audit log. Default: KEEPSET_REVIEWER, or the login name."),
]


def workspace_or_default(folder: Path | None) -> Path:
    """The place that was named, else KEEPSET_WORKSPACE, else the workspace around the current folder (as git finds a
    repository), else data/workspace. Raises ``WorkspaceError`` for a place that cannot be one."""
    from keepset.settings import settings

    if folder is not None:
        return folder
    around = None if "workspace" in settings().model_fields_set else _around(Path.cwd())
    return around or locate(settings().workspace)


def _around(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            if (place / "keepset.json").is_file():
                return place
    return None


def open_workspace(folder: Path | None, config_file: Path | None = None) -> tuple[Workspace, RunConfig]:
    """The workspace and the run config in force; a given config file is checked, then becomes that one."""
    from keepset.config import load_config
    from keepset.workspace import Workspace

    root = workspace_or_default(folder)
    if config_file is None:
        ws = Workspace.open(root)
        return ws, ws.config()
    config = load_config(config_file)
    ws = Workspace.create(root, config.name)
    ws.check_writable()
    ws.save_config(config)
    return ws, config


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
    from keepset.errors import ReviewError
    from keepset.settings import settings

    name = who.strip() or settings().reviewer.strip()
    if not name:
        raise ReviewError("The audit log needs a name.", "Give one with --who, or set KEEPSET_REVIEWER.")
    return name
