"""Looking alike, stacks, and what marks teach: on features in which each true class, and junk, has a direction of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from keepset import manifests
from keepset.manifests import Header
from keepset.models.features import ModelFeatures, units
from keepset.reasons import Action, CandidateReason
from keepset.review import Batch, Mark, MarkState, learning, load_batch, mark, similar, undo
from keepset.review import batch as stored
from keepset.review.learning import learnt_odds
from keepset.review.ordering import Sort, _named, grouped, like, ordered, stacks_of
from tests.review_fixtures import Case, make_case
from tests.web_fixtures import large_batch

WIDTH = 64


@dataclass(frozen=True)
class Scene:
    """A batch of ``n`` candidates; each fifth is junk, which the scores do not know."""

    batch: Batch
    shas: list[str]
    junk: np.ndarray

    def marks(self, ranks: Iterable[int]) -> dict[str, MarkState]:
        return {
            self.shas[r]: MarkState(Action.DELETE if self.junk[r] else Action.KEEP, None, "ann", "now") for r in ranks
        }


def make_scene(root: Path, n: int) -> Scene:
    batch = large_batch(make_case(root), n)
    rows = batch.candidates().rows()
    rng = np.random.default_rng(3)
    junk = np.arange(n) % 5 == 2
    for row, bad in zip(rows, junk, strict=True):
        row |= {"score": 0.5, "reasons": ["graphic" if bad else "outlier"], "group_members": []}
    features = rng.normal(0, 1, (n, WIDTH)).astype(np.float32)
    features[junk, :8] += 3.0
    shas = [r["sha256"] for r in rows]
    folder = batch.folder
    _rewrite(batch, rows)
    record = json.loads((folder / "batch.json").read_text()) | {"model_id": "1" * 16, "counts": {}}
    (folder / "batch.json").write_text(json.dumps(record))
    model = batch.ws.models / ("1" * 16)
    model.mkdir(parents=True)
    save_file({"features": features}, model / "features.safetensors", {"sha256": "\n".join(shas)})
    return Scene(load_batch(batch.ws, batch.id), shas, junk)


def _rewrite(batch: Batch, rows: list[dict[str, Any]]) -> None:
    """Other candidates for a batch, which the product never does: what is cached of them is forgotten."""
    path = batch.folder / "candidates.parquet"
    path.unlink()
    manifests.write(path, rows, Header("candidates", "review", "scene"))
    stored._candidates.cache_clear()
    stored._rows.cache_clear()
    similar._space.cache_clear()
    learning._known.cache_clear()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"), 100)


def test_the_nearest_pictures_are_of_the_same_kind(scene: Scene) -> None:
    junk = np.flatnonzero(scene.junk)
    order, how = like(scene.batch, [scene.shas[junk[0]]])
    assert order[0] == junk[0]
    assert how[0] == 1.0
    assert sorted(order.tolist()) == list(range(100))
    assert (np.diff(how) <= 0).all()
    assert scene.junk[order[:15]].all()


def test_several_examples_count_by_the_nearest_of_them(scene: Scene) -> None:
    one, two = scene.shas[2], scene.shas[0]
    each = [dict(zip(*map(np.ndarray.tolist, like(scene.batch, [s])), strict=True)) for s in (one, two)]
    both = dict(zip(*map(np.ndarray.tolist, like(scene.batch, [one, two])), strict=True))
    assert all(both[r] == pytest.approx(max(e[r] for e in each), abs=1e-5) for r in range(100))


def test_likeness_is_the_cosine_of_centred_features(scene: Scene) -> None:
    raw = units(ModelFeatures.of(scene.batch.ws, "1" * 16).all(), (WIDTH,))
    centred = raw - raw.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    order, how = like(scene.batch, [scene.shas[7]])
    np.testing.assert_allclose(how[1:], (centred @ centred[7])[order[1:]], atol=1e-4)


def test_a_copy_is_where_its_better_copy_is_and_a_stranger_nowhere(case: Case) -> None:
    batch = large_batch(case, 4)  # the model has seen none of them, and two are copies of one before
    assert (similar.space_of(batch).places == -1).all()  # type: ignore[union-attr]
    assert len(like(batch, [batch.candidates().rows()[0]["sha256"]])[0]) == 0
    rows = batch.candidates().rows()
    rows[2]["group_members"] = [case.active()[0]["sha256"]]
    _rewrite(batch, rows)
    assert similar.space_of(batch).places.tolist() == [-1, -1, 0, -1]  # type: ignore[union-attr]


def test_without_features_the_order_is_that_of_the_batch(case: Case) -> None:
    batch = case.open_batch()
    (case.ws.models / batch.record.model_id / "features.safetensors").unlink()
    similar._space.cache_clear()
    mark(batch, [Mark(batch.candidates().rows()[0]["sha256"], Action.DELETE)], who="ann")
    n = batch.candidates().header.rows
    assert ordered(batch, batch.marks(), Sort.LEARNED).tolist() == list(range(n))
    assert stacks_of(batch) == ()


def test_marks_bring_forward_what_is_like_them(scene: Scene) -> None:
    assert learnt_odds(scene.batch, {}) is None
    marks = scene.marks(range(10))  # two are junk
    order = ordered(scene.batch, marks, Sort.LEARNED)
    assert order[:10].tolist() == list(range(10))
    rest = scene.junk.sum() - 2
    assert scene.junk[order[10 : 10 + rest]].mean() > 0.9
    assert scene.junk[10 : 10 + rest].mean() < 0.3  # as the batch had them


def test_the_order_depends_on_the_marks_alone(scene: Scene) -> None:
    marks = scene.marks(range(30))
    other = {s: MarkState(m.action, m.label, "bob", "later") for s, m in reversed(marks.items())}
    assert ordered(scene.batch, marks, Sort.LEARNED).tolist() == ordered(scene.batch, other, Sort.LEARNED).tolist()


def test_undo_undoes_what_was_learnt(scene: Scene) -> None:
    before = ordered(scene.batch, scene.batch.marks(), Sort.LEARNED).tolist()
    mark(scene.batch, [Mark(s, m.action) for s, m in scene.marks(range(8)).items()], who="ann")
    assert ordered(scene.batch, scene.batch.marks(), Sort.LEARNED).tolist() != before
    undo(scene.batch, who="ann")
    assert ordered(scene.batch, scene.batch.marks(), Sort.LEARNED).tolist() == before


def test_a_relabelled_picture_teaches_about_its_reasons_and_not_about_its_looks(scene: Scene) -> None:
    label = scene.batch.labels[0]
    deleted = learnt_odds(scene.batch, scene.marks([2]))
    relabelled = learnt_odds(scene.batch, {scene.shas[2]: MarkState(Action.RELABEL, label, "ann", "now")})
    same = np.flatnonzero(scene.junk)[1:]
    assert (relabelled[same] > 0).mean() > 0.9  # shown for the same reason
    assert np.ptp(relabelled[same]) < np.ptp(deleted[same]) / 2  # and not for their looks


def test_what_goes_as_a_copy_teaches_nothing(case: Case) -> None:
    batch = case.open_batch()
    rows = batch.candidates().rows()
    rows[0]["reasons"] = [CandidateReason.NEAR_DUPLICATE]
    _rewrite(batch, rows)
    as_marked = {a: {rows[0]["sha256"]: MarkState(a, None, "ann", "now")} for a in (Action.DELETE, Action.KEEP)}
    assert learnt_odds(batch, as_marked[Action.DELETE]) is None
    assert learnt_odds(batch, as_marked[Action.KEEP]) is not None


def test_stacks_hold_what_is_alike_and_are_named_by_their_reason(scene: Scene) -> None:
    best = max(stacks_of(scene.batch), key=lambda s: len(s.ranks))
    assert len(best.ranks) >= 10
    assert scene.junk[list(best.ranks)].all()
    assert best.reason == CandidateReason.GRAPHIC
    order = ordered(scene.batch, {}, Sort.ALIKE)
    assert sorted(order.tolist()) == list(range(100))
    groups, of = grouped(scene.batch, Sort.ALIKE)
    first = stacks_of(scene.batch)[0].ranks
    assert groups[0].size == len(first)
    assert tuple(order[: len(first)]) == first
    assert (of[list(first)] == 0).all()
    gone = pa.table({"reasons": [["dark", "blurry"]] * 3, "label": ["a"] * 3, "predicted": ["b"] * 3})
    assert _named(gone, [0, 1, 2]).reason == "dark"  # a batch of an earlier version may have reasons that are gone


def test_by_class_and_by_source(scene: Scene) -> None:
    rows = scene.batch.candidates().rows()
    by_class = [rows[r]["label"] for r in ordered(scene.batch, {}, Sort.CLASS)]
    assert by_class == sorted(by_class)
    (source,), of = grouped(scene.batch, Sort.SOURCE)
    assert (source.name, source.size) == ("pictures.example", 100)
    assert (of == 0).all()


def test_learning_from_five_thousand_is_quick(tmp_path: Path) -> None:
    """Bound ten times above what an idle machine takes (``bench/review/usability.py``), for busy ones."""
    scene = make_scene(tmp_path, 5000)
    marks = scene.marks(range(0, 5000, 5))
    ordered(scene.batch, marks, Sort.LEARNED)
    begin = time.process_time()
    ordered(scene.batch, marks, Sort.LEARNED)
    assert time.process_time() - begin < 0.5
