"""The pictures of a class that look most like a given one: what a reviewer compares a doubtful picture with."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from keepset import manifests
from keepset.errors import ModelError
from keepset.models.features import ModelFeatures
from keepset.review.batch import Batch
from keepset.review.similar import space_of
from keepset.workspace import Workspace

if TYPE_CHECKING:
    import numpy.typing as npt

    Strings = npt.NDArray[np.str_]

__all__ = ["nearest"]


def nearest(batch: Batch, sha256: str, label: str, count: int) -> list[str]:
    """The ``count`` most similar active pictures of the class ``label``, the nearest first; without the picture itself
    and its copies. Fewer if there are fewer; none if the model knows nothing of the picture or its features are gone."""
    try:
        places, labels, groups = _known(batch.ws, batch.record.model_id, batch.record.revision)
    except ModelError:
        return []
    space, here = space_of(batch), places.get(sha256)
    if space is None or here is None:
        return []
    others = np.flatnonzero((labels == label) & (groups != groups[here]))
    likeness = space.rows[others] @ space.rows[here]
    shas = list(places)
    return [shas[others[i]] for i in np.argsort(-likeness, kind="stable")[:count]]


@functools.lru_cache(maxsize=4)
def _known(ws: Workspace, model_id: str, revision: int) -> tuple[dict[str, int], Strings, Strings]:
    """Row of each picture among the model's features, in their order; of each row its label ("" if the picture is not in
    use) and duplicate group. Revisions and models never change, so a cache cannot go stale."""
    places = {sha: i for i, sha in enumerate(ModelFeatures.of(ws, model_id).sha256)}
    labels, groups = [""] * len(places), [""] * len(places)
    for row in manifests.each(ws.dataset(revision), "dataset", ("sha256", "label", "group_id", "active")):
        place = places.get(row["sha256"])
        if place is not None and row["active"]:
            labels[place], groups[place] = row["label"], row["group_id"]
    return places, np.array(labels), np.array(groups)
