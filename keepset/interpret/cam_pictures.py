"""Where the network looked, for the images it is most wrong about: Grad-CAM as pictures and as numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.errors import ModelError
from keepset.images.heat import laid_over
from keepset.images.pixels import decode, model_input
from keepset.interpret.cam import Seen, grad_cam, spread
from keepset.interpret.thumbs import data_uri
from keepset.models import ModelRecord
from keepset.stages import Progress
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Looks", "where_it_looked"]

SHOWN = 6


@dataclass(frozen=True)
class Looks:
    """``rows``: the images with numbers about each heat map; ``pictures``: data: URIs by the names in the rows.

    ``left_out`` more would have taken ``seconds``.
    """

    rows: list[dict[str, Any]]
    pictures: dict[str, str]
    left_out: int
    seconds: float


def where_it_looked(
    ws: Workspace, record: ModelRecord, images: Sequence[dict[str, Any]], progress: Progress, budget: float
) -> Looks:
    """Grad-CAM of up to 6 ``images`` (cards with sha256 and predicted), for the class predicted of each; of the first, and of
    as many more as fit into ``budget`` CPU seconds by what it took.

    An image that cannot be read any more is a row with ``"readable": False``. Raises ``ModelError``.
    """
    network = _network(ws, record)
    found: list[dict[str, Any]] = []
    pictures: dict[str, str] = {}
    shown, slowest, begin = images[:SHOWN], 0.0, time.process_time()
    progress.start("showing where the model looked", len(shown))
    for i, card in enumerate(shown):
        started = time.process_time()
        if i and started - begin + slowest > budget:
            return Looks(found, pictures, len(shown) - i, (len(shown) - i) * slowest)
        progress.advance()
        row = {k: card[k] for k in ("sha256", "name", "label", "predicted", "probability", "loss")}
        try:
            pixels = model_input(
                decode(ws.blob(card["sha256"]).read_bytes(), shortest=record.preprocess.resize), record.preprocess
            )
        except (OSError, ValueError, SyntaxError):
            found.append(row | {"readable": False})
            continue
        seen = grad_cam(network, pixels, record.preprocess, record.classes.index(card["predicted"]))
        names = {"crop": f"crop {card['sha256']}", "heat": f"heat {card['sha256']}"}
        plain, warm = _pictures(pixels, seen)
        pictures |= {names["crop"]: data_uri(plain), names["heat"]: data_uri(warm)}
        x, y = seen.centre()
        found.append(row | names | {"readable": True, "centre": [x, y], "spread": spread(seen.heat)})
        slowest = max(slowest, time.process_time() - started)
    return Looks(found, pictures, 0, 0.0)


def _network(ws: Workspace, record: ModelRecord) -> Any:
    from safetensors import SafetensorError

    from keepset.export.onnx import load_network

    try:
        (ws.models / record.id / "weights.safetensors").stat()  # before torch is loaded
        return load_network(ws, record)
    except (OSError, RuntimeError, SafetensorError) as e:
        raise ModelError(
            f"The weights of model {record.id} are gone or damaged.", "Restore its weights.safetensors from a backup."
        ) from e


def _pictures(pixels: Any, seen: Seen) -> tuple[Image.Image, Image.Image]:
    """The crop that the network saw, and the same with the heat over its greys."""
    from PIL import Image

    plain = Image.fromarray(pixels)
    return plain, laid_over(plain, seen.heat, (0, 0, *plain.size))
