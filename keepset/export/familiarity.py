"""What a model has seen, for telling unfamiliar pictures apart: features of its training images, and a limit.

The distance is the one that cleaning uses (``keepset.train.results.distances``): mean cosine distance to the 5
nearest training images. Cleaning measures it with the frozen body; a served model has only its own, which after
fine-tuning is another one, so that reference and limit are made with the body that is served.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepset import manifests
from keepset.errors import ModelError
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.stages import SILENT
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]

__all__ = ["Familiar", "familiar", "forward", "held_out"]

REFERENCE = 2000
"""Training images that are kept at most: 10 MB of features at 1280 numbers an image."""
HELD_OUT = 1000
SAMPLE = 16
BATCH = 16
FEW = 64
"""Pictures for which one core is enough."""


@dataclass(frozen=True)
class Familiar:
    """``reference``: features float32 [m, d] of the training images ``shas``, each body's block (``widths``) scaled alike
    and each row to length one; ``far``: distance under which 99 % of held-out images lie."""

    shas: tuple[str, ...]
    reference: Floats
    widths: tuple[int, ...]
    far: float


def familiar(ws: Workspace, record: ModelRecord, network: torch.nn.Module, widths: tuple[int, ...]) -> Familiar:
    """Reference and limit of ``network`` (uint8 pixels to logits and features, of bodies of those ``widths``)."""
    import numpy as np

    from keepset.models.features import units
    from keepset.train.results import distances

    learn, valid = (_images(ws, record.id, s)[:n] for s, n in ((Split.TRAIN, REFERENCE), (Split.VALID, HELD_OUT)))
    features = units(_features(ws, record, network, [*learn, *valid]), widths)
    is_learn = np.arange(len(features)) < len(learn)
    held_out = distances(features, is_learn)[~is_learn]
    return Familiar(
        tuple(learn),
        units(features[is_learn], (features.shape[1],)),
        widths,
        float(np.quantile(held_out, 0.99)) if len(held_out) else 2.0,
    )


def held_out(ws: Workspace, record: ModelRecord, most: int = SAMPLE) -> Pixels:
    """Model inputs uint8 [n, crop, crop, 3] of up to ``most`` real images of the validation set."""
    return _pixels(ws, record, _images(ws, record.id, Split.VALID)[:most])


def forward(network: torch.nn.Module, pixels: Pixels) -> tuple[Floats, Floats]:
    """Logits and features of ``network``, by torch."""
    import numpy as np
    import torch

    from keepset.train.machine import one_core

    with torch.inference_mode(), one_core() if len(pixels) <= FEW else contextlib.nullcontext():
        found = [network(torch.from_numpy(pixels[i : i + BATCH]))[:2] for i in range(0, len(pixels), BATCH)]
    return np.concatenate([f[0].numpy() for f in found]), np.concatenate([f[1].numpy() for f in found])


def _images(ws: Workspace, model_id: str, split: Split) -> list[str]:
    """sha256s in their order, which is as good as random, and the same every time."""
    rows = manifests.read(ws.models / model_id / "predictions.parquet", "predictions").rows()
    return sorted(r["sha256"] for r in rows if r["split"] == split)


def _features(ws: Workspace, record: ModelRecord, network: torch.nn.Module, shas: list[str]) -> Floats:
    """Those that training saved, if they are this network's: fine-tuning changes them."""
    import numpy as np

    from keepset.models.features import ModelFeatures

    if record.winner == "linear_head":
        with contextlib.suppress(ModelError, KeyError):
            saved = ModelFeatures.of(ws, record.id)
            place = {s: i for i, s in enumerate(saved.sha256)}
            return saved.at([place[s] for s in shas])
    chunks = [shas[i : i + 256] for i in range(0, len(shas), 256)]
    return np.concatenate([forward(network, _pixels(ws, record, c))[1] for c in chunks])


def _pixels(ws: Workspace, record: ModelRecord, shas: list[str]) -> Pixels:
    from keepset.train.pixels_cache import PixelCache

    cache, side = PixelCache(ws, record.preprocess), record.preprocess.crop
    cache.fill(shas, SILENT)
    rim = (record.preprocess.resize - side) // 2
    return cache.read(shas)[:, rim : rim + side, rim : rim + side]
