"""The decision log as arithmetic: whatever several people do in whatever order, undo and redo are exact."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keepset.review import log

IMAGES, PEOPLE = ("a", "b", "c"), ("ann", "bob")
marks = st.lists(
    st.fixed_dictionaries(
        {"sha256": st.sampled_from(IMAGES), "action": st.sampled_from(["keep", "delete", None]), "label": st.none()}
    ),
    min_size=1,
    max_size=3,
)
steps = st.lists(st.tuples(st.sampled_from(PEOPLE), st.one_of(marks, st.sampled_from(["undo", "redo"]))))


def play(todo: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The log that these steps leave, as ``marking`` writes it."""
    events: list[dict[str, Any]] = []
    for i, (who, step) in enumerate(todo):
        head = {"who": who, "at": str(i)}
        if not isinstance(step, str):
            events.append(head | {"kind": "mark", "marks": step})
            continue
        of = log.last_standing(events, who) if step == "undo" else log.last_undone(events, who)
        if of is not None:
            events.append(head | {"kind": step, "of": of})
    return events


def undone(events: list[dict[str, Any]], who: str) -> list[dict[str, Any]]:
    of = log.last_standing(events, who)
    return events if of is None else [*events, {"who": who, "at": "", "kind": "undo", "of": of}]


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from(PEOPLE))
def test_redo_after_undo_changes_nothing(todo: list[tuple[str, Any]], who: str) -> None:
    events = play(todo)
    after = undone(events, who)
    if after is events:
        return
    of = log.last_undone(after, who)
    assert of == after[-1]["of"]
    assert log.fold([*after, {"who": who, "at": "", "kind": "redo", "of": of}]) == log.fold(events)


@settings(max_examples=150, deadline=None)
@given(steps, marks, st.sampled_from(PEOPLE))
def test_undo_takes_back_exactly_the_last_mark(todo: list[tuple[str, Any]], one: Any, who: str) -> None:
    events = play(todo)
    marked = [*events, {"who": who, "at": "x", "kind": "mark", "marks": one}]
    assert log.fold(undone(marked, who)) == log.fold(events)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_undoing_everything_of_one_leaves_only_the_other(todo: list[tuple[str, Any]]) -> None:
    events = play(todo)
    while (after := undone(events, "ann")) is not events:
        events = after
    assert {m.who for m in log.fold(events).values()} <= {"bob"}


def test_a_log_with_nonsense_in_it_is_still_read(tmp_path: Any) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text('[1]\n{"kind"\n"x"\n{"at": "1", "who": "ann", "kind": "mark", "marks": []}\n')
    assert [e["kind"] for e in log.read(path)] == ["torn", "torn", "torn", "mark"]
