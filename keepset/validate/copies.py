"""The groups of duplicates among all good images: what proposes pairs, and the threads that compare them.

Thumbnails are Keepset's own files, so that no process of their own is needed as for pictures of strangers; OpenCV and numpy
work beside each other in threads, and what was made of one thumbnail serves all of its pairs.

What was compared once is in the journal: a run with a few new images compares those, not everything again.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keepset import duplicates
from keepset.config import RunConfig
from keepset.duplicates import Pair, PairVerdict, Pictures
from keepset.settings import settings
from keepset.stages import Progress
from keepset.storage.carrying import bring
from keepset.storage.journal import Journal, JournalRow
from keepset.validate.inspection import PixelJob, pixel_digest
from keepset.validate.pool import run_jobs
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["find", "searched_by"]

VERSION = 2
"""Of how pairs are compared: what the journal says of pairs counts for one version."""
_AT_ONCE = 4096
_LOOKS = 600
"""Thumbnails with their keypoints that are kept, at about 300 kB each."""


def searched_by(config: RunConfig) -> str | None:
    """The network whose features find copies: the first that the training uses, if it is a packaged one."""
    cfg = config.train
    return cfg.arch.split("+")[0].strip() if cfg.weights == "packaged" else None


def find(
    ws: Workspace, config: RunConfig, pictures: Pictures, journal: Journal, progress: Progress
) -> tuple[dict[str, JournalRow], int]:
    """Facts of the images that are not alone, by sha256 (see ``duplicates.group``), and how many were not compared."""
    progress.start("finding duplicates", None)
    plain, pairs = duplicates.look_alikes(pictures.sha256, pictures.phash, ws.thumb, config.validate_.near_bits)
    pairs += _neighbours(ws, config, pictures, progress)
    comparing = _Comparing(ws, pictures.sha256, journal, progress)
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


class _Comparing:
    """A ``duplicates.Judge``: verdicts from the journal, and from the pictures for what it does not have.

    The journal has one row per image, with what was said of it and each image of a larger sha256. ``lost`` counts the
    images that could not be compared.
    """

    def __init__(self, ws: Workspace, names: Sequence[str], journal: Journal, progress: Progress) -> None:
        self.ws, self.names = ws, names
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
        for sha, answer in self._compared(todo):
            self.progress.advance()
            if isinstance(answer, OSError):
                self.lost += 1
                self.progress.note(f"{sha} was not compared with its look-alikes: {answer}")
                continue
            said = {other: v.as_dict() if v else None for other, v in zip(todo[sha], answer, strict=True)}
            known = self.journal.get([_key(sha)]).get(_key(sha), {})
            self.journal.put(_key(sha), known | said)
            yield from self._said(sha, wanted[sha], said)

    def _compared(self, todo: Mapping[str, list[str]]) -> Iterator[tuple[str, list[PairVerdict | None] | OSError]]:
        """Each image and its verdicts, in order; no more of them under way than there are threads, and as many waiting."""
        import cv2
        from threadpoolctl import threadpool_limits

        count, look_at = settings().workers, functools.lru_cache(maxsize=_LOOKS)(duplicates.look_at)

        def verdicts(mine: Path, others: Sequence[Path]) -> list[PairVerdict | None] | OSError:
            """What the first thumbnail is to each of the others, or why one of them could not be read."""
            try:
                return [duplicates.judge(look_at(mine), look_at(other)) for other in others]
            except OSError as e:
                return e

        under_way: deque[tuple[str, Future[list[PairVerdict | None] | OSError]]] = deque()
        cv2.setNumThreads(1)
        with threadpool_limits(1), ThreadPoolExecutor(count) as pool:
            for sha, mine, others in self._thumbs(todo):
                under_way.append((sha, pool.submit(verdicts, mine, others)))
                while len(under_way) > 2 * count:
                    first, future = under_way.popleft()
                    yield first, future.result()
            for last, future in under_way:
                yield last, future.result()

    def _seen(self, shas: Iterable[str]) -> Iterator[tuple[str, JournalRow]]:
        rest = iter(shas)
        while some := list(islice(rest, _AT_ONCE)):
            rows = self.journal.get(_key(s) for s in some)
            yield from ((s, rows.get(_key(s), {})) for s in some)

    def _said(self, sha: str, mine: Mapping[str, Pair], answer: JournalRow) -> Iterator[tuple[Pair, PairVerdict]]:
        for other, pair in mine.items():
            if facts := answer.get(other):
                verdict = PairVerdict.from_dict(facts)
                yield pair, verdict if self.names[pair[0]] == sha else verdict.turned()

    def _thumbs(self, todo: Mapping[str, list[str]]) -> Iterator[tuple[str, Path, list[Path]]]:
        thumbs = bring(self.ws.thumb(s) for sha, others in todo.items() for s in (sha, *others))
        for sha, others in todo.items():
            yield sha, next(thumbs), list(islice(thumbs, len(others)))


def _key(sha: str) -> str:
    return f"pairs:{VERSION}:{sha}"


def _digests(ws: Workspace, config: RunConfig, journal: Journal, wanted: list[str]) -> dict[str, str]:
    """Digests of the full pixels, from the journal, and from workers for those it does not have."""
    known = {r["sha256"]: r["digest"] for r in journal.get(f"pixels:{s}" for s in wanted).values()}
    missing = [s for s in wanted if s not in known]
    blobs = bring(ws.blob(s) for s in missing)
    jobs = (PixelJob(s, blob) for s, blob in zip(missing, blobs, strict=True))
    cfg = config.validate_
    done = run_jobs(pixel_digest, jobs, workers=settings().workers, timeout_s=cfg.timeout_s, memory_mb=cfg.memory_mb)
    for job, answer in done:
        if isinstance(answer, str):
            journal.put(f"pixels:{job.sha256}", {"sha256": job.sha256, "digest": answer})
            known[job.sha256] = answer
    return known
