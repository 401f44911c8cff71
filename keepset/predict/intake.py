"""Unchecked bytes to an upright RGB image, or a reason: limits are checked on the header, before decoding."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from keepset.images.formats import foreign, sniff
from keepset.images.header import MAX_SCANS, count_scans
from keepset.images.pixels import Preprocess, decode, model_input, opened
from keepset.reasons import DownloadReason, ImageReason

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DEFAULT_LIMITS",
    "UPLOADS",
    "DecodeJob",
    "Limits",
    "Prepared",
    "Refused",
    "missing",
    "open_image",
    "prepare",
    "read_file",
]


@dataclass(frozen=True)
class Limits:
    """What is taken at all: bytes of a file, pixels of a picture.

    The defaults are the run config's: what a data set takes can be predicted too.
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 64_000_000
    formats: tuple[str, ...] = ("jpeg", "png", "gif", "webp", "bmp", "avif")


DEFAULT_LIMITS = Limits()
UPLOADS = Limits(max_bytes=20_000_000, max_pixels=50_000_000)
"""What strangers may send to a server."""


class Refused(ValueError):
    """An item that is not taken: becomes a row with this reason, or a 4xx answer."""

    def __init__(self, reason: ImageReason | DownloadReason, detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it survives the way between processes
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class DecodeJob:
    """One picture to prepare. ``source``: its bytes, or its file, which is read by the process that decodes it. ``preview``:
    longest side in pixels of a small copy; 0 for none. ``key`` tells its asker which picture it is."""

    source: bytes | Path
    spec: Preprocess
    limits: Limits
    preview: int = 0
    key: str = ""


@dataclass(frozen=True)
class Prepared:
    """Model input, uint8 [crop, crop, 3], and the small copy as WebP (or nothing)."""

    pixels: npt.NDArray[np.uint8]
    preview: bytes


def prepare(job: DecodeJob) -> Prepared | Refused:
    """What a decoder process does with a job. Being refused is an answer here, not an error."""
    try:
        data = job.source if isinstance(job.source, bytes) else read_file(job.source, job.limits)
        image = open_image(data, shortest=job.spec.resize, limits=job.limits)
        return Prepared(model_input(image, job.spec), _preview(image, job.preview))
    except Refused as e:
        return e
    except MemoryError:
        return Refused(ImageReason.MEMORY, "Decoding it takes more memory than is allowed.")
    except OSError as e:
        return Refused(ImageReason.MISSING, missing(e))


def missing(e: OSError) -> str:
    """Why a file could not be read, in words."""
    return "There is no such file." if isinstance(e, FileNotFoundError) else f"{e.strerror or e}."


def read_file(path: Path, limits: Limits) -> bytes:
    """Raises ``Refused`` for a file that is too large, and ``OSError``."""
    with path.open("rb") as f:
        data = f.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise Refused(ImageReason.TOO_LARGE, f"The file is larger than {limits.max_bytes / 1e6:g} MB.")
    return data


def _preview(image: Image.Image, side: int) -> bytes:
    """Drawn anew, so that nothing of the given file but its pixels is ever sent back."""
    if not side:
        return b""
    out = io.BytesIO()
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=2.0)
    small.save(out, "WEBP", quality=80)
    return out.getvalue()


def open_image(data: bytes, *, shortest: int, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode within ``limits``; JPEGs at any scale not under ``shortest`` px. Raises ``Refused``."""
    if not data:
        raise Refused(ImageReason.EMPTY, "The file is empty.")
    _check_format(data, limits)
    try:
        _check_header(data, limits)
        return decode(data, shortest=shortest)
    except (Refused, MemoryError):
        raise
    except Exception as e:  # Pillow's plugins raise nearly anything on hostile bytes
        early = "truncated" in str(e).lower() or isinstance(e, EOFError)
        words = "This file is damaged: it ends early." if early else "This file is damaged and cannot be read."
        raise Refused(ImageReason.BROKEN, words) from e


def _check_format(data: bytes, limits: Limits) -> None:
    kind = sniff(data[:64])
    if kind is None and (other := foreign(data[:512])):
        raise Refused(ImageReason.UNSUPPORTED, f"This is {other}. Convert it to JPEG or PNG.")
    if kind is None:
        raise Refused(ImageReason.NOT_AN_IMAGE, "This is not a picture that can be read.")
    if kind not in limits.formats:
        raise Refused(ImageReason.FORMAT, f"Pictures of the format {kind} are not taken.")


def _check_header(data: bytes, limits: Limits) -> None:
    with opened(data) as image:
        kind, pixels = image.format, image.width * image.height
    if pixels > limits.max_pixels:
        raise Refused(
            ImageReason.TOO_MANY_PIXELS,
            f"The picture has {pixels / 1e6:.0f} million pixels; at most {limits.max_pixels / 1e6:.0f} million are taken.",
        )
    if kind == "JPEG" and count_scans(data) > MAX_SCANS:
        raise Refused(
            ImageReason.TOO_MANY_SCANS, f"This JPEG has more than {MAX_SCANS} scans. Save it again as a plain JPEG."
        )
