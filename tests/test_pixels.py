"""Bytes to the right pixels: every mode and orientation that other decoders get wrong."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keepset.pixels import decode

RAMP = np.linspace(0, 65_535, 64 * 48).reshape(48, 64).astype(np.uint16)
QUARTERS = np.zeros((48, 64, 3), np.uint8)
QUARTERS[:24, :32], QUARTERS[:24, 32:], QUARTERS[24:, :32] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
PICTURE = Image.fromarray(QUARTERS)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    found = pixels(saved(Image.fromarray(RAMP), "PNG"))
    assert np.abs(found - np.rint(RAMP / 257.0)[..., None]).max() == 0


def test_16_bit_rgb_keeps_its_colours() -> None:
    import struct
    import zlib

    wide = (QUARTERS.astype(">u2") * 257).tobytes()
    lines = b"".join(b"\0" + wide[i : i + 64 * 6] for i in range(0, len(wide), 64 * 6))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert np.abs(pixels(png) - QUARTERS).max() == 0


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_lies_on_white(mode: str) -> None:
    clear = PICTURE.convert(mode)
    clear.putalpha(Image.fromarray(np.repeat([[0] * 32 + [128] * 32], 48, 0).astype(np.uint8)))
    found = pixels(saved(clear, "PNG"))
    assert (found[:, :32] == 255).all()
    under = np.asarray(PICTURE.convert("L").convert("RGB") if mode == "LA" else PICTURE).astype(float)
    assert np.abs(found[:, 32:] - (under[:, 32:] * 128 + 255 * 127) / 255).max() <= 1


def test_a_transparent_palette_entry_is_white() -> None:
    flat = PICTURE.quantize(4)
    hidden = int(np.asarray(flat)[0, 0])
    found = pixels(saved(flat, "PNG", transparency=hidden))
    assert (found[:24, :32] == 255).all()
    assert np.abs(found[:24, 32:] - (30, 200, 30)).max() <= 8


def test_cmyk_and_adobe_inverted_cmyk_are_the_picture() -> None:
    cmyk = saved(PICTURE.convert("CMYK"), "JPEG", quality=100)
    assert b"Adobe" in cmyk  # Pillow writes the inverted kind, as Photoshop does
    assert np.abs(pixels(cmyk)[4:20, 4:28] - (200, 30, 30)).max() <= 6
    at = cmyk.index(b"Adobe") - 4
    plain = cmyk[:at] + cmyk[at + 2 + int.from_bytes(cmyk[at + 2 : at + 4], "big") :]
    assert (
        np.abs(pixels(plain)[4:20, 4:28] - (200, 30, 30)).max() <= 6
    )  # inverted is meant without the marker too


def test_an_animation_gives_its_first_frame() -> None:
    later = Image.new("RGB", PICTURE.size, "white")
    data = saved(PICTURE, "WEBP", save_all=True, append_images=[later], lossless=True)
    assert np.abs(pixels(data) - QUARTERS).max() == 0


def test_a_progressive_jpeg_is_the_baseline_one() -> None:
    a, b = (pixels(saved(PICTURE, "JPEG", quality=90, progressive=p)) for p in (False, True))
    assert np.abs(a - b).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    stored = {  # what a camera stores so that undoing it gives PICTURE (Exif 2.32, tag 0x0112)
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](QUARTERS)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif.tobytes())
    assert np.abs(pixels(data) - QUARTERS).max() == 0
