"""Bytes to the right pixels: the one image decoder, used by validation, training and prediction alike.

Right means: EXIF orientation applied, CMYK and palettes converted, transparency laid on white, 16-bit grey
scaled by 1/257 (Pillow's own conversion clips it to white), the first frame of an animation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Preprocess", "decode", "model_input", "to_rgb"]


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a model's input, the same in training and prediction.

    ``resize`` is the shorter side before the ``crop`` x ``crop`` centre crop, both in pixels; ``mean`` and
    ``std`` are per RGB channel, for values scaled to 0..1.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: str = "bicubic"


def decode(data: bytes, *, shortest: int | None = None) -> Image.Image:
    """Decode to an upright RGB image, of full size or, for JPEG, of any scale not under ``shortest`` px.

    Raises what Pillow raises (``UnidentifiedImageError``, ``OSError``, ``ValueError`` ...): callers that
    meet unchecked bytes use ``keepset.validate``, which adds limits and turns errors into reasons.
    """
    with Image.open(io.BytesIO(data)) as image:
        if shortest and image.format == "JPEG":
            image.draft("RGB" if image.mode in ("RGB", "YCbCr") else image.mode, (shortest, shortest))
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB, with transparency on white."""
    if image.mode == "RGB":
        return image.convert("RGB") if "transparency" not in image.info else _on_white(image)
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        return _from_16_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    import numpy as np

    wide = np.asarray(image).astype(np.float32) / 257.0
    grey = np.clip(np.rint(wide), 0, 255).astype(np.uint8)
    return Image.fromarray(grey, "L").convert("RGB")


def model_input(image: Image.Image, spec: Preprocess) -> npt.NDArray[np.uint8]:
    """Upright RGB image to uint8 [crop, crop, 3]: shorter side to ``resize``, centre crop.

    Reducing first by a whole factor (Pillow's ``reducing_gap``) changes no pixel by more than rounding.
    """
    import numpy as np

    scale = spec.resize / min(image.size)
    size = (max(spec.crop, round(image.width * scale)), max(spec.crop, round(image.height * scale)))
    how = Image.Resampling[spec.interpolation.upper()]
    resized = image.resize(size, how, reducing_gap=3.0)
    left, top = (size[0] - spec.crop) // 2, (size[1] - spec.crop) // 2
    return np.asarray(resized.crop((left, top, left + spec.crop, top + spec.crop)), dtype=np.uint8)
