"""Writing files so that a kill at any moment leaves the old content or the new, never half of one.

On an object store (``keepset.storage``) a file is written locally and goes up whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from keepset.errors import DamagedFile, WorkspaceNotWritable
from keepset.storage import StoredPath
from keepset.storage.copies import uploading

__all__ = [
    "TOO_MANY_FILES", "append_line", "atomic_path", "local", "move_in", "parsed_row", "read_json", "read_lines", "read_rows",
    "refusals", "write_bytes", "write_json", "write_secret",
]  # fmt: skip

TOO_MANY_FILES = (
    "This process may open no more files: raise its limit (`ulimit -n 4096`), then run the same command again."
)


@contextlib.contextmanager
def atomic_path(path: Path, *, exclusive: bool = False, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success sync it and rename it into place.

    With ``exclusive``, raise ``FileExistsError`` if ``path`` is there already (decided by the file system,
    so that of several processes exactly one wins). Raises ``WorkspaceNotWritable`` if the disk refuses. Without ``sync``
    it is faster, and only a power cut may leave it short: for what can be made again, by who looks at its size.
    """
    if isinstance(path, StoredPath):
        with uploading(path, exclusive=exclusive) as part:
            yield part
        return
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        _make_folder(path.parent)
        yield part
        if sync:
            _sync(part)
        if exclusive:
            os.link(part, path)
        else:
            part.replace(path)
        if sync:
            _sync(path.parent)
    except FileExistsError:
        raise
    except OSError as e:
        if (found := _refused(path, e)) is None:
            raise
        raise found from e
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as e:  # which callers take for "another was first"
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from e


def write_bytes(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    with atomic_path(path, exclusive=exclusive) as part:
        part.write_bytes(data)


def write_json(path: Path, document: Any, *, exclusive: bool = False) -> None:
    write_bytes(path, json.dumps(document, indent=2, sort_keys=True, default=str).encode() + b"\n", exclusive=exclusive)


def write_secret(path: Path, text: str) -> None:
    """Write a file that nobody but its owner can read at any moment; what is there already stays."""
    if path.exists():
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with contextlib.suppress(FileExistsError), atomic_path(path, exclusive=True) as part:
        os.close(os.open(part, flags, 0o600))
        part.write_text(text, encoding="utf-8")


def move_in(part: Path, path: Path) -> None:
    """Make the finished local file ``part`` be ``path``, whatever was there. Not synced.

    Raises ``WorkspaceNotWritable`` if the disk refuses.
    """
    if isinstance(path, StoredPath):
        with atomic_path(path) as fresh:
            part.replace(fresh)
        return
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)


def local(path: Path) -> Path:
    """``path`` itself, or a local copy of what is there on an object store. Raises ``FileNotFoundError``."""
    return Path(os.fspath(path)) if isinstance(path, StoredPath) else path


def read_json(path: Path) -> Any:
    """Raises ``FileNotFoundError``, and ``DamagedFile`` for what is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise DamagedFile(f"{path} is damaged: {e}.", "Restore it from a backup.") from e


def append_line(path: Path, line: str) -> None:
    """Append one line, whole or not at all, and sync it. Writers take turns; a line that a power cut tore stays alone."""
    if "\n" in line:
        raise ValueError("a log line holds no newline")
    if isinstance(path, StoredPath):
        from keepset.storage import lines

        lines.append(path, line)
        return
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _append(file, line.encode() + b"\n")


def _append(file: FileIO, line: bytes) -> None:
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        line = line if file.read(1) == b"\n" else b"\n" + line
    try:
        written = 0
        while written < len(line):  # a full disk takes a part first, and refuses the next
            written += file.write(line[written:]) or 0
        os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(end)
        raise


def read_lines(path: Path) -> list[str]:
    """The lines that were appended, in their order; none if there is no such log."""
    if isinstance(path, StoredPath):
        from keepset.storage import lines

        return lines.read(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text.removesuffix("\n").split("\n") if text else []


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Those lines of a log that are JSON objects; `keepset doctor` tells of others."""
    return [row for line in read_lines(path) if (row := parsed_row(line)) is not None]


def parsed_row(line: str) -> dict[str, Any] | None:
    """The object that a log's line holds; None for a line that a power cut tore, or a hand."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn whatever the disk refuses within the block into ``WorkspaceNotWritable`` with its remedy."""
    try:
        yield
    except OSError as e:
        other = WorkspaceNotWritable(
            f"{path} cannot be written: {e}.", "Correct that and run the same command again: finished work is kept."
        )
        raise _refused(path, e) or other from e


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(path: Path, e: OSError) -> WorkspaceNotWritable | None:
    """None: it is nothing that a disk says."""
    refusals = {
        errno.EACCES: "Give this user write access, or choose another --workspace.",
        errno.EPERM: "Give this user write access, or choose another --workspace.",
        errno.EROFS: "The disk is read-only; choose another --workspace.",
        errno.ENOSPC: "The disk is full; free some space and run the same command again.",
        errno.EDQUOT: "The quota is used up; free some space and run the same command again.",
        errno.ENOENT: "The folder cannot be made there; choose another --workspace.",
        errno.ENAMETOOLONG: "Choose a shorter path.",
        errno.ENOTDIR: "A file is in the way; choose another --workspace.",
        errno.EISDIR: "A folder is in the way; move it, then run the same command again.",
        errno.EMFILE: TOO_MANY_FILES,
        errno.ENFILE: TOO_MANY_FILES,
        errno.EIO: "The disk reports an error; look at it before anything else.",
    }
    if e.errno in refusals:
        return WorkspaceNotWritable(f"{path} cannot be written: {e.strerror}.", refusals[e.errno])
    return None
