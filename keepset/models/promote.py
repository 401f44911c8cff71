"""Put a new model in use only if it is not worse than the one before, by more than chance explains."""

from __future__ import annotations

from typing import Any

from keepset import manifests
from keepset.blocklist import BlockList
from keepset.config import RunConfig
from keepset.files import read_json, write_json
from keepset.manifests.rows import DatasetRow, PredictionRow
from keepset.models import ModelRecord, load_record
from keepset.models.columns import Columns, columns
from keepset.stages import SILENT, Progress, Stage, StageResult
from keepset.text import many
from keepset.workspace import Workspace

__all__ = ["compare", "compare_and_promote", "mcnemar", "outcome"]

ALPHA = 0.05
"""A new model is refused only if it is worse with a p-value under this (two-sided, exact)."""


def compare_and_promote(ws: Workspace, config: RunConfig, model_id: str, *, progress: Progress = SILENT) -> StageResult:
    """Compare ``model_id`` with the model in use on the same images, promote it or not, and say why. Safe to repeat.

    The comparison stays in ``models/<id>/comparison.json``; it is made again if another model came into use since and
    ``model_id`` is the one of the run config and data set in force (the config went back to an earlier one). Raises ``ModelError`` for an unknown model.
    """
    record = load_record(ws, model_id)
    path, before = ws.models / model_id / "comparison.json", ws.promoted()
    found: dict[str, Any] = read_json(path) if path.exists() else {}
    if found and before in (model_id, found["before"]):
        if found["promote"] and before == found["before"]:
            ws.promote(model_id, found["message"])  # a kill came between the two writes
        return _result(found, changed=False)
    if found and not _is_in_force(ws, config, record):  # a run of earlier times, taken up again
        return _result(found | {"message": f"a later model, {before}, stays in use."}, changed=False)
    found = _first(model_id) if before in (None, model_id) else compare(ws, str(before), model_id)
    write_json(path, found)
    if found["promote"]:
        ws.promote(model_id, found["message"])
    return _result(found, changed=True)


def _is_in_force(ws: Workspace, config: RunConfig, record: ModelRecord) -> bool:
    """Whether the model is what training on the current revision with the current config gives."""
    mine = (record.config, record.seed, record.dataset_hash)
    return mine == (config.part("train"), config.seed, manifests.read_header(ws.newest()).content_hash)


def _first(model_id: str) -> dict[str, Any]:
    return {"model_id": model_id, "before": None, "promote": True, "message": "This first model is now in use."}


def _result(found: dict[str, Any], *, changed: bool) -> StageResult:
    message = found["message"] if changed else f"up to date: {found['message']}"
    shown = ("promote", "fixed", "broken", "p_value")
    summary: dict[str, Any] = {k: found[k] for k in shown if k in found}
    return StageResult(Stage.PROMOTE, changed, message, summary, {"model_id": found["model_id"]})


def compare(ws: Workspace, before: str, after: str) -> dict[str, Any]:
    """Paired comparison on the validation images that both models were held out from, under today's labels.

    ``fixed_images`` and ``broken_images`` list the images (sha256) that only one of the two gets right. ``columns``: mistakes
    of their cross-validated heads on all pictures of both, under the labels that each was trained on (``keepset.models.columns``).
    """
    old, new = (_predicted(ws, m) for m in (before, after))
    today = manifests.picked(ws.newest(), DatasetRow, ("sha256", "label", "active"), old.keys() & new.keys())
    truth = {r["sha256"]: r["label"] for r in today if r["active"]}
    both = [s for s in old if s in truth]
    fixed = [s for s in both if old[s] != truth[s] and new[s] == truth[s]]
    broken = [s for s in both if old[s] == truth[s] and new[s] != truth[s]]
    p = mcnemar(len(fixed), len(broken))
    tainted = _learnt_what_was_removed(ws, before) and not _learnt_what_was_removed(ws, after)
    worse = len(broken) > len(fixed) and p < ALPHA and not tainted
    newer = load_record(ws, after).dataset_revision > load_record(ws, before).dataset_revision
    errors = [sum(m[s] != truth[s] for s in both) for m in (old, new)]
    counts = _counts(len(both), errors, len(fixed), len(broken)) + _then(load_record(ws, before), errors[0])
    verdict = _TAINTED if tainted else _verdict(errors, worse=worse, newer=newer)
    message = f"{counts} {verdict}"
    return {
        "model_id": after, "before": before, "promote": not worse, "n": len(both), "errors_before": errors[0],
        "errors_after": errors[1], "fixed": len(fixed), "broken": len(broken), "p_value": p,
        "fixed_images": fixed, "broken_images": broken, "message": message, "columns": _columns(ws, before, after).as_json(),
    }  # fmt: skip


def _learnt_what_was_removed(ws: Workspace, model_id: str) -> bool:
    """Whether pictures that were taken down were among those that the model was trained or measured on."""
    removed = BlockList.of(ws).sha256
    path = ws.models / model_id / "predictions.parquet"
    return any(True for _ in manifests.picked(path, PredictionRow, ("sha256",), removed))


_TAINTED = "The model before learnt from pictures that were taken down: the new model is in use in any case."


def _counts(n: int, errors: list[int], fixed: int, broken: int) -> str:
    moved = f" (fixed {fixed}, broke {broken})" if fixed or broken else ""
    return f"{many(errors[0], 'mistake')} before, {errors[1]} now on the same {n} held-out pictures, under today's labels{moved}."


def _then(before: ModelRecord, wrong: int) -> str:
    """What the model before was wrong on when it was trained, where the pictures or labels were mended since."""
    v = before.metrics.get("valid", {})
    if v.get("errors") in (None, wrong):
        return ""
    return f" On the pictures and labels of its own time, the model before was wrong on {v['errors']} of {v['n']}."


def _verdict(errors: list[int], *, worse: bool, newer: bool) -> str:
    """``newer``: the new model saw a later revision of the data set; only then is cleaner data the reason."""
    if worse:
        return "That is worse than chance explains: the old model stays in use."
    if errors[1] < errors[0]:
        return "The new model is in use."
    cleaner = "model trained on the changed data" if newer else "new model"
    return f"No measurable difference: the {cleaner} is now in use."


def outcome(ws: Workspace, model_id: str) -> str:
    """What comparing this model with the one before found, in words; empty if it was not compared yet."""
    path = ws.models / model_id / "comparison.json"
    return str(read_json(path)["message"]) if path.exists() else ""


def _predicted(ws: Workspace, model_id: str) -> dict[str, str]:
    path = ws.models / model_id / "predictions.parquet"
    rows = manifests.each(path, PredictionRow, ("sha256", "split", "predicted"))
    return {r["sha256"]: r["predicted"] for r in rows if r["split"] == "valid"}


def _columns(ws: Workspace, before: str, after: str) -> Columns:
    import pyarrow.compute as pc

    names = ["sha256", "label", "cv_predicted"]
    old, new = (
        manifests.read(ws.models / m / "predictions.parquet", "predictions").table.select(names)
        for m in (before, after)
    )
    place = pc.index_in(new["sha256"], value_set=old["sha256"].combine_chunks())
    both = pc.is_valid(place)
    new, old = new.filter(both), old.take(place.filter(both))
    was, said_before, now, said_after = (t[c].to_numpy() for t in (old, new) for c in names[1:])
    return columns(was, now, said_before, said_after)


def mcnemar(a: int, b: int) -> float:
    """Exact two-sided p-value that ``a`` and ``b`` discordant pairs differ by chance (McNemar 1947; binomial)."""
    from scipy.stats import binomtest

    return float(binomtest(a, a + b).pvalue) if a + b else 1.0
