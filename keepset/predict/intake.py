"""Unchecked bytes to an upright RGB image, or a reason: limits are checked on the header, before decoding."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from keepset.pixels import decode
from keepset.reasons import ImageReason
from keepset.validate.header import count_scans

__all__ = ["DEFAULT_LIMITS", "Limits", "Refused", "open_image"]


@dataclass(frozen=True)
class Limits:
    """What is taken at all: bytes of a file, pixels of a picture, scans of a progressive JPEG."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_scans: int = 100
    formats: tuple[str, ...] = ("jpeg", "png", "gif", "webp", "bmp", "avif")


DEFAULT_LIMITS = Limits()


class Refused(ValueError):
    """An item that is not taken: becomes a row with this reason, or a 4xx answer."""

    def __init__(self, reason: ImageReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def open_image(data: bytes, *, shortest: int, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decode within ``limits``; JPEGs at any scale not under ``shortest`` px. Raises ``Refused``."""
    if not data:
        raise Refused(ImageReason.EMPTY, "The file is empty.")
    try:
        _check_header(data, limits)
        return decode(data, shortest=shortest)
    except Refused:
        raise
    except UnidentifiedImageError as e:
        raise Refused(ImageReason.NOT_AN_IMAGE, "This is not a picture that can be read.") from e
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise Refused(ImageReason.TOO_MANY_PIXELS, str(e)) from e
    except Exception as e:  # Pillow's plugins raise nearly anything on hostile bytes
        raise Refused(ImageReason.BROKEN, f"{type(e).__name__}: {e}"[:300]) from e


def _check_header(data: bytes, limits: Limits) -> None:
    with Image.open(io.BytesIO(data)) as image:
        kind = (image.format or "").lower().replace("mpo", "jpeg")
        pixels = image.width * image.height
    if kind not in limits.formats:
        raise Refused(ImageReason.FORMAT, f"{kind or 'this format'} is not taken.")
    if pixels > limits.max_pixels:
        raise Refused(ImageReason.TOO_MANY_PIXELS, f"{pixels} pixels; at most {limits.max_pixels}.")
    if kind == "jpeg" and count_scans(data) > limits.max_scans:
        raise Refused(ImageReason.TOO_MANY_SCANS, f"more than {limits.max_scans} scans.")
