"""The report in a sentence, and the one thing to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keepset.text import many, share, span

__all__ = ["next_thing", "verdict"]

Facts = Mapping[str, Any]

SPOILED = ("rate_too_high", "rate_too_low")
"""Findings of a training that a setting spoiled."""
LONGER_OR_SHORTER = ("overfitting", "too_few_epochs")


def verdict(facts: Facts) -> str:
    """How many were right, how many pictures of the data set are still wrong, and how good the model is elsewhere, as far as each is known.

    On the test images if there are any: nothing was chosen by them.
    """
    metrics = facts["metrics"]
    part = "test" if metrics.get("test", {}).get("n") else "valid"
    v, kind = metrics[part], {"valid": "held-out", "test": "test"}[part]
    if not v.get("n"):
        return "There are no held-out pictures, so nothing can be said about this model."
    right = v["n"] - v["errors"]
    said = (
        f"Right on {right} of {many(v['n'], f'{kind} picture')}"
        if v["errors"]
        else f"No mistakes on {many(v['n'], f'{kind} picture')}"
    )
    likely = _elsewhere(facts.get("next_site")) or _likely(v)
    return f"{said}; {likely}.{_left(facts.get('errors_left'))}{_not_counted(facts, kind)}"


def _left(found: Facts | None) -> str:
    """Pictures that were still wrong when this was asked, ``at``: later decisions change that."""
    if not found:
        return ""
    n = round(found["count"])
    if n == 0:
        return f" On {found['at']}, probably no picture was still wrong."
    return f" On {found['at']}, about {many(n, 'picture')} {'was' if n == 1 else 'were'} still wrong."


def _elsewhere(found: Facts | None) -> str:
    """On sources that were not trained on (``by`` site or creator): the error rate's interval, ``low`` to ``high``."""
    if not found:
        return ""
    source = "a site it has not seen" if found["by"] == "site" else "pictures of somebody it has not seen"
    return f"likely {span(1 - found['high'], 1 - found['low'])} on {source}"


def _likely(v: Facts) -> str:
    if not v["errors"]:
        return f"the true error could still be up to {share(round(v['high'], 2))}"
    return f"likely {span(1 - v['high'], 1 - v['low'])} on new pictures like them"


def _not_counted(facts: Facts, kind: str) -> str:
    unseen = ", ".join(f"'{c['label']}'" for c in facts["per_class"] if not c["n"])
    return f" There are no {kind} pictures of {unseen}, so mistakes there are not counted." if unseen else ""


# -- the one thing to do -----------------------------------------------------------------------------


def next_thing(facts: Facts) -> dict[str, str]:
    """``{"title", "words", "command"}``: what to do first, why, and how."""
    found = (rule(facts) for rule in RULES)
    return next(step for step in found if step)


def _step(title: str, words: str, command: str) -> dict[str, str]:
    return {"title": title, "words": words, "command": command}


def _new_classes(facts: Facts) -> dict[str, str] | None:
    changed = facts["changed_classes"]
    words = f"The classes have changed since this model was trained ({', '.join(changed)}): it knows {', '.join(facts['classes'])}."
    return _step("Train on the new classes", words, "keepset train") if changed else None


def _spoiled(facts: Facts) -> dict[str, str] | None:
    return _again(facts, SPOILED)


def _longer_or_shorter(facts: Facts) -> dict[str, str] | None:
    """A hint, and only about a network that was kept."""
    return _again(facts, LONGER_OR_SHORTER) if facts["model"]["winner"] != "linear_head" else None


def _again(facts: Facts, kinds: tuple[str, ...]) -> dict[str, str] | None:
    found = next((d for d in facts["diagnosis"] if d["kind"] in kinds), None)
    return _step("Train again", found["words"], "keepset train") if found else None


def _look_on(facts: Facts) -> dict[str, str] | None:
    left = facts["errors_left"]
    if not left or not left["command"] or left["count"] < 1:
        return None
    return _step("Look at some more pictures", f"{left['words']} {left['advice']}", left["command"])


def _collect(facts: Facts) -> dict[str, str] | None:
    if not facts["gain"] or facts["gain"]["answer"] != "more":
        return None
    return _step("Collect more pictures", facts["gain"]["words"], "keepset run")


def _review(facts: Facts) -> dict[str, str] | None:
    review = facts["review"]
    if not review or review["expected"] < 1:
        return None
    n, wrong = review["proposed"], round(review["expected"])
    words = f"Probably {wrong} of them {'is' if wrong == 1 else 'are'} wrong. "
    if facts["gain"] and facts["gain"]["answer"] in ("cleaner", "either"):
        words = facts["gain"]["words"]
    return _step(f"Review {many(n, 'picture')} that look{'s' if n == 1 else ''} doubtful", words.strip(), "keepset web")


def _collect_for_certainty(facts: Facts) -> dict[str, str] | None:
    v = facts["metrics"]["valid"]
    if v.get("n") and (v["errors"] or v["high"] <= 0.05):
        return None
    words = "No picture looks doubtful. With so few held-out pictures a mistake in twenty could have gone unseen."
    return _step(
        "Collect more pictures", words if v.get("n") else "There are no held-out pictures to measure by.", "keepset run"
    )


def _use(facts: Facts) -> dict[str, str]:
    return _step("Use it", "No picture looks doubtful, and more would not change much.", "keepset predict FOLDER")


RULES = (
    _new_classes, _spoiled, _review, _look_on, _longer_or_shorter, _collect, _collect_for_certainty, _use,
)  # fmt: skip
"""The first that has something to say is the step."""
