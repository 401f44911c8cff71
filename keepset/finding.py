"""Which workspace is meant, where a person names none, or only a run config."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from keepset.errors import WorkspaceError
from keepset.machine.programs import spell
from keepset.settings import settings
from keepset.storage import locate
from keepset.storage.localfiles import shown

__all__ = ["find_workspace", "is_workspace", "workspace_for"]


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


def _run_configs(folder: Path) -> list[Path]:
    """The run configs directly in a folder, in name order."""
    return [p for p in sorted(folder.glob("*.toml")) if "[classes" in p.read_text(errors="replace")]


def _first_steps(here: Path) -> str:
    if configs := _run_configs(here):
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
