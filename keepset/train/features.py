"""Features of the frozen bodies, cached by image and body: the ground of the linear head, of outliers and copies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from keepset.config import TrainConfig
from keepset.images.pixels import Preprocess, model_input
from keepset.machine import heap
from keepset.stages import SILENT, Progress
from keepset.train.chain import Chain, chain_of
from keepset.train.machine import Chunks, choose_device, forward_at_once, lanes, one_core
from keepset.train.networks import features_and_logits, head_of, preprocess_of, width
from keepset.train.pixels_cache import PixelCache
from keepset.train.rows_file import RowsFile
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from PIL import Image

    Floats = npt.NDArray[np.float32]

__all__ = ["Body", "body_id", "body_of", "compute", "of_images", "of_packaged", "of_squares", "squares"]

AT_ONCE = 512
"""Images between two writes to the cache: a killed run loses at most so many."""


@dataclass(frozen=True)
class Body:
    """A pretrained body: its network, that as a chain if it is one, its name, and what it takes."""

    network: torch.nn.Module
    chain: Chain | None
    id: str
    spec: Preprocess
    one_by_one: Lock = field(default_factory=Lock, compare=False, repr=False)
    """Held by whoever runs ``network`` itself, on which hooks are hung meanwhile; ``chain`` may run in many threads."""

    @property
    def width(self) -> int:
        """Numbers per image."""
        return width(self.network)


def body_of(network: torch.nn.Module, spec: Preprocess) -> Body:
    """The body of ``network``, a classifier as ``networks.build`` makes it."""
    with one_core():
        chain = chain_of(network.eval(), spec.crop)
    return Body(network, chain, body_id(network, spec), spec)


def of_packaged(
    ws: Workspace, arch: str, shas: Sequence[str], progress: Progress = SILENT, config: TrainConfig | None = None
) -> Floats:
    """Raw features, float32 [n, d], of validated images by the packaged network ``arch`` (such as "lite0").

    Needs no data set and no labels. They come from the cache that training uses, and go there: with the size of the
    same ``config`` training computes none of them again. A row takes 5 kB: of a million images ask for some at a time.
    Raises ``ModelError`` for an ``arch`` without packaged weights.
    """
    config = config or TrainConfig()
    body = _packaged_body(arch, config.size, str(choose_device(config)))
    chunks = Chunks(forward_at_once(choose_device(config), config.size), progress)
    with heap.held():
        return compute(PixelCache(ws, body.spec), body, shas, chunks)


@lru_cache(maxsize=4)
def _packaged_body(arch: str, size: int, device: str) -> Body:
    import torch

    from keepset.train.weights import create_network

    network = create_network(arch, 2, "packaged")
    network.to(device)
    network.to(memory_format=torch.channels_last)
    return body_of(network, preprocess_of(arch, size))


def squares(ws: Workspace, arch: str, shas: Sequence[str], config: TrainConfig) -> npt.NDArray[np.uint8]:
    """Validated images as ``of_squares`` takes them, uint8 [n, side, side, 3]."""
    cache = PixelCache(ws, _packaged_body(arch, config.size, str(choose_device(config))).spec)
    cache.fill(shas, SILENT)
    return cache.read(shas)


def of_squares(arch: str, pictures: npt.NDArray[np.uint8], config: TrainConfig) -> Floats:
    """Raw features, float32 [n, d], of pictures that are in no workspace, by the packaged network ``arch``."""
    body = _packaged_body(arch, config.size, str(choose_device(config)))
    chunks = Chunks(forward_at_once(choose_device(config), config.size), SILENT)
    return _computed(body, len(pictures), lambda place: pictures[place], chunks)


def of_images(arch: str, images: Iterable[Image.Image], config: TrainConfig) -> Floats:
    """The same of upright RGB images of any size."""
    spec = _packaged_body(arch, config.size, str(choose_device(config))).spec
    whole = replace(spec, crop=spec.resize)
    return of_squares(arch, np.stack([model_input(image, whole) for image in images]), config)


def compute(cache: PixelCache, body: Body, shas: Sequence[str], chunks: Chunks) -> Floats:
    """float32 [n, d] in the order of ``shas``; only what this body has not seen yet is computed."""
    body.network.eval()
    store = RowsFile(cache.ws.cache / "features" / body.id, body.width)
    missing = store.missing(shas)
    if missing:
        cache.fill(missing, chunks.progress)
        chunks.progress.start("computing image features", len(missing))
        for part in (missing[i : i + AT_ONCE] for i in range(0, len(missing), AT_ONCE)):
            rows = _computed(body, len(part), lambda at, of=part: cache.read(of[at]), chunks)  # type: ignore[misc]
            store.append(part, rows)
    return store.read(shas)


def _computed(body: Body, count: int, squares: Callable[[slice], npt.NDArray[np.uint8]], chunks: Chunks) -> Floats:
    """float32 [count, d]; ``squares`` gives the pictures at some places.

    Of a chain, each core takes some pictures of its own: that costs less than all cores on the same few, and the numbers
    do not depend on how many cores there are.
    """
    import torch

    found = np.zeros((count, body.width), np.float32)

    def forward(place: slice) -> Floats:
        taken = squares(place)
        found[place] = _forward(body, _filled_up(taken, chunks.forward))[: len(taken)]
        return found[place]

    def fill(at: int, stop: int) -> int:
        for _ in chunks.pieces(stop, forward, at):
            pass
        return stop

    device = next(body.network.parameters()).device
    with lanes(torch.get_num_threads() if body.chain and device.type == "cpu" else 1) as each:
        starts = range(0, count, size := chunks.forward)
        for at, stop in zip(starts, each(fill, starts, (min(count, i + size) for i in starts)), strict=True):
            chunks.progress.advance(stop - at)
    return found


def _filled_up(squares: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    """``squares`` and black ones, ``count`` in all: the last bits of a row depend on how many go through together, and so
    would on which stage asked first."""
    black = np.zeros((max(0, count - len(squares)), *squares.shape[1:]), np.uint8)
    return np.concatenate([squares, black]) if len(black) else squares


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


def _forward(body: Body, squares: npt.NDArray[np.uint8]) -> Floats:
    import torch

    with torch.inference_mode():
        x = _pixels(body, squares)
        if body.chain is None:
            features = features_and_logits(body.network, x)[0].float()
        else:
            blocks = len(body.chain.copies)
            x = body.chain.run(x, 0, blocks)
            with body.one_by_one:
                features = body.chain.features(body.network, x, blocks)
    out: Floats = features.cpu().numpy()
    return out


def _pixels(body: Body, squares: npt.NDArray[np.uint8]) -> torch.Tensor:
    import torch

    from keepset.train.batches import to_input

    return to_input(torch.from_numpy(squares), body.spec, next(body.network.parameters()).device)
