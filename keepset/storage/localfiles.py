"""Files of this machine: one identity per file, one way to walk a folder, one way to show a path.

A file is known by the path it was found under, made absolute; symbolic links are followed but never replaced by their
target. A folder that links to another one keeps its place in the tree, and so does a file that is a link
(Hugging Face's cache, DVC, git-annex).
"""

from __future__ import annotations

import functools
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from keepset.text import without_surrogates

__all__ = [
    "Entry",
    "absolute",
    "beside",
    "config_path",
    "file_url",
    "hidden",
    "path_of",
    "shown",
    "spelled",
    "visible",
    "walk",
]

_SYSTEM = frozenset(
    {
        "@eadir", "__macosx", "__pycache__", "#recycle", "$recycle.bin", "lost+found", "system volume information",
        "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r",
    }
)  # fmt: skip
"""What NAS systems, macOS and Windows put beside pictures, in lower case."""


class Entry(NamedTuple):
    """Something found in a folder. ``problem``: why it cannot be a picture; None for a file."""

    path: Path
    problem: str | None = None


def absolute(path: str | Path, base: Path | None = None) -> Path:
    """The absolute path, with ``.`` and ``..`` taken out as text and links left in."""
    return Path(os.path.abspath((base or Path()) / path))  # noqa: PTH100 - Path.absolute leaves `..` in


def file_url(path: Path) -> str:
    """The identity of a local file: a ``file:`` URL in ASCII, whatever bytes its name has (RFC 8089)."""
    return absolute(path).as_uri()


def path_of(text: str) -> Path:
    """The path that a ``file:`` URL, or a path as a config holds it, stands for."""
    if text.startswith("file:"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(text).path)))
    return Path(text)


def config_path(path: Path) -> str:
    """A path as text for a config or a manifest: itself, or a ``file:`` URL where its bytes are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return file_url(path)
    return str(path)


def shown(path: str | Path) -> str:
    """A path for people, also of a ``file:`` URL: bytes that are not UTF-8 are read as Windows-1252."""
    return without_surrogates(str(path_of(path) if isinstance(path, str) else path))


def beside(page: Path) -> list[Path]:
    """The folders that a browser put beside the page: ``bears_files``, ``bears-Dateien`` ..."""
    try:
        return [
            p for p in page.parent.iterdir() if p.is_dir() and p.name.startswith((f"{page.stem}_", f"{page.stem}-"))
        ]
    except OSError:
        return []


def hidden(name: str) -> bool:
    """Whether a file or folder belongs to the system: a dot file, a NAS thumbnail folder and the like."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def walk(folder: Path) -> Iterator[Entry]:
    """Every visible file below ``folder`` in name order; linked folders are followed, each real folder once.

    What cannot be a picture (a device; a folder that cannot be read, was reached before or is a workspace) is an entry
    with a problem.
    """
    seen = {_identity(p) for p in folder.resolve().parents}  # a link back to one of them would never end
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield Entry(path, _odd(path))
            continue
        try:
            if (identity := _identity(path)) in seen:
                yield Entry(path, "this link leads to a folder that was reached before, or that contains it")
                continue
            seen.add(identity)
            if (path / "keepset.json").is_file():
                yield Entry(path, "this is a Keepset workspace")
                continue
            waiting += reversed([(p, p.is_dir()) for p in visible(path)])
        except OSError as e:
            yield Entry(path, f"this folder cannot be read: {e.strerror or e}")


def _identity(folder: Path) -> tuple[int, int]:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def visible(folder: Path) -> list[Path]:
    """What is in the folder and not hidden, in name order. Raises ``OSError``."""
    return sorted(p for p in folder.iterdir() if not hidden(p.name))


def _odd(path: Path) -> str | None:
    try:
        kind = path.stat().st_mode
    except OSError:  # a link to nothing, no access: its download says so
        return None
    return None if stat.S_ISREG(kind) else "this is a device, a pipe or a socket, not a file"


def spelled(root: Path, name: str) -> Path:
    r"""The file that a table calls ``name``, below ``root``: also if the table writes ``img\a.jpg`` or ``./img/A.JPG``.

    A name that the folder does not have is looked for in another Unicode form, with slashes for backslashes, in another
    case, and with any ending if it has none; it must be the only one of its kind. If there is none, the path is as
    written, with slashes.
    """
    slashes = name.replace("\\", "/")
    for text in dict.fromkeys((name, slashes)):
        if os.path.lexists(root / text):
            return absolute(text, root)
    at: Path | None = root
    for part in Path(slashes).parts:
        at = _child(at, part) if at is not None else None
    return absolute(at or root / slashes)


def _child(folder: Path, name: str) -> Path | None:
    if name in ("..", "/") or os.path.lexists(folder / name):
        return folder / name
    try:
        names = _names(folder, folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return None
    found = names.get(_key(name)) or ([] if "." in name else names.get(f"{_key(name)}.", []))
    return folder / found[0] if len(found) == 1 else None


@functools.lru_cache(maxsize=64)
def _names(folder: Path, changed: int) -> dict[str, list[str]]:
    """What the folder holds, by name in lower case and composed form, and by ``stem.``; ``changed`` is a part of the key."""
    found: dict[str, list[str]] = {}
    for path in folder.iterdir():
        found.setdefault(_key(path.name), []).append(path.name)
        found.setdefault(f"{_key(path.stem)}.", []).append(path.name)
    return found


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", without_surrogates(name)).casefold()
