"""Which workspace and which run config a command means, where the person names neither, one of them, or pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keepset.errors import ConfigError, WorkspaceError
from keepset.machine.programs import spell
from keepset.settings import settings
from keepset.storage import locate
from keepset.storage.localfiles import path_of, shown

__all__ = ["Start", "find_workspace", "is_workspace", "run_configs", "start_from", "workspace_for"]


def is_workspace(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / "keepset.json").is_file()
    return False


def find_workspace(named: Path | None = None) -> Path:
    """The workspace that was named, else KEEPSET_WORKSPACE, else the one around the current folder (as git finds a
    repository), else the only one directly in the current folder. Raises ``WorkspaceError``."""
    if named is not None:
        return named
    if (place := settings().workspace) is not None:
        return locate(place)
    here = Path.cwd()
    if (around := _around(here)) is not None:
        return around
    inside = [p for p in _folders(here) if is_workspace(p)]
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = [p.name for p in inside]
        raise WorkspaceError(
            f"There are several workspaces here: {', '.join(map(shown, names))}.",
            f"Name the one you mean: {spell('-w', names[0])}",
        )
    raise WorkspaceError(f"There is no Keepset workspace in {here} or around it.", _first_steps(here))


def workspace_for(config: Path) -> Path:
    """The workspace of a run config that was named alone: KEEPSET_WORKSPACE, else the one that the config is in, else the
    folder beside it of the same name; ``NAME-workspace`` if that folder holds something else."""
    if (place := settings().workspace) is not None:
        return locate(place)
    if (around := _around(config.absolute().parent)) is not None:
        return around
    beside = config.with_suffix("")
    return beside if _free(beside) else beside.with_name(f"{beside.name}-workspace")


@dataclass(frozen=True)
class Start:
    """What a person starts a run from. ``config``: the run config's file; None: the one that the workspace holds."""

    workspace: Path
    config: Path | None
    text: str | None = None
    """What is to be written into ``config``, which does not exist yet."""
    note: str = ""


def start_from(source: Path, workspace: Path | None) -> Start:
    """``source``: a run config, a workspace, or what ``keepset import`` takes (a folder of pictures, a table).

    Of pictures, the run config is NAME.toml in the current folder: the one that is there, if it reads these pictures.
    Raises ``ConfigError``.
    """
    if is_workspace(source):
        return Start(workspace or source, None)
    if not (source.is_dir() or (source.is_file() and source.suffix.lower() != ".toml")):
        return Start(workspace or workspace_for(source), source)
    from keepset.importing import config_text, find_pictures

    found = find_pictures(source)
    config = Path(f"{shown(found.source.stem)}.toml")
    place = workspace or workspace_for(config)
    if not config.exists():
        return Start(place, config, config_text(found, config))
    return Start(place, config, None, _new_classes(config, found.source, found.classes))


def _new_classes(config: Path, source: Path, classes: list[str]) -> str:
    """A note on classes that the config lacks. Raises ``ConfigError`` for a config about other pictures."""
    from keepset.config import load_config

    known = load_config(config)
    paths = [path_of(p) for c in known.classes for p in (*c.folders, *c.tables)]
    if not any(p == source or p.is_relative_to(source) for p in paths):
        raise ConfigError(
            f"{config} is there already, and it does not read {shown(source)}.",
            f"Write another one: {spell('keepset', 'import', shown(source), f'{config.stem}-2.toml')}",
        )
    missing = [c for c in classes if c not in known.labels]
    return f"{config} lacks classes that are in {shown(source)}: {', '.join(missing)}." if missing else ""


def run_configs(folder: Path) -> list[Path]:
    """The run configs directly in a folder, in name order."""
    return [p for p in sorted(folder.glob("*.toml")) if "[classes" in p.read_text(errors="replace")]


def _first_steps(here: Path) -> str:
    if configs := run_configs(here):
        return f"Start one: {spell('keepset', 'run', configs[0].name)}"
    return (
        'Start one: keepset new bears "black bear" "grizzly bear" "teddy bear"   '
        "(or keepset run, with a folder that has one folder of pictures per class)"
    )


def _around(folder: Path) -> Path | None:
    return next((p for p in (folder, *folder.parents) if is_workspace(p)), None)


def _folders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(p for p in folder.iterdir() if p.is_dir())


def _free(folder: Path) -> bool:
    """Whether a workspace is, or may be made, there."""
    if not folder.exists() or is_workspace(folder):
        return True
    return folder.is_dir() and not any(folder.iterdir())
