"""Which workspaces a stack works on besides its own, and where a person looks at each.

A flow run notes its workspace beside the stack that runs it (``neighbours/<id>.json``); the stack's gallery shows all of
them: its own at ``/``, the others below ``/w/<id>/``.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from keepset.errors import KeepsetError
from keepset.files import read_json, write_json
from keepset.machine.programs import spell
from keepset.storage import locate, scratch
from keepset.workspace import Workspace

__all__ = ["MARK", "gallery_of", "handle", "neighbours", "note_neighbour", "where_to_look"]

MARK = "KEEPSET_STACK"
"""Environment variable that every process of a stack carries; its value is the folder of the stack's own workspace."""


def note_neighbour(ws: Workspace) -> None:
    """Within a stack: let its gallery show this workspace too."""
    stack = os.environ.get(MARK, "")
    if stack and locate(stack) != ws.root:
        path = _folder(locate(stack)) / f"{ws.id}.json"
        if not path.exists():
            write_json(path, {"root": str(ws.root)})


def neighbours(root: Path) -> dict[str, Workspace]:
    """The other workspaces that the stack of ``root`` has worked on, by id; not those that are gone."""
    found = {}
    folder = _folder(root)
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            ws = Workspace.open(locate(read_json(path)["root"]))
        except (KeepsetError, KeyError, TypeError, OSError):
            continue
        if ws.id == path.stem:
            found[ws.id] = ws
    return found


def handle(ws: Workspace) -> str:
    """A short name in lower-case letters, digits and dashes, e.g. ``bears-3f1c``: the data set's own, and of its id."""
    plain = unicodedata.normalize("NFKD", ws.name.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].rstrip("-")
    return f"{slug or 'data-set'}-{ws.id[:4]}"


def gallery_of(ws: Workspace) -> str:
    """The address of the running gallery that shows this workspace; empty if there is none."""
    stack = os.environ.get(MARK, "")
    for root, below in ((ws.root, ""), (locate(stack) if stack else None, f"/w/{ws.id}")):
        try:
            if root is not None:
                return str(read_json(scratch(root) / "stack.json")["web_url"]) + below
        except (KeepsetError, KeyError, TypeError, FileNotFoundError):
            continue
    return ""


def where_to_look(ws: Workspace, path: str) -> str:
    """The address of ``path`` in the gallery that runs; where none does, the command that starts one."""
    url = gallery_of(ws)
    return f"{url}{path}" if url else f"`{spell('keepset', 'web', '-w', ws.root)}`"


def _folder(root: Path) -> Path:
    return scratch(root) / "neighbours"
