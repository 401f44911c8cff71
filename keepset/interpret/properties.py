"""What can be known of a picture without looking at what it shows: where it is from, how it was saved, and its edge.

Each property is one column or several: a whole number per image, the number of a bin (``Column.bins``) or of a value, -1
where it is not known. ``Edge`` is compared as it is, pixel by pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset.text import share

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

__all__ = ["CORNERS", "MARGIN", "Column", "Edge", "columns", "edges"]

MARGIN = "plain margin"
MOST_VALUES = 24
BINS = 8
CORNERS = ("top left", "top right", "bottom left", "bottom right")
CORNER = 48
"""Side of a corner, in pixels of a thumbnail whose longer side is 256."""
PLAIN = 3.0
"""Standard deviation of luma under which a line of pixels counts as plain."""


@dataclass(frozen=True)
class Column:
    """``bins`` [n] of one property, and how the value of each image is written."""

    name: str
    bins: Ints
    shown: Sequence[str]


@dataclass(frozen=True)
class Edge:
    """Of a thumbnail: how much of it is a plain margin (0 to 1), and the slopes of luma in the four corners, ``CORNERS``, [4, d]."""

    margin: float
    corners: Floats


def columns(
    rows: Sequence[Mapping[str, Any]], sites: Sequence[str | None], edge: Sequence[Edge | None]
) -> list[Column]:
    """Of images as rows of ``images.parquet``; those in which all pictures are alike are left out."""
    sizes = [_ratio(r["bytes"], (r["width"] or 0) * (r["height"] or 0)) for r in rows]
    found = [
        _values("site", [s or "" for s in sites]),
        _values(
            "format", [f"{r['format'] or ''} {'' if r['mode'] in ('RGB', None) else r['mode']}".strip() for r in rows]
        ),
        _numbers("size", [_pixels(r) for r in rows], lambda v: f"{v**0.5:.0f} px on average"),
        _numbers("shape", [_ratio(r["width"], r["height"]) for r in rows], lambda v: f"{v:.2f} : 1"),
        _numbers("file size", [r["bytes"] for r in rows], lambda v: f"{v / 1000:.0f} kB"),
        _numbers("compression", sizes, lambda v: f"{v:.2f} bytes per pixel"),
        _numbers("JPEG quality", [r["jpeg_quality"] for r in rows], lambda v: f"quality {v:.0f}"),
        _numbers("year", [r["year"] for r in rows], lambda v: f"{v:.0f}"),
        _numbers("brightness", [r["brightness"] for r in rows], lambda v: f"brightness {v:.2f}"),
        _numbers(
            MARGIN, [None if e is None else round(e.margin, 3) for e in edge], lambda v: f"{share(v, 0)} plain margin"
        ),
    ]
    return [c for c in found if len(np.unique(c.bins[c.bins >= 0])) > 1]


def _pixels(row: Mapping[str, Any]) -> float | None:
    return float(row["width"] * row["height"]) if row["width"] and row["height"] else None


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def _values(name: str, values: Sequence[str]) -> Column:
    """The most frequent values each by itself, the others together; "" is not known."""
    common = [v for v, n in Counter(values).most_common(MOST_VALUES + 1) if v and n > 1][:MOST_VALUES]
    number = {v: i for i, v in enumerate(common)}
    bins = [-1 if not v else number.get(v, len(common)) for v in values]
    return Column(name, np.array(bins, dtype=np.int64), values)


def _numbers(name: str, values: Sequence[float | None], shown: Callable[[float], str]) -> Column:
    """Eight bins with about as many images each; a value that many share is a bin by itself."""
    v = np.array([np.nan if x is None else x for x in values], dtype=np.float64)
    known = np.isfinite(v)
    bins = np.full(len(v), -1, dtype=np.int64)
    if known.any():
        own, count = np.unique(v[known], return_counts=True)
        frequent = own[count >= max(5, known.sum() / BINS)]
        rest = known & ~np.isin(v, frequent)
        bins[np.isin(v, frequent)] = np.searchsorted(frequent, v[np.isin(v, frequent)])
        if rest.any():
            cuts = np.unique(np.quantile(v[rest], np.arange(1, BINS) / BINS))
            bins[rest] = len(frequent) + np.searchsorted(cuts, v[rest], side="right")
    return Column(name, bins, ["" if x is None else shown(x) for x in values])


def edges(grey: npt.NDArray[np.uint8]) -> Edge:
    """Of a thumbnail's luma [height, width]."""
    luma = grey.astype(np.float32)
    margin = float(np.mean([_margin(lines) for lines in (luma, luma[::-1], luma.T, luma.T[::-1])]))
    side = max(1, min(CORNER, min(luma.shape) // 3))
    turned = (luma, luma[:, ::-1], luma[::-1], luma[::-1, ::-1])  # each begins at its corner
    return Edge(margin, np.stack([_slopes(_fitted(t[:side, :side])) for t in turned]))


def _margin(lines: Floats) -> float:
    """How deep the plain lines of one level go in from one side, as a share of the picture."""
    plain = (lines.std(1) < PLAIN) & (np.abs(lines.mean(1) - lines[0].mean()) < 2 * PLAIN)
    return float(plain.argmin() if not plain.all() else len(plain)) / len(plain)


def _fitted(corner: Floats) -> Floats:
    """[CORNER, CORNER], with what is missing repeated from its edge."""
    return np.pad(corner, [(0, CORNER - corner.shape[0]), (0, CORNER - corner.shape[1])], mode="edge")


def _slopes(corner: Floats) -> Floats:
    """Slopes of luma across and down, of length one in all: what is alike in many of them was put there."""
    soft = (corner[::2, ::2] + corner[1::2, ::2] + corner[::2, 1::2] + corner[1::2, 1::2]) / 4
    across, down = soft[1:-1, 2:] - soft[1:-1, :-2], soft[2:, 1:-1] - soft[:-2, 1:-1]
    found = np.concatenate([np.clip(across, -40, 40).ravel(), np.clip(down, -40, 40).ravel()])
    length = float(np.linalg.norm(found))
    return np.asarray(found / length if length > 1 else found * 0, dtype=np.float32)
