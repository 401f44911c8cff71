"""What a close comparison says of two pictures: a copy or the same scene, what was done to it, and which is fuller."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from keepset.duplicates.compare import Look, compare
from keepset.duplicates.overlay import Overlay
from keepset.text import share

__all__ = ["Kinship", "PairVerdict", "judge"]

_INSIDE = 0.8
"""Part of the cells that agree in a copy, once a caption at the edge is cut off."""
_LIKENESS = 0.9
"""Correlation of the cells that agree: two frames of a burst differ in the finest detail even where nothing moved."""
_SAME = 0.75
"""Part of the busy cells alone."""
_SAME_THOUGH_TINTED = 0.85
_TINTED = 20.0
"""Difference of the colours from which two things may just have one shape."""
_HOLDING = ((20, 0.5), (8, 0.8))
"""Keypoints of a copy that agree on scale and shift, and their part of the matched ones, at least."""
_SQUEEZED, _PLENTY = 1.04, 50
"""Change of aspect beyond which so many keypoints have to agree."""
_COMMON = 0.58
"""Part of one of two copies that both show: more than one half of a collage."""
_CROP = 0.22
"""Part of the larger picture that a crop shows, at least."""
_ALMOST_ONE = 0.98
_PATTERNS, _MANY = 6, 20
_EQUAL = 4.0
"""Mean difference of the colours, 0 to 255, under which two pictures without patterns are the same."""
_HUE = 0.3
"""Correlation of the colours under which a thing has another colour, not the picture."""
_SCENE = 0.4
"""Part of the busy cells that agree in two frames of one scene."""
_MOVED = ((0.25, 15, 0.3), (0.12, 30, 0.25))
"""Fewer cells have to where keypoints agree: part of the cells, keypoints, and part of the matched ones, at least."""
_PART = 0.95
"""Part from which a picture counts as whole."""
_CLEAN = 0.975
_FRAME = 0.8
_WRITING = 0.1
_TINT = 12.0


class Kinship(StrEnum):
    """How two pictures belong together."""

    COPY = "copy"
    SCENE = "scene"


@dataclass(frozen=True)
class PairVerdict:
    """Of two pictures ``a`` and ``b``; pairs of values are of ``a`` and of ``b``.

    ``shares``: part of the picture that the other shows too. ``framed``: the rest is a border or a bar. ``written``: a
    caption or logo is on it (on both: on one of them, not known which). ``tinted``: the colours differ.
    """

    kinship: Kinship
    mirrored: bool
    shares: tuple[float, float]
    framed: tuple[bool, bool]
    written: tuple[bool, bool]
    tinted: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> PairVerdict:
        pairs = {k: tuple(facts[k]) for k in ("shares", "framed", "written")}
        return cls(**facts | pairs | {"kinship": Kinship(facts["kinship"])})

    def turned(self) -> PairVerdict:
        """The same with ``b`` first."""
        return PairVerdict(
            self.kinship, self.mirrored, self.shares[::-1], self.framed[::-1], self.written[::-1], self.tinted
        )

    def words(self) -> str:
        """What was done to ``b``, seen from ``a``: "crop, 62 %; mirrored". Empty if it was only scaled or re-encoded."""
        said = []
        if self.shares[0] < _PART and not self.framed[0]:
            said.append(f"crop, {share(self.shares[0], 0)}")
        elif self.shares[1] < _PART and not self.framed[1]:
            said.append("shows more, but coarser" if not self.framed[0] else "shows more")
        said += ["mirrored"] if self.mirrored else []
        said += ["border added"] if self.framed[1] else []
        said += ["border cut off"] if self.framed[0] else []
        if any(self.written):
            added = {(False, True): "caption or logo added", (True, False): "without its caption or logo"}
            said.append(added.get(self.written, "one of them with a caption or logo"))
        said += ["other colours"] if self.tinted else []
        return "; ".join(said)

    def fuller(self) -> int:
        """Over 0 if ``a`` shows more of the picture, or is without additions; under 0 if ``b`` does; else 0."""
        lacking = [0.0 if self.framed[k] else 1 - self.shares[k] for k in (1, 0)]
        if abs(lacking[0] - lacking[1]) > 1 - _PART:
            return 1 if lacking[0] < lacking[1] else -1
        added = [self.framed[k] or (self.written[k] and not self.written[1 - k]) for k in (0, 1)]
        return int(added[1]) - int(added[0])


def judge(a: Look, b: Look) -> PairVerdict | None:
    """Compare two thumbnails. None: two different pictures."""
    found = compare(a, b)
    if found is None or (kinship := _kinship(found)) is None:
        return None
    added = found.edgier >= -_WRITING, found.edgier <= _WRITING
    written = added if found.kept * found.inside < _CLEAN else (False, False)
    return PairVerdict(
        kinship,
        found.fit.mirrored,
        (round(found.shares[0], 3), round(found.shares[1], 3)),
        (_framed(found, 0), _framed(found, 1)),
        written,
        found.tint > _TINT,
    )


def _kinship(o: Overlay) -> Kinship | None:
    if o.busy < _PATTERNS:
        return Kinship.COPY if o.difference < _EQUAL and min(o.shares) > _PART else None
    if o.fit.turned:
        return Kinship.SCENE
    if _equal(o) and _common(o):
        return Kinship.COPY
    if o.hue < _HUE:
        return None
    if _copied(o):
        return Kinship.COPY
    return Kinship.SCENE if _one_scene(o) else None


def _equal(o: Overlay) -> bool:
    """No two pictures are that alike by chance, however few keypoints a smooth one has, and whatever the colours."""
    patterns = o.busy >= _MANY and o.patterns >= _PART and o.likeness >= _ALMOST_ONE
    return patterns and (o.tint < _EQUAL or (o.inside >= _PART and (not o.fit.matched or _holds(o, _HOLDING))))


def _common(o: Overlay) -> bool:
    return o.kept * max(o.shares) >= _COMMON and min(o.shares) >= _CROP


def _copied(o: Overlay) -> bool:
    least = _SAME_THOUGH_TINTED if o.tint > _TINTED else _SAME
    if not _common(o) or o.inside < _INSIDE or o.patterns < least or o.likeness < _LIKENESS:
        return False
    if not o.fit.matched:  # whole picture on whole picture
        return True
    return _holds(o, _HOLDING) and (_squeeze(o) < _SQUEEZED or o.fit.inliers >= _PLENTY)


def _one_scene(o: Overlay) -> bool:
    if _squeeze(o) > _SQUEEZED or (o.tint > _TINTED and not _holds(o, _HOLDING[:1])):
        return False
    if not o.fit.matched:
        return o.agreeing >= _SCENE
    return _holds(o, [(n, part) for agreeing, n, part in _MOVED if o.agreeing >= agreeing])


def _holds(o: Overlay, least: Iterable[tuple[int, float]]) -> bool:
    return any(o.fit.inliers >= max(n, part * o.fit.matched) for n, part in least)


def _squeeze(o: Overlay) -> float:
    return max(o.fit.scale) / min(o.fit.scale)


def _framed(o: Overlay, k: int) -> bool:
    return o.shares[k] < 0.98 and o.seams[k] and o.plain[k] > _FRAME
