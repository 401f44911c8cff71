"""The pictures themselves, byte for byte as they were downloaded: EXIF, colour profile and all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from keepset.errors import StageError
from keepset.export.selection import ExportedImage
from keepset.images.formats import sniff
from keepset.storage.filenames import picture_name
from keepset.workspace import Workspace

__all__ = ["Originals"]


class Originals:
    """Gives the bytes of items, checked against their address, or puts them into files."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws

    def read(self, item: ExportedImage) -> tuple[str, bytes]:
        """File name, with the extension of the content, and bytes. Raises ``StageError`` if they are not there."""
        try:
            data = self.ws.blob(item.sha256).read_bytes()
        except FileNotFoundError as e:
            raise _gone(item) from e
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise StageError(
                f"The file of picture {item.sha256} is damaged: its content is another.",
                f"Delete {self.ws.blob(item.sha256)} and run `keepset download`, which fetches it again.",
            )
        return self._name(item, data[:64]), data

    def put(self, item: ExportedImage, folder: Path) -> str:
        """Copy the file into ``folder``. Returns its name."""
        name, data = self.read(item)
        (folder / name).write_bytes(data)
        return name

    def _name(self, item: ExportedImage, head: bytes) -> str:
        kind = sniff(head)
        if kind is None:
            raise StageError(
                f"The file of picture {item.sha256} is damaged: it is not a picture.", "Run `keepset validate`."
            )
        return picture_name(item.sha256, kind)


def _gone(item: ExportedImage) -> StageError:
    return StageError(
        f"The file of picture {item.sha256} ({item.label}) is gone from the workspace: purged since, or lost.",
        "Run `keepset download` to fetch it again, or export a revision that does not hold it.",
    )
