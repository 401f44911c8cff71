"""The workspace that a run starts from: of a run config, of a workspace, or of pictures, which are imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from keepset.config import RunConfig, load_config
from keepset.errors import ConfigError
from keepset.files import write_bytes
from keepset.finding import is_workspace, workspace_for
from keepset.importing import config_text, find_pictures
from keepset.machine.programs import spell
from keepset.storage.localfiles import path_of, shown
from keepset.workspace import Workspace

__all__ = ["start", "unread_config"]


def start(source: Path, workspace: Path | None, say: Callable[[str], None]) -> Workspace:
    """``source``: a run config, a workspace, or what ``keepset import`` takes (a folder of pictures, a table).

    A run config becomes the one in force, in ``workspace`` or the one that is named after it. ``say`` is called with what
    was made. Raises ``ConfigError`` or ``WorkspaceError``.
    """
    if is_workspace(source):
        return Workspace.open(workspace or source)
    pictures = source.is_dir() or (source.is_file() and source.suffix.lower() != ".toml")
    path = _imported(source, say) if pictures else source
    config, root = load_config(path), workspace or workspace_for(path)
    is_new = not (root / "keepset.json").exists()
    ws = Workspace.create(root, config.name)
    ws.check_writable()
    if not is_new:
        _check_shares_a_class(ws, config, path)
    ws.save_config(config, path)
    if is_new:
        say(f"New workspace: {ws.root}")
    return ws


def _check_shares_a_class(ws: Workspace, config: RunConfig, path: Path) -> None:
    """A config of quite other classes was meant for another workspace. Raises ``ConfigError``."""
    try:
        known = ws.config().labels
    except ConfigError:  # none yet, or one that this replaces
        return
    if not set(known) & set(config.labels):
        raise ConfigError(
            f"The workspace {ws.root} holds {', '.join(known[:5])}; {path} names none of these classes.",
            f"Use a workspace of its own: {spell('keepset', 'run', path, '-w', ws.root.with_name(path.stem))}",
        )


def unread_config(ws: Workspace) -> Path | None:
    """The run config's file, if it differs from the one in force: somebody has edited it since it was given."""
    file = ws.config_file()
    if not file.is_file():
        return None
    try:
        same = load_config(file).as_dict() == ws.config().as_dict()
    except ConfigError:  # whoever gives it is told what is wrong with it
        same = False
    return None if same else file


def _imported(source: Path, say: Callable[[str], None]) -> Path:
    """The run config of pictures: NAME.toml in the current folder, written unless one that reads them is there."""
    found = find_pictures(source)
    config = Path(f"{shown(found.source.stem)}.toml")
    if config.exists():
        _check_reads(config, found.source, found.classes, say)
        return config
    write_bytes(config, config_text(found, config).encode(), exclusive=True)
    for line in (*found.notes, f"Wrote {config} for the pictures in {shown(source)}."):
        say(line)
    return config


def _check_reads(config: Path, source: Path, classes: Sequence[str], say: Callable[[str], None]) -> None:
    known = load_config(config)
    paths = [path_of(p) for c in known.classes for p in (*c.folders, *c.tables)]
    if not any(p == source or p.is_relative_to(source) for p in paths):
        raise ConfigError(
            f"{config} already exists and does not use {shown(source)}.",
            f"Write another config: {spell('keepset', 'import', shown(source), f'{config.stem}-2.toml')}",
        )
    if missing := [c for c in classes if c not in known.labels]:
        say(f"{config} does not have these classes of {shown(source)}: {', '.join(missing)}.")
