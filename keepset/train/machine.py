"""What a training runs on: device, number format, threads; and how much goes through at once.

Number format, measured on one core with AVX-512 BF16 (docs/training.md): a forward pass in bfloat16 pays there for
every network, 1.4 to 1.8 times; a whole training step pays for plain convolutions (resnet18: 1.8 times) and costs for
depthwise ones (EfficientNet-Lite0: 0.7 to 0.85 times). So on such a CPU the frozen front of a network that can be cut in two
(``keepset.train.chain``) runs in bfloat16, and the trained rest only if it has no depthwise convolutions. A CUDA device that knows bfloat16 uses it
for all. What a model is judged by (features, final logits) is always float32, as it is served.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from keepset.config import TrainConfig
from keepset.errors import ModelError
from keepset.stages import Progress
from keepset.train.shortage import cause, out_of_memory, too_large

if TYPE_CHECKING:
    import torch

__all__ = ["Chunks", "Machine", "choose_device", "facts", "forward_at_once", "lanes", "machine_for", "one_core"]

T = TypeVar("T")
R = TypeVar("R", bound=Sized)


@dataclass(frozen=True)
class Machine:
    """``front`` and ``rest``: whether the frozen and the trained part of the network run in bfloat16."""

    device: torch.device
    front: bool
    rest: bool
    fused: bool

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """Within, the trained part runs in its number format; its weights stay float32."""
        import torch

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.rest):
            yield

    @property
    def words(self) -> str:
        return f"front {'bf16' if self.front else 'fp32'}, rest {'bf16' if self.rest else 'fp32'}"


def choose_device(cfg: TrainConfig) -> torch.device:
    """The device asked for, or the best there is. Raises ``ModelError`` for one that is not here."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if (cfg.device == "cuda" and not cuda) or (cfg.device == "mps" and not mps):
        raise ModelError(f"There is no {cfg.device} device here.", 'Set [train] device = "auto"; see `keepset doctor`.')
    kind = cfg.device if cfg.device != "auto" else "cuda" if cuda else "mps" if mps else "cpu"
    return torch.device(kind)


def machine_for(cfg: TrainConfig, network: torch.nn.Module) -> Machine:
    """Device and number formats for ``network`` by the config, or by what was measured to pay."""
    import torch

    device = choose_device(cfg)
    fused = device.type in ("cuda", "cpu")  # MPS learnt it late, and gains little
    if cfg.precision != "auto":
        wide = cfg.precision == "bf16"
        return Machine(device, wide, wide, fused)
    if device.type == "cuda":
        wide = torch.cuda.is_bf16_supported(including_emulation=False)
        return Machine(device, wide, wide, fused)
    fast = device.type == "cpu" and cpu_has_bf16()
    return Machine(device, fast, fast and not _depthwise(network), fused)


def forward_at_once(device: torch.device, side: int) -> int:
    """Images a forward pass takes at once: on a CPU 16 at 224 px (fewer cost half as much again, more gain little and take
    memory), elsewhere enough to keep the device busy.
    """
    return min(32, max(2, 1 << round(math.log2(max(1, 900_000 / side**2))))) if device.type == "cpu" else 64


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Within, torch computes on one core: for a few pictures that is as fast, and on a busy machine far cheaper."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def lanes(count: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Within, a ``map`` over ``count`` threads, each of which computes on one core. 1: plain ``map``.

    torch's own threads on one operation wait for each other after every layer, at full load.
    """
    import torch

    if count == 1:
        yield map
        return
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(count)


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX-512 BF16 or AMX)."""
    import torch

    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, ask, bool)()) for ask in asks)


def _depthwise(network: torch.nn.Module) -> bool:
    import torch

    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    return any(m.groups > 1 and m.groups == m.in_channels for m in convolutions)


class Chunks:
    """How many images go through the network at once: halved when memory is not enough, for good.

    An optimizer step still sees its whole batch (gradients of the chunks are summed), so that steps, schedule and
    learning rate keep their meaning, and the result is the same up to rounding.
    """

    def __init__(self, size: int, progress: Progress, *, forward: int | None = None) -> None:
        self.size, self.asked, self.progress = size, size, progress
        self._forward = forward or size
        self.notes: list[str] = []

    @property
    def forward(self) -> int:
        """How many at once where nothing is learnt: at most what is fast."""
        return min(self.size, self._forward)

    def ranges(self, n: int) -> list[slice]:
        return [slice(i, min(i + self.size, n)) for i in range(0, n, self.size)]

    def pieces(self, stop: int, work: Callable[[slice], R], start: int = 0) -> Iterator[R]:
        """``work`` on the places from ``start`` to before ``stop``, ``forward`` at once."""
        while start < stop:
            found = self.fitting(lambda at=start: work(slice(at, min(stop, at + self.forward))))  # type: ignore[misc]
            start += len(found)
            yield found

    def fitting(self, work: Callable[[], T], images: int | None = None) -> T:
        """``work()`` on so many images (``forward``), again with smaller pieces as long as memory is not enough.

        Raises ``TrainingError`` at one image.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as e:
                if not out_of_memory(e):
                    raise
                reason = cause(e)
            self.halve(
                reason, min(self.size, images or self.forward)
            )  # here, where the exception no longer holds the tensors

    def halve(self, reason: str, tried: int) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if tried == 1:
            raise too_large(reason)
        self.size = (tried + 1) // 2
        words = (
            f"Out of memory ({reason}): from now on at most {self.size} images go through the network at once "
            f"instead of {tried}; a step still learns from its whole batch."
        )
        self.notes.append(words)
        self.progress.note(words)


def facts(machine: Machine, batch_size: int, chunks: Chunks) -> dict[str, Any]:
    """What ``model.json`` remembers of the machine."""
    return {
        "device": machine.device.type,
        "precision": machine.words,
        "batch_size": batch_size,
        "at_once": min(batch_size, chunks.size),
    }
