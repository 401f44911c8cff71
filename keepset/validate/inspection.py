"""Look at one image: verify, measure, hash and make the thumbnail in one pass. Runs in a worker process."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from PIL import Image, ImageFile

from keepset.files import refusals
from keepset.images.exif import turn_of
from keepset.images.formats import foreign, sniff
from keepset.images.header import MAX_SCANS, extra_bytes, walk_jpeg
from keepset.images.pixels import decode, mended, opened, to_rgb
from keepset.images.saving import exif_year, jpeg_quality
from keepset.reasons import ImageReason as Reason
from keepset.reasons import ImageWarning as Warn
from keepset.validate.measures import perceptual_hash, quality

if TYPE_CHECKING:
    from keepset.config import ValidateConfig

__all__ = ["ImageJob", "PixelJob", "look", "pixel_digest"]

THUMB = 256
_BLOCKS = 16
"""Megabytes that Pillow keeps for the next picture, instead of asking the kernel for each page of each one anew."""
_LARGEST = 2**31 - 1  # that a manifest's column holds
_HEAD = 512


@dataclass(frozen=True)
class ImageJob:
    sha256: str
    blob: Path
    thumb: Path
    limits: ValidateConfig


@dataclass(frozen=True)
class PixelJob:
    sha256: str
    blob: Path


class _Reject(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def look(job: ImageJob) -> dict[str, Any]:
    """The image's part of an images row; a rejected one has ``status``, ``reason`` and ``detail``.

    Raises ``WorkspaceNotWritable`` if the thumbnail cannot be written: that says nothing about the image.
    """
    facts: dict[str, Any] = {"sha256": job.sha256, "status": "ok", "warnings": [], "bytes": 0}
    try:
        data = _read(job.blob)
        facts["bytes"] = len(data)
        thumb = _look(data, job.limits, facts)
    except _Reject as e:
        return facts | {"status": "rejected", "reason": str(e.reason), "detail": e.detail}
    except MemoryError:
        return facts | {"status": "rejected", "reason": str(Reason.MEMORY), "detail": "needs too much memory"}
    _keep(job.thumb, thumb)
    return facts


def pixel_digest(job: PixelJob) -> str | None:
    """sha256 of the size and all upright RGB pixels of an image that was found good; None if it cannot be had."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = decode(job.blob.read_bytes())
    except Exception:  # it was good when it was looked at; now it is gone or too large: then it is no exact copy
        return None
    digest = hashlib.sha256(f"{image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def _read(blob: Path) -> bytes:
    try:
        return blob.read_bytes()
    except FileNotFoundError as e:
        raise _Reject(Reason.MISSING, "no such blob") from e


def _look(data: bytes, limits: ValidateConfig, facts: dict[str, Any]) -> bytes:
    """Fill ``facts`` and return the thumbnail as JPEG."""
    kind = _kind(data, limits)
    facts["format"] = kind
    walk = walk_jpeg(data) if kind == "jpeg" else None
    if walk and walk.scans > MAX_SCANS:
        raise _Reject(Reason.TOO_MANY_SCANS, f"{walk.scans} scans, {MAX_SCANS} allowed")
    image = _decode(data, walk.end if walk else 0, limits, facts)
    _check_shape(facts, limits)
    image.thumbnail((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=2.0)
    grey = image.convert("L")
    facts |= quality(grey) | {"phash": perceptual_hash(grey)}
    # JPEG, not WebP: an eighth of the time to encode for a few kilobytes more.
    return bytes(simplejpeg.encode_jpeg(np.asarray(image), quality=85, colorsubsampling="420"))


def _kind(data: bytes, limits: ValidateConfig) -> str:
    if not data:
        raise _Reject(Reason.EMPTY, "the file is empty")
    kind = sniff(data[:64])
    if kind is None:
        if other := foreign(data[:_HEAD]):
            raise _Reject(Reason.UNSUPPORTED, f"it is {other}")
        raise _Reject(Reason.NOT_AN_IMAGE, f"its first bytes are {data[:24]!r}")
    if kind not in limits.formats:
        raise _Reject(Reason.FORMAT, f"{kind} is not among {', '.join(limits.formats)}")
    return kind


def _decode(data: bytes, jpeg_end: int, limits: ValidateConfig, facts: dict[str, Any]) -> Image.Image:
    """The upright RGB picture, of any scale not under the thumbnail's."""
    Image.core.set_blocks_max(_BLOCKS)  # type: ignore[attr-defined]  # documented: Pillow, "Block allocator"
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _opened(data)
            _check_header(image, limits, facts)
            if "mp" not in image.info and extra_bytes(data, facts["format"], jpeg_end):
                facts["warnings"].append(str(Warn.EXTRA_DATA))
            if facts["format"] == "jpeg" and not jpeg_end and (whole := mended(data)) is not data:
                facts["warnings"].append(str(Warn.SLOPPY_JPEG))
                data, image = whole, _opened(whole)
            rgb = _pixels(image, data, facts)
            turn, readable = turn_of(image.info)
            if not readable:
                facts["warnings"].append(str(Warn.EXIF_BROKEN))
    except (_Reject, MemoryError):
        raise
    except Exception as e:  # Pillow's plugins raise nearly anything on hostile bytes
        cut = "truncated" in str(e).lower() or "incomplete" in str(e).lower()
        raise _Reject(Reason.TRUNCATED if cut else Reason.BROKEN, f"{type(e).__name__}: {e}"[:300]) from e
    if turn in _ON_ITS_SIDE:
        facts["width"], facts["height"] = facts["height"], facts["width"]
    return rgb.transpose(turn) if turn is not None else rgb


_ON_ITS_SIDE = {
    Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90,
}  # fmt: skip


def _opened(data: bytes) -> ImageFile.ImageFile:
    try:
        return opened(data)
    except (SyntaxError, IndexError, TypeError, struct.error) as e:  # what ``Image.open`` takes for "not mine"
        raise _Reject(Reason.BROKEN, "its header is damaged") from e


def _check_header(image: Image.Image, limits: ValidateConfig, facts: dict[str, Any]) -> None:
    frames = int(getattr(image, "n_frames", 1))
    sides = {"width": min(image.width, _LARGEST), "height": min(image.height, _LARGEST)}  # headers claim anything
    facts |= {"mode": image.mode, "frames": min(frames, _LARGEST), **sides}
    saved = jpeg_quality(getattr(image, "quantization", {})), exif_year(image.info.get("exif"))
    facts |= dict(zip(("jpeg_quality", "year"), saved, strict=True))
    if image.width * image.height > limits.max_pixels:
        raise _Reject(Reason.TOO_MANY_PIXELS, f"{image.width} x {image.height} pixels")
    if frames > limits.max_frames:
        raise _Reject(Reason.TOO_MANY_FRAMES, f"{frames} frames")
    if frames > 1:
        facts["warnings"].append(str(Warn.ANIMATED))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        facts["warnings"].append(str(Warn.ALPHA))
    if not _is_srgb(image.info.get("icc_profile")):
        facts["warnings"].append(str(Warn.ICC))


def _is_srgb(profile: bytes | None) -> bool:
    """True too without a profile. A profile's description holds its name in Latin or UTF-16 (ICC.1, 9.2.41)."""
    return not profile or b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def _pixels(image: Image.Image, data: bytes, facts: dict[str, Any]) -> Image.Image:
    """Decode the whole stream. Pillow takes damaged JPEG data in silence; strict decoding tells, as a warning."""
    if image.format != "JPEG":
        image.load()
        return to_rgb(image)
    if image.mode in ("RGB", "L"):
        fast: dict[str, Any] = {"fastdct": True, "fastupsample": True}  # a quarter less time, half a grey level off
        fast["min_width" if image.width >= image.height else "min_height"] = THUMB
        try:
            return Image.fromarray(simplejpeg.decode_jpeg(data, "RGB", strict=True, **fast))
        except ValueError:
            facts["warnings"].append(str(Warn.SLOPPY_JPEG))
    image.draft(image.mode if image.mode in ("L", "CMYK") else "RGB", (THUMB, THUMB))
    image.load()
    return to_rgb(image)


def _check_shape(facts: dict[str, Any], limits: ValidateConfig) -> None:
    short, long = sorted((facts["width"], facts["height"]))
    if short < limits.min_side:
        raise _Reject(Reason.TOO_SMALL, f"{facts['width']} x {facts['height']} pixels")
    if long / short > limits.max_aspect:
        raise _Reject(Reason.ASPECT, f"{facts['width']} x {facts['height']} pixels")


def _keep(path: Path, thumb: bytes) -> None:
    """Whole or not at all, but not synced: it can be drawn again, and the stage looks whether it is there."""
    part = f"{path.parent}/.{path.name}.{os.getpid()}.part"
    with refusals(path):  # it says nothing about the image, so no image may be blamed for it
        try:
            _write(part, thumb)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(part, thumb)
        try:
            os.replace(part, path)  # noqa: PTH105 - a Path costs more than the system call
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise


def _write(path: str, data: bytes) -> None:
    with open(path, "wb", buffering=0) as file:  # noqa: PTH123
        file.write(data)
