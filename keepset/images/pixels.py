"""Bytes to the right pixels: the one image decoder, used by validation, training and prediction alike.

Right means: EXIF orientation applied, CMYK and palettes converted, transparency laid on white, 16-bit grey
scaled by 1/257 (Pillow's own conversion clips it to white), the first frame of an animation.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from PIL import Image, ImageFile, UnidentifiedImageError

from keepset.images.exif import turn_of
from keepset.images.formats import sniff

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Preprocess", "decode", "mended", "model_input", "opened", "to_rgb", "upright"]

_PLUGINS = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"), "png": ("PngImagePlugin", "PngImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"), "webp": ("WebPImagePlugin", "WebPImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"), "avif": ("AvifImagePlugin", "AvifImageFile"),
}  # fmt: skip


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
    with opened(mended(data)) as image:
        if shortest and image.format == "JPEG":
            image.draft("RGB" if image.mode in ("RGB", "YCbCr") else image.mode, (shortest, shortest))
        return upright(image)


def opened(data: bytes) -> ImageFile.ImageFile:
    """The file's header as Pillow reads it, by content, of the formats that Keepset decodes and no others.

    Unlike ``Image.open`` it has no limit on pixels, which is a global of the whole process: callers have their own.
    """
    kind = sniff(data[:64])
    if kind is None:
        raise UnidentifiedImageError("not a picture of a format that Keepset decodes")
    module, name = _PLUGINS[kind]
    image: ImageFile.ImageFile = getattr(import_module(f"PIL.{module}"), name)(io.BytesIO(data))
    return image


def upright(image: Image.Image) -> Image.Image:
    """The image as RGB, turned as its EXIF says. Loads it if need be."""
    image.load()
    turn, _ = turn_of(image.info)
    rgb = to_rgb(image)
    return rgb if turn is None else rgb.transpose(turn)


def mended(data: bytes) -> bytes:
    """A JPEG that lacks nothing but its end marker, with one. Everything else as it is, a JPEG that ends early too."""
    if not data.startswith(b"\xff\xd8\xff") or data.rstrip(b"\0").endswith(_END):
        return data
    from keepset.images.header import walk_jpeg

    if walk_jpeg(data).end:
        return data  # something follows the picture
    import simplejpeg

    whole = data.removesuffix(b"\xff") + _END
    try:
        space = simplejpeg.decode_jpeg_header(whole)[2]
        colours = "CMYK" if space in ("CMYK", "YCCK") else "RGB"
        simplejpeg.decode_jpeg(whole, colours, strict=True, min_height=1, min_width=1)
    except ValueError:
        return data
    return whole


_END = b"\xff\xd9"


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
