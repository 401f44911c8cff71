"""The groups of duplicates among all good images: what proposes pairs, and the workers that compare them.

What was compared once is in the journal: a run with a few new images compares those, not everything again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import duplicates
from keepset.config import RunConfig
from keepset.duplicates import Pair, PairVerdict, Pictures
from keepset.settings import settings
from keepset.stages import Progress
from keepset.storage.carrying import bring
from keepset.storage.journal import Journal, Row
from keepset.validate.inspection import PixelJob, pixel_digest
from keepset.validate.pool import Lost, run_jobs
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CompareJob", "compare", "find", "searched_by"]

VERSION = 2
"""Of how pairs are compared: what the journal says of pairs counts for one version."""
_AT_ONCE = 4096
_LOOKS = 600
"""Thumbnails with their keypoints that a worker keeps, at about 250 kB each."""
_SECONDS = 15.0
"""Time for one image and its look-alikes, beside the decoding, on a machine that is busy."""
_MEMORY = 1024
"""Megabytes of address space that OpenCV and those thumbnails need."""


def searched_by(config: RunConfig) -> str | None:
    """The network whose features find copies: the first that the training uses, if it is a packaged one."""
    cfg = config.train
    return cfg.arch.split("+")[0].strip() if cfg.weights == "packaged" else None


def find(
    ws: Workspace, config: RunConfig, pictures: Pictures, journal: Journal, progress: Progress
) -> tuple[dict[str, Row], int]:
    """Facts of the images that are not alone, by sha256 (see ``duplicates.group``), and how many were not compared."""
    progress.start("finding duplicates", None)
    plain, pairs = duplicates.look_alikes(
        pictures.sha256, pictures.phash, ws.thumb, config.validate_.near_bits
    )
    pairs += _neighbours(ws, config, pictures, progress)
    comparing = _Comparing(ws, config, pictures.sha256, journal, progress)
    digests = functools.partial(_digests, ws, config, journal)
    return duplicates.group(pictures, plain, pairs, comparing, digests), comparing.lost


def _neighbours(ws: Workspace, config: RunConfig, pictures: Pictures, progress: Progress) -> list[Pair]:
    """Pairs that are alike to a packaged network; none if the training uses no such network."""
    arch, held = searched_by(config), ws.held_blobs()
    if arch is None:
        return []
    there = np.array([i for i, s in enumerate(pictures.sha256) if held.size(s)], np.int64)
    try:
        from keepset.train.features import of_packaged
    except ImportError as e:
        progress.note(f"copies are found by perceptual hash only: {e}. Install Keepset again to mend that.")
        return []

    def features(start: int, stop: int) -> npt.NDArray[np.float32]:
        shas = [pictures.sha256[i] for i in there[start:stop]]
        return of_packaged(ws, arch, shas, progress, config.train)

    pairs = there[duplicates.nearest_pairs(features, len(there))]
    return [(int(i), int(j)) for i, j in pairs]


@dataclass(frozen=True)
class CompareJob:
    """The thumbnail of one image, and those of the images that it is to be compared with; all by sha256."""

    sha256: str
    thumb: Path
    others: tuple[tuple[str, Path], ...]


def compare(job: CompareJob) -> dict[str, dict[str, Any] | None]:
    """By sha256 of the others the verdict as a dictionary, or None. Runs in a worker process."""
    mine = _look(job.thumb)
    found = {sha: duplicates.judge(mine, _look(thumb)) for sha, thumb in job.others}
    return {sha: verdict.as_dict() if verdict else None for sha, verdict in found.items()}


@functools.lru_cache(maxsize=_LOOKS)
def _look(thumb: Path) -> duplicates.Look:
    import cv2

    cv2.setNumThreads(1)
    return duplicates.look_at(thumb)


class _Comparing:
    """A ``duplicates.Judge``: verdicts from the journal, and from workers for what it does not have.

    The journal has one row per image, with what was said of it and each image of a larger sha256. ``lost`` counts the
    images that a worker did not live to compare.
    """

    def __init__(
        self, ws: Workspace, config: RunConfig, names: Sequence[str], journal: Journal, progress: Progress
    ) -> None:
        self.ws, self.config, self.names = ws, config, names
        self.journal, self.progress = journal, progress
        self.lost = 0

    def __call__(self, pairs: Sequence[Pair]) -> dict[Pair, PairVerdict]:
        wanted: dict[str, dict[str, Pair]] = {}
        for i, j in pairs:
            first, second = sorted((self.names[i], self.names[j]))
            wanted.setdefault(first, {})[second] = (i, j)
        return dict(self._verdicts(wanted))

    def _verdicts(self, wanted: dict[str, dict[str, Pair]]) -> Iterator[tuple[Pair, PairVerdict]]:
        todo: dict[str, list[str]] = {}
        for sha, seen in self._seen(wanted):
            mine = wanted[sha]
            if missing := [other for other in mine if other not in seen]:
                todo[sha] = missing
            yield from self._said(sha, mine, seen)
        if todo:
            self.progress.start("comparing look-alikes", len(todo))
        for job, answer in _run(compare, self._jobs(todo), self.config):
            self.progress.advance()
            if isinstance(answer, Lost):
                self.lost += 1
                self.progress.note(f"{job.sha256} was not compared with its look-alikes: {answer.detail}")
                continue
            known = self.journal.get([_key(job.sha256)]).get(_key(job.sha256), {})
            self.journal.put(_key(job.sha256), known | answer)
            yield from self._said(job.sha256, wanted[job.sha256], answer)

    def _seen(self, shas: Iterable[str]) -> Iterator[tuple[str, Row]]:
        rest = iter(shas)
        while some := list(islice(rest, _AT_ONCE)):
            rows = self.journal.get(_key(s) for s in some)
            yield from ((s, rows.get(_key(s), {})) for s in some)

    def _said(self, sha: str, mine: Mapping[str, Pair], answer: Row) -> Iterator[tuple[Pair, PairVerdict]]:
        for other, pair in mine.items():
            if facts := answer.get(other):
                verdict = PairVerdict.from_dict(facts)
                yield pair, verdict if self.names[pair[0]] == sha else verdict.turned()

    def _jobs(self, todo: Mapping[str, list[str]]) -> Iterator[CompareJob]:
        thumbs = bring(self.ws.thumb(s) for sha, others in todo.items() for s in (sha, *others))
        for sha, others in todo.items():
            yield CompareJob(sha, next(thumbs), tuple(zip(others, islice(thumbs, len(others)), strict=True)))


def _key(sha: str) -> str:
    return f"pairs:{VERSION}:{sha}"


def _digests(ws: Workspace, config: RunConfig, journal: Journal, wanted: list[str]) -> dict[str, str]:
    """Digests of the full pixels, from the journal, and from workers for those it does not have."""
    known = {r["sha256"]: r["digest"] for r in journal.get(f"pixels:{s}" for s in wanted).values()}
    missing = [s for s in wanted if s not in known]
    blobs = bring(ws.blob(s) for s in missing)
    jobs = (PixelJob(s, blob) for s, blob in zip(missing, blobs, strict=True))
    for job, answer in _run(pixel_digest, jobs, config):
        if isinstance(answer, str):
            journal.put(f"pixels:{job.sha256}", {"sha256": job.sha256, "digest": answer})
            known[job.sha256] = answer
    return known


def _run(function: Callable[[Any], Any], jobs: Iterator[Any], config: RunConfig) -> Iterator[tuple[Any, Any]]:
    cfg = config.validate_
    memory = max(cfg.memory_mb, _MEMORY)
    return run_jobs(
        function, jobs, workers=settings().workers, timeout_s=cfg.timeout_s + _SECONDS, memory_mb=memory
    )
