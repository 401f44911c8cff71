"""Pictures by their hash. A path never comes from the address, and no byte that a stranger wrote is served.

Thumbnails were encoded anew when the image was validated; a larger picture, for zooming, is encoded anew here.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from keepset import manifests
from keepset.errors import ManifestError
from keepset.machine.remembered import remembered
from keepset.web.refusals import refusal
from keepset.workspace import SHA256, Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

__all__ = ["FOREVER", "LARGEST", "decoding", "encoded", "holds", "known", "picture", "thumb"]

LARGEST = 2000
"""Longer side of a picture in full view, px; smaller ones come as they are."""
MIDDLE = 640
"""The same of a picture in a large tile (``?size=640``)."""
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}  # a hash names one picture for ever
decoding = threading.BoundedSemaphore(2)
"""Held while a picture is decoded: memory stays bounded."""


def thumb(ws: Workspace, request: Request) -> Response:
    """The thumbnail, of 256 px."""
    sha = _known(ws, request)
    if sha is None or not (path := ws.thumb(sha)).exists():
        return _missing(request)
    return FileResponse(path, media_type="image/jpeg", headers=FOREVER)


def picture(ws: Workspace, request: Request) -> Response:
    """The picture with ``LARGEST`` px at most, or ``MIDDLE`` if that is asked for, upright, from pixels alone: comments and metadata stay behind.

    Where the file is gone, the thumbnail, if that is left.
    """
    sha = _known(ws, request)
    if sha is None:
        return _missing(request)
    try:
        with decoding:
            data = _small(ws.blob(sha), MIDDLE if request.query_params.get("size") == str(MIDDLE) else LARGEST)
    except (OSError, ValueError):  # purged, or damaged since it was validated
        return thumb(ws, request)
    return Response(data, media_type="image/jpeg", headers=FOREVER)


def _small(path: Path, side: int) -> bytes:
    from keepset.images.pixels import decode

    image = decode(path.read_bytes(), shortest=side)
    image.thumbnail((side, side))
    return encoded(image)


def encoded(image: Image.Image) -> bytes:
    """As JPEG, from pixels alone."""
    import numpy as np
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=85))


def _missing(request: Request) -> Response:
    return refusal(request, 404, "no_picture", "There is no such picture.")


def _known(ws: Workspace, request: Request) -> str | None:
    """The hash in the address, if it is one of an image of this workspace."""
    sha = str(request.path_params["name"]).removesuffix(".jpg")
    return sha if known(ws, sha) else None


def known(ws: Workspace, sha256: str) -> bool:
    """Whether this is the hash of an image of this workspace, as it may come from an address."""
    if not SHA256.fullmatch(sha256):
        return False
    try:
        return holds(_hashes(ws.images, ws.images.stat().st_mtime_ns), sha256)
    except (FileNotFoundError, ManifestError):
        return False


def holds(known: npt.NDArray[np.bytes_], sha256: str) -> bool:
    """Whether a hash is among the sorted ones. numpy drops zero bytes at the end of one when it hands it out."""
    import numpy as np

    wanted = bytes.fromhex(sha256)
    place = int(np.searchsorted(known, np.bytes_(wanted)))
    return known[place : place + 1].tobytes() == wanted


@remembered(2)
def _hashes(path: Path, _stamp: int) -> npt.NDArray[np.bytes_]:
    """All hashes, sorted, 32 bytes each: a million images take 32 MB."""
    import numpy as np

    pieces = [
        np.frombuffer(bytes.fromhex("".join(piece.column("sha256").to_pylist())), dtype="S32")
        for piece in manifests.batches(path, "images", ["sha256"])
    ]
    return np.sort(np.concatenate([np.empty(0, "S32"), *pieces]))
