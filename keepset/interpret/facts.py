"""Every number of the report, as plain data."""

from __future__ import annotations

from collections import Counter
from typing import Any

from keepset import manifests
from keepset.errors import ManifestError
from keepset.files import read_json
from keepset.interpret.diagnosis import diagnose
from keepset.manifests import Manifest
from keepset.models import ModelRecord
from keepset.reasons import Split
from keepset.review.stopping import wilson
from keepset.workspace import Workspace

__all__ = ["gather"]

Row = dict[str, Any]
TOP_LOSSES = 24


def gather(ws: Workspace, record: ModelRecord, predictions: Manifest) -> dict[str, Any]:
    rows = predictions.rows()
    valid = [r for r in rows if r["split"] == Split.VALID]
    classes = list(record.classes)
    confusion = [[0] * len(classes) for _ in classes]
    for r in valid:
        confusion[classes.index(r["label"])][classes.index(r["predicted"])] += 1
    per_class = sorted((_of_class(c, valid) for c in classes), key=lambda c: (c["f1"] is None, c["f1"]))
    facts: dict[str, Any] = {
        "model": {
            "id": record.id, "arch": record.arch, "weights": record.weights, "winner": record.winner,
            "candidates": dict(record.candidates), "seed": record.seed, "threads": record.threads,
            "device": record.device, "revision": record.dataset_revision, "temperature": record.temperature,
            "created_at": record.created_at, "seconds": record.seconds,
        },
        "name": ws.name, "classes": classes, "metrics": dict(record.metrics), "confusion": confusion,
        "per_class": per_class, "pairs": _pairs(valid), "top_losses": _top_losses(valid),
        "reliability": _reliability(valid), "history": list(record.history), "lr_find": dict(record.lr_find),
        "before_after": _comparison(ws, record.id, valid),
        "dataset": _dataset(ws, record.dataset_revision),
    }  # fmt: skip
    facts["diagnosis"] = diagnose(facts)
    facts["verdict"] = _verdict(facts)
    return facts


def _of_class(label: str, valid: list[Row]) -> dict[str, Any]:
    """Precision, recall and F1 with Wilson intervals; None where there is nothing to count."""
    right = sum(r["label"] == label == r["predicted"] for r in valid)
    given = sum(r["label"] == label for r in valid)
    said = sum(r["predicted"] == label for r in valid)
    precision, recall = (right / said if said else None), (right / given if given else None)
    f1 = 2 * right / (given + said) if given and said else (0.0 if given else None)
    return {
        "label": label, "n": given, "precision": precision, "recall": recall, "f1": f1,
        "precision_interval": wilson(right, said) if said else None,
        "recall_interval": wilson(right, given) if given else None,
    }  # fmt: skip


def _pairs(valid: list[Row]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for r in valid:
        if r["predicted"] != r["label"]:
            found.setdefault((r["label"], r["predicted"]), []).append(r)
    ordered = sorted(found.items(), key=lambda p: (-len(p[1]), p[0]))[:6]
    return [
        {"label": a, "predicted": b, "n": len(rs), "images": [r["sha256"] for r in sorted(rs, key=_loss)[:8]]}
        for (a, b), rs in ordered
    ]


def _loss(r: Row) -> float:
    return -float(r["loss"])


def _top_losses(valid: list[Row]) -> list[dict[str, Any]]:
    keys = ("sha256", "label", "predicted", "loss")
    return [
        {k: r[k] for k in keys} | {"probability": max(r["model_probs"])}
        for r in sorted(valid, key=_loss)[:TOP_LOSSES]
    ]


def _reliability(valid: list[Row]) -> list[dict[str, Any]]:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for r in valid:
        p = max(r["model_probs"])
        bins.setdefault(min(9, int(p * 10)), []).append((p, r["predicted"] == r["label"]))
    return [
        {
            "confidence": sum(p for p, _ in b) / len(b),
            "accuracy": sum(ok for _, ok in b) / len(b),
            "n": len(b),
        }
        for _, b in sorted(bins.items())
    ]


def _comparison(ws: Workspace, model_id: str, valid: list[Row]) -> dict[str, Any] | None:
    """What ``promote`` found, with each image it names in words; None for a first model."""
    try:
        found: dict[str, Any] = read_json(ws.models / model_id / "comparison.json")
    except FileNotFoundError:
        return None
    if not found.get("before"):
        return None
    named = {*found["fixed_images"], *found["broken_images"]}
    said = {r["sha256"]: f"{r['label']}, predicted {r['predicted']}" for r in valid if r["sha256"] in named}
    return found | {"words": said}


def _dataset(ws: Workspace, revision: int) -> dict[str, Any]:
    """The data set card of ``revision``: where its pictures come from, under which licences, and what was dropped why."""
    rows = manifests.read(ws.dataset(revision), "dataset").rows()
    active = [r for r in rows if r["active"]]
    card: dict[str, Any] = {
        "revision": revision, "images": len(active), "deleted": len(rows) - len(active),
        "relabelled": sum(r["label"] != r["given_label"] for r in active),
        "by_class": dict(sorted(Counter(r["label"] for r in active).items())),
        "by_split": dict(sorted(Counter(r["split"] for r in active).items())),
        "dropped": {}, "licenses": {}, "sources": {},
        "attributions": [],
    }  # fmt: skip
    for name, path in ws.stage_manifests.items():
        try:
            found = manifests.read(path, name).rows()
        except ManifestError:
            continue
        dropped = Counter(str(r["reason"]) for r in found if r["status"] != "ok")
        card["dropped"][name] = dict(dropped.most_common())
        if name == "images":
            used = {r["sha256"] for r in active}
            mine = [r for r in found if r["sha256"] in used]
            card["licenses"] = dict(Counter(r["license"] or "unknown" for r in mine).most_common())
            card["sources"] = dict(Counter(r["source"] for r in mine).most_common())
            card["attributions"] = _attributions(mine)
    return card


def _attributions(images: list[Row]) -> list[dict[str, Any]]:
    """Who is to be credited, by licence; the link only if it is a web address, whatever the source wrote."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for r in images:
        url = r["license_url"] or ""
        web = url if url.lower().startswith(("http://", "https://")) else ""
        groups.setdefault((r["license"] or "unknown", web), []).append(r)
    return [
        {
            "license": code,
            "url": url or None,
            "n": len(rs),
            "creators": sorted({r["creator"] for r in rs if r["creator"]}),
        }
        for (code, url), rs in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))
    ]


def _verdict(facts: dict[str, Any]) -> str:
    v = facts["metrics"]["valid"]
    if not v.get("n"):
        return "There are no validation images, so nothing can be said about this model."
    worst = next((c for c in facts["per_class"] if c["f1"] is not None), None)
    text = f"{v['errors']} of {v['n']} validation images are wrong: {v['error_rate']:.1%} "
    text += f"(95 % interval {v['low']:.1%} to {v['high']:.1%})."
    if v["errors"] == 0:
        return text + " No mistake was seen; more validation images would tell how good it really is."
    if worst is not None and worst["f1"] < 1:
        text += f" The weakest class is '{worst['label']}' (F1 {worst['f1']:.2f})."
    return text
