"""Which images are shown, in which order, with which suggestion, and which never come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keepset import manifests
from keepset.clean import clean, restore
from keepset.files import append_line
from keepset.manifests import Header
from keepset.models.features import ModelFeatures
from keepset.models.features import save as save_features
from keepset.reasons import Action, CandidateReason
from keepset.review import Mark, load_batch, mark, review, submit
from keepset.review.evidence import gather
from keepset.review.findings import conflicts
from tests.factories import Told
from tests.review_fixtures import Case, edit_images, edit_predictions, make_case, say, top_up


def rows(case: Case) -> list[dict[str, Any]]:
    batch_id = review(case.ws, case.config).outputs.get("batch_id")
    return load_batch(case.ws, batch_id).candidates().rows() if batch_id else []


def by_sha(case: Case) -> dict[str, dict[str, Any]]:
    return {r["sha256"]: r for r in rows(case)}


def keep_all(case: Case) -> None:
    """A person looks at the newest batch and finds nothing wrong."""
    batch = case.open_batch()
    mark(batch, [Mark(r["sha256"], Action.KEEP) for r in batch.candidates().rows()], who="ann")
    submit(batch, "approve", who="ann")
    clean(case.ws, case.config)


def twins(case: Case, kind: str = "exact", n: int = 3) -> list[str]:
    """``n`` images become one duplicate group; the first is the better copy."""
    shas = case.clean_ones(n * 3)[::3]
    group = min(shas)
    changes = {s: {"group_id": group, "dup_of": shas[0], "dup_kind": kind} for s in shas[1:]}
    edit_images(case, {shas[0]: {"group_id": group, "width": 640, "height": 480}, **changes})
    return shas


def test_wrong_labels_come_first_with_the_right_suggestion(tmp_path: Path) -> None:
    case = make_case(tmp_path, flips=6, per_class=20)
    found = rows(case)
    first = found[:6]
    assert {r["sha256"] for r in first} == case.wrong
    assert [r["rank"] for r in found] == list(range(len(found)))
    assert [r["score"] for r in found] == sorted((r["score"] for r in found), reverse=True)
    for r in first:
        assert r["reasons"] == ["label_issue"]
        assert (r["suggestion"], r["suggested_label"]) == ("relabel", case.truth[r["sha256"]])
        assert r["explanation"].startswith(f"Looks like '{r['predicted']}'")
        assert r["given_probability"] < r["probability"]
        assert r["loss"] > 0.7


def test_no_more_than_was_asked_for(tmp_path: Path) -> None:
    case = make_case(tmp_path, flips=6, review={"max_candidates": 2})
    assert [r["sha256"] in case.wrong for r in rows(case)] == [True, True]


def test_an_unsure_other_class_is_no_suggestion_to_relabel(case: Case) -> None:
    wrong = sorted(case.wrong)[0]
    convince(case, wrong, 0.55, "0" * 16)
    assert by_sha(case)[wrong]["suggestion"] != "relabel"


def test_of_exact_copies_all_but_the_best_are_suggested_for_deletion(case: Case) -> None:
    best, *others = twins(case)
    found = by_sha(case)
    assert best not in found
    for sha in others:
        assert found[sha]["reasons"][0] == CandidateReason.EXACT_DUPLICATE
        assert found[sha]["suggestion"] == "delete"
        assert found[sha]["group_members"][0] == best
        assert set(found[sha]["group_members"]) == {best, *others} - {sha}
        assert "640×480" in found[sha]["explanation"]


def test_when_the_best_copy_is_gone_the_next_best_is_kept(case: Case) -> None:
    best, second, third = twins(case)
    edit_images(case, {third: {"width": 320, "height": 240}})
    first = case.open_batch()
    mark(first, [Mark(best, Action.DELETE)], who="ann")
    assert second in first.markable()
    submit(first, "approve", who="ann")
    clean(case.ws, case.config)
    case.train_again("1" * 16)
    found = by_sha(case)
    assert third not in found
    assert found[second]["reasons"] == ["exact_duplicate"]
    assert found[second]["suggestion"] == "delete"


def test_a_pair_judged_different_stays_apart(case: Case) -> None:
    best, other = twins(case, "near", 2)
    assert by_sha(case)[other]["reasons"] == ["near_duplicate"]
    keep_all(case)
    case.train_again("1" * 16)
    assert by_sha(case) == {}
    new = "f" * 64  # a third copy comes in: a new question
    top_up(case, new, case.truth[other])
    old = manifests.read(case.ws.images, "images").rows()
    group = {"sha256": new, "group_id": min(best, other), "dup_of": best, "dup_kind": "near"}
    manifests.write(case.ws.images, [*old, old[0] | group], Header("images", "validate", "more"))
    assert set(by_sha(case)) == {new}


def test_an_image_restored_after_it_went_as_a_copy_is_left_alone(case: Case) -> None:
    _, other = twins(case, "near", 2)
    batch = case.open_batch()
    submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    clean(case.ws, case.config)
    restore(case.ws, [other], who="ann")
    case.train_again("1" * 16)
    assert other not in by_sha(case)


def test_a_picture_found_under_two_classes_is_shown(case: Case) -> None:
    right, wrong = case.clean_ones(1)[0], sorted(case.wrong)[0]
    data = case.ws.current_dataset()
    changed = [
        r | {"other_labels": ["boat", "house", "apple"] if r["sha256"] in (right, wrong) else []} for r in data.rows()
    ]
    manifests.write(case.ws.dataset(1), changed, data.header)
    found = by_sha(case)
    assert CandidateReason.LABEL_CONFLICT in found[right]["reasons"]
    assert found[right]["suggestion"] == "keep"
    assert set(found[wrong]["reasons"]) == {"label_issue", "label_conflict"}
    assert found[wrong]["suggested_label"] == case.truth[wrong]
    assert found[wrong]["score"] > found[right]["score"]
    assert "also under" in found[right]["explanation"]
    gone = {case.truth[wrong]}
    assert gone & {f.label for f in conflicts(gather(case.ws, case.config))}
    left = tuple(c for c in case.config.classes if c.name not in gone)
    fewer = case.config.model_copy(update={"classes": left})
    assert gone.isdisjoint(f.label for f in conflicts(gather(case.ws, fewer)))  # no longer a class


def test_copies_with_different_labels_are_a_conflict(case: Case) -> None:
    shas = [next(r["sha256"] for r in case.active() if r["label"] == c) for c in ("apple", "boat")]
    group = {"group_id": min(shas)}
    edit_images(case, {shas[0]: group, shas[1]: group | {"dup_of": shas[0], "dup_kind": "exact"}})
    found = by_sha(case)
    assert "label_conflict" in found[shas[0]]["reasons"]
    assert {"label_conflict", "exact_duplicate"} <= set(found[shas[1]]["reasons"])
    assert found[shas[1]]["suggestion"] == "delete"
    assert "but its copy boat/" in found[shas[0]]["explanation"]


def test_a_picture_unlike_its_class_is_suggested_for_deletion(case: Case) -> None:
    (sha,) = case.clean_ones(1)
    kept = ModelFeatures.of(case.ws, "0" * 16)
    order, x = kept.sha256, kept.all()
    x[order.index(sha)] = np.random.default_rng(5).normal(0, 1, x.shape[1])
    save_features(case.ws, "0" * 16, order, x, [x.shape[1]])
    found = by_sha(case)[sha]
    assert found["reasons"] == ["outlier"]
    assert found["suggestion"] == "delete"
    assert found["explanation"] == f"Unlike the other pictures of '{case.truth[sha]}'."


def everything(case: Case) -> dict[str, dict[str, Any]]:
    batch_id = review(case.ws, case.config, everything=True).outputs["batch_id"]
    return {r["sha256"]: r for r in load_batch(case.ws, batch_id).candidates().rows()}


def test_a_blank_picture_is_proposed_and_a_dark_or_small_one_is_innocent(case: Case) -> None:
    dark, flat, tiny = case.clean_ones(3)
    edit_images(case, {dark: {"brightness": 0.01}, flat: {"entropy": 0.3}, tiny: {"width": 8, "height": 8}})
    found = by_sha(case)
    assert not {dark, tiny} & set(found)
    assert found[flat]["reasons"] == ["low_information"]
    assert found[flat]["suggestion"] == "delete"


def test_all_images_follow_in_the_order_of_their_chance(case: Case) -> None:
    scores = [r["score"] for r in sorted(everything(case).values(), key=lambda r: r["rank"])]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(case.active())


def test_what_half_of_the_set_has_is_hidden(case: Case) -> None:
    half = [r["sha256"] for r in case.active()][: len(case.active()) * 2 // 3]
    edit_images(case, {s: {"entropy": 0.3} for s in half})
    assert not any("low_information" in r["reasons"] for r in rows(case))


# -- users' corrections -----------------------------------------------------------------------------------


def test_a_users_correction_is_offered_first(case: Case) -> None:
    (sha,) = case.clean_ones(1)
    other = next(c for c in case.config.labels if c != case.truth[sha])
    say(case, sha, other)
    say(case, "9" * 64, other)  # a picture that is not in the data set
    for damaged in ("not json", '["a list"]'):
        append_line(case.ws.root / "inbox.jsonl", damaged)
    found = rows(case)
    assert found[0]["sha256"] == sha
    assert found[0]["reasons"] == ["user_correction"]
    assert (found[0]["suggestion"], found[0]["suggested_label"]) == ("relabel", other)
    assert "visitor" in found[0]["explanation"]
    assert "9" * 64 not in {r["sha256"] for r in found}


def test_corrected_pictures_of_another_place_are_not_dropped_in_silence(case: Case) -> None:
    for sha in ("9" * 64, "8" * 64, "9" * 64):
        say(case, sha, "boat")
    review(case.ws, case.config, progress=(told := Told()))
    assert "2 pictures that users corrected" in told


def test_a_correction_to_what_it_is_already_or_to_no_class(case: Case) -> None:
    one, two = case.clean_ones(2)
    say(case, one, case.truth[one])
    say(case, two, "unicorn")
    found = by_sha(case)
    assert one not in found
    assert (found[two]["suggestion"], found[two]["suggested_label"]) == ("keep", None)


def test_a_correction_asks_again_once_the_batch_is_decided(case: Case) -> None:
    (sha,) = case.clean_ones(1)
    other = next(c for c in case.config.labels if c != case.truth[sha])
    first = case.open_batch()
    say(case, sha, other, at="2099-01-01T00:00:00+00:00")
    assert case.open_batch().id == first.id
    keep_all(case)
    second = case.open_batch()
    assert [r["sha256"] for r in second.candidates().rows()] == [sha]
    submit(second, "approve", who="ann", keep=(sha,))
    assert review(case.ws, case.config).outputs.get("batch_id") == second.id  # approved, not applied yet
    clean(case.ws, case.config)


# -- what was decided before ------------------------------------------------------------------------------


def test_decided_images_do_not_come_back(case: Case) -> None:
    keep_all(case)
    again = review(case.ws, case.config)
    assert (again.changed, dict(again.outputs)) == (False, {})
    case.train_again("1" * 16)
    assert review(case.ws, case.config).outputs == {}


def test_undecided_images_do_come_back(case: Case) -> None:
    batch = case.open_batch()
    one, *others = [r["sha256"] for r in batch.candidates().rows()]
    mark(batch, [Mark(one, Action.KEEP)], who="ann")
    submit(batch, "approve", who="ann")
    clean(case.ws, case.config)
    case.train_again("1" * 16)
    assert set(by_sha(case)) == set(others)


def convince(case: Case, sha: str, sure: float, model_id: str) -> None:
    """The out-of-sample head of this model says with probability ``sure`` that the label is wrong."""
    true, n = case.truth[sha], len(case.config.labels)
    probs = [sure if c == true else (1 - sure) / (n - 1) for c in case.config.labels]
    edit_predictions(case, {sha: {"cv_probs": probs, "cv_predicted": true}}, model_id)


def test_a_decided_image_comes_back_only_when_the_model_is_much_surer(case: Case) -> None:
    stubborn = sorted(case.wrong)[0]
    convince(case, stubborn, 0.5, "0" * 16)
    kept = ModelFeatures.of(case.ws, "0" * 16)
    order, x = kept.sha256, kept.all()
    label = {r["sha256"]: r["label"] for r in case.active()}
    alike = next(i for i, s in enumerate(order) if s not in case.wrong and label[s] == label[stubborn])
    x[order.index(stubborn)] = 0.6 * x[alike] + 0.4 * x[order.index(stubborn)]
    save_features(case.ws, "0" * 16, order, x, [x.shape[1]])
    keep_all(case)
    case.train_again("1" * 16)
    convince(case, stubborn, 0.998, "1" * 16)
    found = by_sha(case)
    assert set(found) == {stubborn}
    assert "decided before" in found[stubborn]["explanation"]
    keep_all(case)
    case.train_again("2" * 16)
    convince(case, stubborn, 0.999, "2" * 16)
    assert review(case.ws, case.config).outputs == {}


def test_restored_images_do_not_come_back(case: Case) -> None:
    batch = case.open_batch()
    submit(batch, "approve", who="ann", undecided="suggested", confirm=True)
    clean(case.ws, case.config)
    restore(case.ws, batch.id, who="ann")
    case.train_again("1" * 16)
    assert review(case.ws, case.config).outputs == {}


def test_images_that_the_model_has_not_seen_do_no_harm(case: Case) -> None:
    """A split brought a copy of a known image after training."""
    (sha,) = case.clean_ones(1)
    new = "f" * 64
    top_up(case, new, case.truth[sha])
    old = manifests.read(case.ws.images, "images").rows()
    copy = old[0] | {"sha256": new, "group_id": sha, "dup_of": sha, "dup_kind": "exact"}
    manifests.write(case.ws.images, [*old, copy], Header("images", "validate", "more"))
    found = by_sha(case)[new]
    assert found["reasons"] == ["exact_duplicate"]
    assert found["group_members"] == [sha]
    assert found["predicted"] == case.truth[sha]
    assert 0 < found["probability"] <= 1


def probs(case: Case, **by_label: float) -> dict[str, Any]:
    """What the model says out of sample: ``by_label``, in the model's order of classes."""
    classes = list(case.config.labels)
    said = [by_label.get(c, 0.0) for c in classes]
    return {"cv_probs": said, "cv_predicted": classes[int(np.argmax(said))]}


def copies_with_two_labels(case: Case) -> tuple[str, str]:
    """An 'apple' and a 'boat' that are copies of one picture; the first is the better one."""
    a, b = (next(s for s in case.clean_ones(30) if case.truth[s] == c) for c in ("apple", "boat"))
    group = {"group_id": min(a, b)}
    how = {"dup_of": a, "dup_kind": "near", "dup_how": "crop, 62 %; mirrored"}
    edit_images(case, {a: group, b: group | how})
    return a, b


def test_copies_of_one_picture_are_never_relabelled_to_opposite_classes(case: Case) -> None:
    """The model takes each for the other's class: together it takes them for boats."""
    a, b = copies_with_two_labels(case)
    edit_predictions(case, {a: probs(case, apple=0.1, boat=0.9), b: probs(case, apple=0.6, boat=0.3, house=0.1)})
    found = by_sha(case)
    assert (found[a]["suggestion"], found[a]["suggested_label"]) == ("relabel", "boat")
    assert found[b]["suggested_label"] is None
    assert found[b]["suggestion"] == "delete", "it is a copy of the other"


def test_a_copy_is_named_by_its_file_and_by_what_was_done_to_it(case: Case) -> None:
    a, b = copies_with_two_labels(case)
    edit_images(case, {a: {"url": "file:///home/me/teddys/00000033.jpg", "width": 640, "height": 480}})
    words = by_sha(case)[b]["explanation"]
    assert "opy of teddys/00000033.jpg: crop, 62 %; mirrored (kept: larger picture, 640×480" in words
    assert "its copy teddys/00000033.jpg is labelled 'apple'" in words


def test_frames_of_one_scene_are_not_proposed_for_deletion(case: Case) -> None:
    a, b = case.clean_ones(6)[::5]
    scene = {"group_id": min(a, b), "dup_kind": "scene"}
    edit_images(case, {a: scene, b: scene})
    found = by_sha(case)
    assert not {"near_duplicate", "exact_duplicate"} & {r for s in (a, b) for r in found.get(s, {}).get("reasons", [])}
