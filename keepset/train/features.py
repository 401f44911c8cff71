"""Features of the frozen body, cached by image and body: the ground of the linear head and of outliers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.errors import ModelError
from keepset.pixels import Preprocess
from keepset.train import parallel
from keepset.train.chain import Chain
from keepset.train.kept import Kept
from keepset.train.machine import Chunks
from keepset.train.networks import features_and_logits, head_of
from keepset.train.pixels_cache import PixelCache
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    Floats = npt.NDArray[np.float32]

__all__ = ["Body", "body_id", "compute", "keep", "load", "save"]


def load(ws: Workspace, model_id: str) -> tuple[list[str], Floats]:
    """sha256 order and float32 [n, d] of the images that ``model_id`` was trained on. Raises ``ModelError``."""
    return _read(ws.models / model_id / "features.safetensors")


def save(ws: Workspace, model_id: str, shas: Sequence[str], features: Floats) -> None:
    _write(ws.models / model_id / "features.safetensors", shas, features)


@dataclass(frozen=True)
class Body:
    """A pretrained body: its network, that as a chain if it is one, its name, and what it takes."""

    network: torch.nn.Module
    chain: Chain | None
    id: str
    spec: Preprocess


def compute(
    cache: PixelCache, body: Body, shas: Sequence[str], chunks: Chunks, kept: Kept | None = None
) -> Floats:
    """float32 [n, d] in the order of ``shas``; only what this body has not seen yet is computed.

    If nothing has been seen, what the front makes of the images on the way is put into ``kept``.
    """
    body.network.eval()
    path = cache.ws.cache / "features" / f"{body.id}.safetensors"
    known = dict(zip(*_read(path), strict=True)) if path.exists() else {}
    missing = [s for s in dict.fromkeys(shas) if s not in known]
    if missing:
        mine = parallel.share(missing)
        cache.fill(mine, chunks.progress)
        chunks.progress.start("features of the pretrained body", len(mine))
        kept = kept if kept and len(missing) == len(kept.rows) else None
        found: list[Floats] = []
        while (at := sum(map(len, found))) < len(mine):
            found.append(
                chunks.fitting(lambda i=at: _forward(body, cache.read(mine[i : i + chunks.forward]), kept))  # type: ignore[misc]
            )
            chunks.progress.advance(len(found[-1]))
        width = found[0].shape[1] if found else 0
        rows = np.concatenate(found) if found else np.zeros((0, width), np.float32)
        known |= dict(zip(missing, parallel.gathered(rows, len(missing)), strict=True))
        if parallel.leads():
            _write(path, list(known), np.stack(list(known.values())))
    return np.stack([known[s] for s in shas])


def body_id(network: torch.nn.Module, spec: Preprocess) -> str:
    """16 hex digits over the body's modules, weights and statistics (of batch norm, say), and the preprocessing."""
    digest = hashlib.sha256(repr(spec).encode())
    head = head_of(network)
    of_head = {id(t) for t in (*head.parameters(), *head.buffers())}
    for name, module in network.named_modules():
        if module is not head and not any(module.children()):
            digest.update(f"{name}: {module!r}\n".encode())
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if id(tensor) not in of_head:
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def keep(
    cache: PixelCache, chain: Chain, body: Body, shas: Sequence[str], chunks: Chunks, kept: Kept
) -> None:
    """Fill ``kept`` as ``compute`` would have, in the same pieces: to the last bit the same."""
    kept.filled = 0

    def more() -> None:
        squares = cache.read(shas[kept.filled : kept.filled + chunks.forward])
        kept.add(chain.run(_pixels(body, squares), 0, kept.count))

    while not kept.whole:
        chunks.fitting(more)


def _forward(body: Body, squares: npt.NDArray[np.uint8], kept: Kept | None) -> Floats:
    import torch

    network: Any = body.network
    with torch.inference_mode():
        x = _pixels(body, squares)
        if body.chain is None:
            features = features_and_logits(network, x)[0].float()
        else:
            front = body.chain.run(x, 0, kept.count if kept else 0)
            features = body.chain.features(network, front, kept.count if kept else 0)
            if kept:
                kept.add(front)
    out: Floats = features.cpu().numpy()
    return out


def _pixels(body: Body, squares: npt.NDArray[np.uint8]) -> torch.Tensor:
    import torch

    from keepset.train.batches import to_input

    return to_input(torch.from_numpy(squares), body.spec, next(body.network.parameters()).device)


def _read(path: Any) -> tuple[list[str], Floats]:
    from safetensors import safe_open

    try:
        with safe_open(path, "numpy") as f:
            return f.metadata()["sha256"].split("\n"), f.get_tensor("features")
    except FileNotFoundError as e:
        raise ModelError(f"{path} is missing.", "Delete that model's folder and run `keepset train`.") from e


def _write(path: Any, shas: Sequence[str], features: Floats) -> None:
    from safetensors.numpy import save_file

    from keepset.files import atomic_path

    with atomic_path(path) as part:
        save_file({"features": np.ascontiguousarray(features)}, part, {"sha256": "\n".join(shas)})
