"""Where an export goes: built beside its place, put there whole, and never over what is not its own.

A folder that was exported holds ``keepset-export.json``: what is in it, and a digest of its file names and sizes. A
folder without that file, or one whose files have changed, is somebody's work and is left alone; so is an export of another
data set or in another format.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keepset.errors import WorkspaceBusy, WorkspaceError
from keepset.files import read_json, refusals, write_json
from keepset.settings import settings
from keepset.workspace import Workspace

__all__ = ["MARKER", "apart", "check_ours", "finish", "place", "remember", "standing"]

MARKER = "keepset-export.json"
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", MARKER}


def apart(ws: Workspace, to: Path) -> Path:
    """``to`` in full. Raises ``WorkspaceError`` if it holds the workspace itself, or is in another one."""
    to = to.expanduser().resolve()
    other = next((p for p in (to, *to.parents) if p != ws.root and (p / "keepset.json").is_file()), None)
    if other is not None:
        raise WorkspaceError(f"{to} is in the workspace {other}.", "Give a folder outside of it with --to.")
    if to == ws.root or to in ws.root.parents:
        raise WorkspaceError(f"{to} holds the workspace itself.", "Give another folder with --to.")
    return to


def remember(ws: Workspace, form: str, to: Path, **facts: Any) -> None:
    """Note in the audit log what left the workspace, so that a takedown can name it; who may only read exports all the same.

    ``facts``: ``revision`` and ``splits`` of a data set, or ``model``.
    """
    with contextlib.suppress(WorkspaceError):
        ws.audit("export", who=settings().reviewer, what={"format": form, "to": str(to), **facts})


def standing(to: Path, fingerprint: str) -> dict[str, Any] | None:
    """What the export at ``to`` says of itself, if it is this very one and nobody touched it."""
    found = _marker(to)
    ours = found is not None and found.get("fingerprint") == fingerprint and found["files"] == _census(to)
    return found if ours else None


def check_ours(to: Path, facts: Mapping[str, Any]) -> None:
    """Raise ``WorkspaceError`` unless the export that ``facts`` describe may be put at ``to``: a folder that is new, empty,
    or an earlier export of the same data set in the same format, which nobody has changed."""
    if not to.exists():
        return
    if not to.is_dir():
        raise WorkspaceError(f"{to} is a file.", "Give a folder with --to.")
    if to.is_mount():
        raise WorkspaceError(f"{to} is the root of a disk.", "Give a folder inside it with --to.")
    found = _marker(to)
    if found is None:
        if any(p.name not in _LITTER for p in to.iterdir()):
            raise WorkspaceError(
                f"{to} is not empty and is not a Keepset export.", "Give an empty or a new folder with --to."
            )
    elif found["files"] != _census(to):
        raise WorkspaceError(
            f"Files in {to} were added, removed or changed since it was exported; they are left alone.",
            "Give another folder with --to, or delete that one if nothing in it is needed.",
        )
    elif any(found.get(k) != facts[k] for k in ("format", "workspace")):
        raise WorkspaceError(
            f"{to} holds another export: {found.get('format')} of the data set '{found.get('name')}'.",
            "Give another folder with --to, or delete that one if nothing in it is needed.",
        )


@contextlib.contextmanager
def place(to: Path, facts: Mapping[str, Any]) -> Iterator[Path]:
    """Yield an empty folder beside ``to``; when the block ends well it takes the place of ``to`` in one rename.

    ``facts`` name at least ``format`` and ``workspace``. The block must call ``finish``. A kill leaves a hidden folder that the next export clears away. Raises
    ``WorkspaceError``, or ``WorkspaceBusy`` if another export to the same place is at work.
    """
    check_ours(to, facts)
    part, old = (to.with_name(f".{to.name}.keepset-{what}") for what in ("part", "old"))
    with refusals(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part, to):
            if old.exists() and not to.exists():  # killed between the two renames below
                old.rename(to)
            try:
                yield part
                if not (part / MARKER).exists():
                    raise RuntimeError("the export was not finished")
                os.sync()
                _swap(part, to, old, facts)
            finally:
                _remove(part)


def _swap(part: Path, to: Path, old: Path, facts: Mapping[str, Any]) -> None:
    check_ours(to, facts)  # somebody may have worked there meanwhile
    _remove(old)
    if to.exists():
        to.rename(old)
    part.rename(to)
    _remove(old)


def finish(part: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the marker, last of all, and return what it says."""
    told = facts | {"files": _census(part)}
    write_json(part / MARKER, told)
    return told


@contextlib.contextmanager
def _alone(part: Path, to: Path) -> Iterator[None]:
    """Make ``part``, empty and locked. The kernel frees the lock when the process dies."""
    while True:
        part.mkdir(exist_ok=True)
        folder = os.open(part, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_same(folder, part):  # it became an export a moment ago
                continue
            for left in part.iterdir():
                _remove(left)
            yield
            return
        except BlockingIOError as e:
            raise WorkspaceBusy(f"Another export to {to} is at work.", "Wait for it to end.") from e
        finally:
            os.close(folder)


def _is_same(folder: int, path: Path) -> bool:
    return path.exists() and path.stat().st_ino == os.fstat(folder).st_ino


def _marker(to: Path) -> dict[str, Any] | None:
    try:
        found = read_json(to / MARKER)
        return found if isinstance(found, dict) and {"fingerprint", "files"} <= found.keys() else None
    except (OSError, ValueError):
        return None


def _census(folder: Path) -> dict[str, Any]:
    """Number of files, bytes, and a digest of names and sizes that does not depend on their order."""
    count = total = mixed = 0
    for path, size in _walk(folder):
        line = f"{os.path.relpath(path, folder)}\n{size}".encode("utf-8", "surrogateescape")
        mixed ^= int.from_bytes(hashlib.sha256(line).digest()[:16], "big")
        count, total = count + 1, total + size
    return {"count": count, "bytes": total, "digest": f"{mixed:032x}"}


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for e in entries:
                if e.is_dir(follow_symlinks=False):
                    waiting.append(e.path)
                elif e.name not in _LITTER:
                    yield e.path, e.stat(follow_symlinks=False).st_size


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
