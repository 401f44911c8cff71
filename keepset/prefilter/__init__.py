"""Which pictures need not be fetched, by their thumbnails: copies of pictures that are here, and clear junk.

It judges only by what the data set holds, and only where that is enough to be sure: see ``junk`` and ``known``. Whatever it
is not sure of is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keepset.config import RunConfig
from keepset.manifests.rows import UrlRow
from keepset.prefilter.junk import JunkJudge
from keepset.prefilter.known import Copy, KnownPictures
from keepset.reasons import DownloadReason
from keepset.review.revisions import contents
from keepset.stages import Progress
from keepset.train.features import of_images
from keepset.validate.copies import searched_by
from keepset.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Judge", "Verdict"]

ENOUGH = 200
"""Pictures in use from which thumbnails are judged; without a model, not before."""


@dataclass(frozen=True)
class Verdict:
    """Why a picture is not fetched; ``detail`` is for people."""

    reason: DownloadReason
    detail: str


class Judge:
    """Judges thumbnails by the data set as it is now. Loads a packaged network."""

    def __init__(self, ws: Workspace, config: RunConfig, progress: Progress) -> None:
        self.config, self.arch = config, searched_by(config) or ""
        self.known = KnownPictures(ws, config, self.arch, progress)
        enough = int(self.known.in_use.sum()) >= ENOUGH
        self.junk = JunkJudge.of(ws, config, self.arch, self.known) if enough else None

    @staticmethod
    def is_ready(ws: Workspace, config: RunConfig) -> bool:
        """Whether there is a model or enough pictures, and features to compare by: the training's first network is a packaged one."""
        if not searched_by(config) or not (ws.newest().exists() and ws.images.exists()):
            return False
        return ws.promoted() is not None or contents(ws, ws.revisions()[-1]).images >= ENOUGH

    def verdicts(self, thumbs: Sequence[tuple[UrlRow, Path]]) -> list[Verdict | None]:
        """Of each row of ``urls`` and its thumbnail, as validation makes them: why it need not be fetched, or None."""
        if not thumbs:
            return []
        features = of_images(self.arch, (_opened(path) for _, path in thumbs), self.config.train)
        labels, claimed = [r["label"] for r, _ in thumbs], [_claimed(r) for r, _ in thumbs]
        copies = self.known.copies(features, labels, [path for _, path in thumbs], claimed)
        scores = self.junk.scores(features).tolist() if self.junk else [0.0] * len(thumbs)
        return [
            _of_copy(copy) if copy else self._of_junk(score, label)
            for copy, score, label in zip(copies, scores, labels, strict=True)
        ]

    def _of_junk(self, score: float, label: str) -> Verdict | None:
        if self.junk is None or not self.junk.is_junk(score, label):
            return None
        words = (
            f"its thumbnail looks like a drawing, a layout or a page of text, more than the {self.junk.own} pictures in use do "
            f"(score {score:.2f}, limit {self.junk.limit:.2f})"
        )
        return Verdict(DownloadReason.PREFILTERED_JUNK, words)


def _of_copy(copy: Copy) -> Verdict:
    name = copy.sha256[:12]
    if copy.deleted_by:
        words = f"its thumbnail is a copy of the picture {name}, which was deleted in batch {copy.deleted_by}"
        return Verdict(DownloadReason.PREFILTERED_JUNK, words)
    words = f"its thumbnail is a copy of the picture {name}, which is here (`keepset trace {name}` shows it)"
    return Verdict(DownloadReason.PREFILTERED_COPY, words)


def _opened(path: Path) -> Image.Image:
    """A thumbnail that Keepset has made."""
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def _claimed(row: UrlRow) -> tuple[int, int] | None:
    return (row["width"], row["height"]) if row["width"] and row["height"] else None
