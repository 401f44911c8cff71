"""Bytes to the right pixels: every mode and orientation that other decoders get wrong."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from keepset.images.pixels import decode, mended
from tests.factories import saved

RAMP = np.linspace(0, 65_535, 64 * 48).reshape(48, 64).astype(np.uint16)
QUARTERS = np.zeros((48, 64, 3), np.uint8)
QUARTERS[:24, :32], QUARTERS[:24, 32:], QUARTERS[24:, :32] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
PICTURE = Image.fromarray(QUARTERS)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))


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
    assert np.abs(pixels(plain)[4:20, 4:28] - (200, 30, 30)).max() <= 6  # inverted is meant without the marker too


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


def with_exif(jpeg: bytes, *entries: tuple[int, int, int, bytes]) -> bytes:
    """The JPEG with an EXIF segment of those (tag, type, count, value of at most 4 bytes), written byte by byte."""
    ifd = struct.pack("<H", len(entries))
    for tag, kind, count, value in sorted(entries):
        ifd += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    body = b"Exif\0\0" + b"II*\0\x08\0\0\0" + ifd + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")  # Pillow looks for the resolution there
@pytest.mark.parametrize("field", [0x8769, 0x8825, 0xA005, None])
def test_whatever_else_exif_says_the_picture_is_turned_and_nothing_is_raised(field: int | None) -> None:
    """Every tag with a value of every type. Pillow's own ``exif_transpose`` writes EXIF, and raises on a third."""
    tiny = saved(PICTURE.resize((16, 8)), "JPEG")
    turned = (0x0112, 3, 1, b"\6\0")
    more = [(field, 4, 1, struct.pack("<I", 8))] if field else []  # a sub-directory that is this directory again
    for tag in sorted({*ExifTags.TAGS, *ExifTags.GPSTAGS, 0xFFFF} - {0x0112, field}):
        for kind in range(14):
            for value in (b"72\0", b"\xff\xff\xff\xff"):
                image = decode(with_exif(tiny, turned, *more, (tag, kind, len(value), value)), shortest=8)
                assert image.size == (8, 16), (tag, kind, value)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize(
    "entry",
    [(0x0112, 3, 1, b"\x09\0"), (0x0112, 2, 2, b"6\0"), (0x0112, 5, 1, b"\xff\xff\xff\xff"), (0x0112, 3, 3, b"\6\0\6\0"),
     (0x0112, 7, 4, b"\6\0\0\0"), (0x0112, 12, 1, b"\0\0\0\0"), (0x0112, 3, 0, b""), (0x0112, 99, 1, b"\6\0")],
)  # fmt: skip
def test_an_orientation_that_is_none_turns_nothing_and_raises_nothing(entry: tuple[int, int, int, bytes]) -> None:
    assert decode(with_exif(saved(PICTURE, "JPEG"), entry)).size == (64, 48)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_only_its_end_marker_is_the_picture(mode: str, progressive: bool) -> None:
    data = saved(NOISE.convert(mode), "JPEG", progressive=progressive, quality=95)
    whole = pixels(data)
    for cut in (data[:-2], data[:-1], data[:-2] + b"\0\0", with_exif(data, (0x0112, 3, 1, b"\1\0"))[:-2]):
        assert np.abs(pixels(cut) - whole).max() == 0
    for cut in (data[:-90], data[: len(data) * 6 // 10]):
        assert mended(cut) is cut
        with pytest.raises(OSError, match="truncated"):
            decode(cut)


def test_the_orientation_of_xmp_and_of_image_magicks_png_counts() -> None:
    xmp = b"<rdf:Description tiff:Orientation='6'/>"
    assert decode(saved(PICTURE, "JPEG", xmp=xmp)).size == (48, 64)
    exif = with_exif(b"\xff\xd8", (0x0112, 3, 1, b"\6\0"))[6:]
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=True)
    assert decode(saved(PICTURE, "PNG", pnginfo=text)).size == (48, 64)


def test_a_damaged_png_is_refused_whatever_its_exif_says() -> None:
    data = bytearray(saved(NOISE, "PNG"))
    data[len(data) // 2 : len(data) // 2 + 4] = b"\0\xff\0\xff"
    with pytest.raises(OSError, match="data stream"):
        decode(bytes(data))


def test_there_is_no_limit_on_pixels_but_the_callers() -> None:
    wide = Image.new("L", (16_000, 12_000))  # 192 megapixels: Pillow's own limit, a global, is 179
    data = saved(wide, "JPEG", quality=1)
    assert min(decode(data, shortest=256).size) >= 256
