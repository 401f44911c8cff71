"""How the model does elsewhere: the error on sources that it has not seen, and whether the class can be told by the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from keepset import manifests
from keepset.errors import ModelError
from keepset.interpret.properties import Edge, columns, edges
from keepset.interpret.scored import Predictions
from keepset.interpret.shortcuts import MARK, Tested, told_by
from keepset.interpret.unseen import Judged, Unseen, error_on_unseen
from keepset.manifests.rows import DatasetRow, ImageRow
from keepset.models.features import ModelFeatures
from keepset.split.origins import creator_key
from keepset.storage.carrying import bring
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["elsewhere", "site_of"]

SAMPLE, PER_CLASS, MOST = 1500, 40, 4000
"""Pictures whose properties are looked at: 40 per class, from 1,500 to 4,000, one of each origin."""
STRENGTH = 0.03
"""Of the head, for a model that does not say which was chosen."""
_PROPERTIES = (
    "sha256", "url", "format", "mode", "width", "height", "bytes", "jpeg_quality", "year", "brightness",
)  # fmt: skip
_SECOND_LEVEL = {"ac", "co", "com", "edu", "gov", "net", "or", "org"}


@dataclass(frozen=True)
class _Known:
    """What is known of the model's images, in the order of its predictions; "" and None: not known."""

    shas: list[str]
    labels: Ints
    plain_wrong: npt.NDArray[np.bool_]
    sites: list[str | None]
    creators: list[str | None]
    folds: Ints
    groups: list[str]
    origins: list[str]


def elsewhere(ws: Workspace, predictions: Predictions) -> dict[str, Any]:
    """For the report: ``unseen`` (``Unseen`` with its ``words``) and ``shortcuts``: the ``words``, the worst one that was
    ``found`` or None, and all ``tested``, the worst first.
    """
    known = _known(ws, predictions)
    unseen = _unseen(ws, predictions, known)
    tested = _shortcuts(ws, predictions, known)
    return {"unseen": asdict(unseen) | {"words": unseen.words()}, "shortcuts": tested}


def site_of(url: str | None) -> str | None:
    """The site of an address, without the names of its servers; None for a local file.

    ``upload.wikimedia.org`` is ``wikimedia.org``, ``a.museum.co.uk`` is ``museum.co.uk``.
    """
    try:
        host = (urlsplit(url or "").hostname or "").rstrip(".").lower()
    except ValueError:  # such as http://[x
        return None
    parts = host.split(".")
    if ":" in host or parts[-1].isdigit():  # an address in numbers
        return host
    two_letters = len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in _SECOND_LEVEL
    return ".".join(parts[-3:] if two_letters else parts[-2:]) or None


def _known(ws: Workspace, predictions: Predictions) -> _Known:
    shas = predictions.table["sha256"].to_pylist()
    place = {sha: i for i, sha in enumerate(shas)}
    sites: list[str | None] = [None] * len(shas)
    creators, written = list(sites), dict[str, str]()
    for r in _images(ws, ("sha256", "url", "creator"), shas):
        i, key = place[r["sha256"]], creator_key(r["creator"])
        sites[i] = site_of(r["url"])
        creators[i] = written.setdefault(key, " ".join(str(r["creator"]).split())) if key else None
    folds, groups, origins = np.zeros(len(shas), np.int64), list(shas), list(shas)
    data = ws.dataset(predictions.record.dataset_revision)
    for d in manifests.picked(data, DatasetRow, ("sha256", "fold", "group_id", "origin_id"), shas):
        i = place[d["sha256"]]
        folds[i], groups[i], origins[i] = d["fold"], d["group_id"], d["origin_id"] or d["group_id"]
    scored = predictions.cross_validated()
    return _Known(shas, scored.given, scored.wrong, sites, creators, folds, groups, origins)


def _images(ws: Workspace, names: Sequence[str], shas: Sequence[str]) -> Iterator[ImageRow]:
    """A data set can come without the manifests of the stages before it."""
    return manifests.picked(ws.images, ImageRow, names, shas) if ws.images.exists() else iter(())


# -- the error on unseen sources ---------------------------------------------------------------------


def _unseen(ws: Workspace, predictions: Predictions, known: _Known) -> Unseen:
    record = predictions.record
    try:
        features = ModelFeatures.of(ws, record.id)
    except ModelError as e:
        return Unseen(why_not=f"How it does on a new site cannot be measured: {e.message} {e.remedy}".strip())
    row = {sha: i for i, sha in enumerate(features.sha256)}
    rows = [row[sha] for sha in known.shas]
    strength = record.metrics.get("cv", {}).get("strength", STRENGTH)
    data = Judged(
        record.classes, known.labels, known.folds, known.plain_wrong, known.sites, known.creators, known.groups,
        lambda keep: features.at([rows[i] for i in keep]), float(strength), record.seed,
    )  # fmt: skip
    return error_on_unseen(data)


# -- shortcuts ---------------------------------------------------------------------------------------


def _shortcuts(ws: Workspace, predictions: Predictions, known: _Known) -> dict[str, Any]:
    classes = predictions.record.classes
    some = _sample(known, len(classes), predictions.record.seed)
    rows = {r["sha256"]: r for r in _images(ws, _PROPERTIES, [known.shas[i] for i in some])}
    some = np.array([i for i in some if known.shas[i] in rows], dtype=np.int64)
    if not len(some):
        return {"words": "Whether the class can be told without the picture's content was not tested: "
                "images.parquet is missing.", "found": None, "tested": []}  # fmt: skip
    shas = [known.shas[i] for i in some]
    edge = _edges(ws, shas)
    found = columns([rows[s] for s in shas], [known.sites[i] for i in some], edge)
    there = next((e for e in edge if e is not None), None)
    corners = (
        None if there is None else np.stack([np.zeros_like(there.corners) if e is None else e.corners for e in edge])
    )
    shown = {c.name: c.shown for c in found}
    tested = told_by(known.labels[some], found, corners, predictions.record.seed)
    worst = next((t for t in tested if t.found), None)
    return {
        "words": _words(worst, classes, shown, tested),
        "found": None if worst is None else _example(worst, classes, shas, known.labels[some], shown),
        "pictures": len(shas),
        "tested": [{"property": t.name, "label": classes[t.label], "auc": t.auc, "p": t.p, "found": t.found,
                    "place": t.place} for t in tested],
    }  # fmt: skip


def _sample(known: _Known, classes: int, seed: int) -> Ints:
    """One picture of each origin, of each class as many as there is room for."""
    order = np.random.default_rng([seed, 4]).permutation(len(known.shas))
    _, first = np.unique(np.array(known.origins)[order], return_index=True)
    order = order[np.sort(first)]
    labels = known.labels[order]
    nth = np.empty(len(order), np.int64)
    for c in np.unique(labels):
        nth[labels == c] = np.arange((labels == c).sum())
    most = int(np.clip(PER_CLASS * classes, SAMPLE, MOST))
    return np.asarray(order[np.argsort(nth, kind="stable")][:most])


def _edges(ws: Workspace, shas: Sequence[str]) -> list[Edge | None]:
    """From the thumbnails; None where there is none."""
    from PIL import Image

    found: list[Edge | None] = []
    for path in bring([ws.thumb(s) for s in shas]):
        try:
            with Image.open(path) as thumb:
                found.append(edges(np.asarray(thumb.convert("L"))))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            found.append(None)
    return found


_SAYS = {
    "site": "the site alone", "format": "the file format alone", "size": "the number of pixels alone",
    "shape": "the shape of the picture alone", "file size": "the size of the file alone",
    "compression": "how strongly the file is compressed", "JPEG quality": "the JPEG quality alone",
    "year": "the year alone", "brightness": "brightness alone",
    "plain margin": "a plain margin (a border, or an empty background)",
}  # fmt: skip
_REMEDY = {
    "site": "Add pictures of '{}' from the sites that the other classes come from",
    "brightness": "If '{}' does not always look like that, add pictures of it in other light",
    "plain margin": "If '{}' does not always look like that, add pictures of it without one",
    "shape": "If '{}' does not always look like that, add pictures of it in other shapes",
    MARK: "Look at the pictures in the report; if it is a watermark, add pictures of '{}' without one",
}


def _words(
    worst: Tested | None, classes: Sequence[str], shown: Mapping[str, Sequence[str]], tested: list[Tested]
) -> str:
    if not tested:
        return (
            "Whether the class can be told without the picture's content was not tested: that takes two classes with ten "
            "pictures each, from different pages and creators."
        )
    if worst is None:
        return "The class cannot be told without looking: not from the site, the file, or the edge of the picture."
    label = classes[worst.label]
    what = _SAYS.get(worst.name, f"the {worst.place} corner (a watermark, or something that is always there)")
    remedy = _REMEDY.get(worst.name, "Add pictures of '{}' that are saved like those of the other classes").format(
        label
    )
    if worst.name == "site" and worst.typical:
        at = [shown["site"][i] for i in worst.typical]
        remedy += f" (many are from {max(sorted(set(at)), key=at.count)})"
    return (
        f"'{label}' can be told without looking: {what} tells it from the other classes in {100 * worst.auc:.0f} of 100 "
        f"comparisons. A model may learn that instead of what the picture shows, and fail elsewhere. {remedy}."
    )


def _example(
    t: Tested, classes: Sequence[str], shas: list[str], labels: Ints, shown: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    def card(i: int) -> dict[str, str]:
        says = shown[t.name][i] if t.name in shown else ""
        return {"sha256": shas[i], "label": classes[labels[i]], "says": says}

    return {
        "property": t.name, "place": t.place, "label": classes[t.label], "auc": t.auc, "p": t.p,
        "typical": [card(i) for i in t.typical], "others": [card(i) for i in t.others],
    }  # fmt: skip
