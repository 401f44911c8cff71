"""Other rankings of the same images, from the same features and the same out-of-sample probabilities.

* knn      mean cosine distance to the five nearest other images
* label    1 - out-of-sample probability of the label
* datalab  cleanlab's Datalab with features and probabilities: its label and outlier issues first, by the worse of the
           two scores, then the rest in the same way
* rule     the rule of fastai's cleaner: by loss, held-out for validation and in-sample for training images; its
           lists are merged and not cut, which is kind to it
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from keepset import manifests
from keepset.models import load_record
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

__all__ = ["NEIGHBOURS", "PEERS", "datalab", "distances", "peers"]

PEERS = ("knn", "label", "datalab", "rule")
NEIGHBOURS = 5


def peers(ws: Workspace, model_id: str) -> dict[str, list[str]]:
    """By ranking, the sha256s of all images that the model has predicted, the most suspect first."""
    from keepset.models.features import ModelFeatures

    rows = manifests.read(ws.models / model_id / "predictions.parquet", "predictions").rows()
    kept = ModelFeatures.of(ws, model_id)
    order, matrix = kept.sha256, kept.all()
    place = {s: i for i, s in enumerate(order)}
    rows = sorted((r for r in rows if r["sha256"] in place), key=lambda r: r["sha256"])
    x = matrix[[place[r["sha256"]] for r in rows]].astype(np.float64)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    y, probs = _labels_and_probabilities(rows, list(load_record(ws, model_id).classes))
    scores: dict[str, Floats] = {
        "knn": distances(x),
        "label": 1.0 - probs[np.arange(len(y)), y],
        "datalab": datalab(x, y, probs),
        "rule": np.array([r["loss"] for r in rows]),
    }
    return {name: [rows[i]["sha256"] for i in np.argsort(-s, kind="stable")] for name, s in scores.items()}


def _labels_and_probabilities(rows: list[dict[str, Any]], classes: list[str]) -> tuple[Ints, Floats]:
    """Classes without an image are left out: Datalab refuses them."""
    given = {r["label"] for r in rows}
    kept = [i for i, c in enumerate(classes) if c in given]
    index = {classes[i]: n for n, i in enumerate(kept)}
    probs = np.array([r["cv_probs"] for r in rows], dtype=np.float64)[:, kept]
    return np.array([index[r["label"]] for r in rows]), probs / probs.sum(axis=1, keepdims=True)


def distances(unit: Floats) -> Floats:
    """Mean cosine distance of each row [n, d] of length one to its nearest other rows, [n]."""
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    k = min(NEIGHBOURS, len(unit) - 1)
    nearest: Floats = np.partition(near, -k, axis=1)[:, -k:]
    return 1.0 - nearest.mean(axis=1)


def datalab(x: Floats, y: Ints, probs: Floats) -> Floats:
    """cleanlab's own audit, [n]; higher is more suspect, over 1 if it calls the image an issue."""
    from cleanlab import Datalab

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        lab = Datalab({"label": y}, label_name="label")
        lab.find_issues(features=x, pred_probs=probs, issue_types={"label": {}, "outlier": {}})
        label, outlier = lab.get_issues("label"), lab.get_issues("outlier")
    worse = 1.0 - np.minimum(label["label_score"].to_numpy(), outlier["outlier_score"].to_numpy())
    flagged = (label["is_label_issue"] | outlier["is_outlier_issue"]).to_numpy()
    scores: Floats = worse + flagged
    return scores
