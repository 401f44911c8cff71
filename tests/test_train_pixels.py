"""Images are decoded once; what a power cut left short is decoded again."""

from __future__ import annotations

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from keepset.errors import TrainingError
from keepset.files import write_bytes
from keepset.images.pixels import Preprocess, decode, model_input
from keepset.stages import SILENT
from keepset.train.batches import to_input
from keepset.train.networks import preprocess_of
from keepset.train.pixels_cache import PixelCache
from keepset.workspace import Workspace


def test_a_square_cut_short_is_decoded_again_and_a_whole_one_is_not(tmp_path: Path) -> None:
    ws = Workspace.create(tmp_path / "ws", "pixels")
    shas = [_taken_in(ws, seed) for seed in (1, 2)]
    cache = PixelCache(ws, Preprocess(40, 32))
    cache.fill(shas, SILENT)
    squares = cache.read(shas)
    cut, whole = (next(cache.folder.glob(f"*/{sha}.npy")) for sha in shas)
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cut short"):
        cache.read(shas)
    ws.blob(shas[1]).unlink()
    made = whole.stat().st_mtime_ns
    cache.fill(shas, SILENT)
    np.testing.assert_array_equal(cache.read(shas), squares)
    assert whole.stat().st_mtime_ns == made


@pytest.mark.parametrize("arch", ["lite0", "lite0+lite1", "resnet34"])
@pytest.mark.parametrize("size", [64, 97, 224, 256])
def test_training_sees_just_the_pixels_that_prediction_sees(tmp_path: Path, arch: str, size: int) -> None:
    ws = Workspace.create(tmp_path / "ws", "pixels")
    spec = preprocess_of(arch, size)
    shas = [_taken_in(ws, w, (50, w)) for w in (50, 61, 62, 75)]
    cache = PixelCache(ws, spec)
    cache.fill(shas, SILENT)
    seen = to_input(torch.from_numpy(cache.read(shas)), spec, torch.device("cpu"))
    served = np.stack([model_input(decode(ws.blob(s).read_bytes()), spec) for s in shas])
    whole = dataclasses.replace(spec, resize=spec.crop)  # nothing is left to cut off
    assert torch.equal(seen, to_input(torch.from_numpy(served), whole, torch.device("cpu")))


def _taken_in(ws: Workspace, seed: int, shape: tuple[int, int] = (50, 60)) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    sha = hashlib.sha256(file.getvalue()).hexdigest()
    write_bytes(ws.blob(sha), file.getvalue())
    return sha
