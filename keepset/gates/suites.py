"""The expectations of each gate, run by Great Expectations (imported late: it costs seconds).

Empty cells and unknown words are no part of it: ``keepset.manifests`` refuses to read them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.config import RunConfig
from keepset.manifests.schemas import SCHEMAS
from keepset.text import share

if TYPE_CHECKING:
    import pandas as pd

    from keepset.gates.leaks import Straddling

__all__ = ["ExpectationResult", "run_suite"]


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation: what was asked, what was observed, and what to do if it failed."""

    expectation: str
    passed: bool
    observed: str
    remedy: str


@dataclass(frozen=True)
class _Rule:
    """A Great Expectations expectation by class name, with words for people. ``share``: what is observed is one."""

    kind: str
    arguments: dict[str, Any]
    words: str
    remedy: str
    share: bool = False


def run_suite(
    gate: str, frame: pd.DataFrame, config: RunConfig, apart: Straddling | None = None
) -> Iterator[ExpectationResult]:
    """Run the gate's rules on all rows, on the rows in use, and on one row of counts.

    ``apart``: what of a data set is on two sides or in two folds.
    """
    used = frame[frame.active.eq(True)] if gate == "dataset" else frame[frame.status == "ok"]
    yield from _validate(frame, list(_rules_of_all(gate, config)))
    yield from _validate(used, list(_rules_of_used(gate, config)))
    yield from _validate(_counts(used, config, apart), list(_count_rules(gate, config, apart)))


def _rules_of_all(gate: str, config: RunConfig) -> Iterator[_Rule]:
    key, g = SCHEMAS[gate].key[0], config.gates
    damaged = "The manifest is damaged: delete it and run its stage again."
    yield _Rule("ExpectColumnValuesToBeUnique", {"column": key}, f"each {key} once", damaged)
    if gate == "downloads":
        failed = {"column": "status", "value_set": ["failed"], "mostly": 1 - g.max_failed_downloads}
        remedy = "See why in `keepset failures --stage download`; then `keepset download --retry-failed`, or raise"
        yield _Rule("ExpectColumnValuesToNotBeInSet", failed, f"at most {share(g.max_failed_downloads)} failed downloads",
                    f"{remedy} [gates] max_failed_downloads.", share=True)  # fmt: skip
    if gate == "images":
        good = {"column": "status", "value_set": ["ok"], "mostly": 1 - g.max_rejected_images}
        remedy = "See why in `keepset failures --stage validate`, or raise [gates] max_rejected_images."
        words = f"at most {share(g.max_rejected_images)} rejected images"
        yield _Rule("ExpectColumnValuesToBeInSet", good, words, remedy, share=True)


def _rules_of_used(gate: str, config: RunConfig) -> Iterator[_Rule]:
    if gate == "images":
        single = {"column": "dup_of", "mostly": 1 - config.gates.max_duplicates}
        remedy = "Use more varied sources, or raise [gates] max_duplicates."
        words = f"at most {share(config.gates.max_duplicates)} duplicates"
        yield _Rule("ExpectColumnValuesToBeNull", single, words, remedy, share=True)
    if gate == "dataset":
        known = {"column": "label", "value_set": list(config.labels)}
        remedy = "Put the class back into the config, or delete its images in a review."
        yield _Rule("ExpectColumnValuesToBeInSet", known, "only classes of the run config", remedy)


def _counts(used: pd.DataFrame, config: RunConfig, apart: Straddling | None) -> pd.DataFrame:
    """One row: images per class, the smallest class over the largest, and groups that are apart."""
    import pandas as pd

    counts = used.label.value_counts().reindex(list(config.labels), fill_value=0)
    row = {f"count:{label}": float(n) for label, n in counts.items()}
    row["balance"] = float(counts.min() / max(counts.max(), 1))
    for name, groups in _apart_of(apart).items():
        row[name] = float(len(groups))
    return pd.DataFrame([row])


def _count_rules(gate: str, config: RunConfig, apart: Straddling | None) -> Iterator[_Rule]:
    least = config.gates.min_images_per_class if gate != "urls" else 1
    for label in config.labels:
        remedy = "Add sources for the classes with too few, or lower [gates] min_images_per_class."
        words = f"at least {least} {_NOUN[gate]} of '{label}'"
        yield _Rule(_LEAST, {"column": f"count:{label}", "min_value": least}, words, remedy)
    if gate != "dataset":
        return
    balance = config.gates.min_balance
    words = f"the smallest class at least {share(balance)} of the largest"
    remedy = "Balance the sources, or lower [gates] min_balance."
    yield _Rule(_LEAST, {"column": "balance", "min_value": balance}, words, remedy, share=True)
    sides, folds, origins = _apart_of(apart).values()
    words = "no duplicate group on both sides of the split"
    yield _Rule(_MOST, {"column": "leaking_groups", "max_value": 0}, words, _leak_remedy(sides))
    remedy = f"Run `keepset split`: merged groups take one fold.{_such(folds)}"
    yield _Rule(_MOST, {"column": "straddling_groups", "max_value": 0}, "no duplicate group in two folds", remedy)
    words = "no pictures of one origin (page, observation, creator) on both sides"
    remedy = (
        f"The data set's file was changed by hand: restore the revision before with `keepset restore`.{_such(origins)}"
    )
    yield _Rule(_MOST, {"column": "leaking_origins", "max_value": 0}, words, remedy)


def _apart_of(apart: Straddling | None) -> dict[str, tuple[tuple[str, ...], ...]]:
    found = (apart.sides, apart.folds, apart.origins) if apart else ((), (), ())
    return dict(zip(("leaking_groups", "straddling_groups", "leaking_origins"), found, strict=True))


def _leak_remedy(sides: Sequence[Sequence[str]]) -> str:
    return (
        "They were split before anything knew that they are copies. `keepset review` shows them as near duplicates "
        "(`keepset review --all`, if that batch is decided): delete the copies on one side, or mark them as kept if "
        f"they are different pictures; then run again.{_such(sides)}"
    )


def _such(groups: Sequence[Sequence[str]]) -> str:
    return f" For example {', '.join(s[:12] for s in groups[0][:4])}." if groups else ""


_NOUN = {"urls": "URLs", "downloads": "downloaded images", "images": "good images", "dataset": "active images"}
_LEAST, _MOST = "ExpectColumnMinToBeBetween", "ExpectColumnMaxToBeBetween"


def _validate(frame: pd.DataFrame, rules: list[_Rule]) -> Iterator[ExpectationResult]:
    if not rules:
        return
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX's own deprecations are not the user's business
        import great_expectations as gx
        import great_expectations.expectations as gxe

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        batch = (
            context.data_sources.add_pandas("frame")
            .add_dataframe_asset("rows")
            .add_batch_definition_whole_dataframe("all")
            .get_batch({"dataframe": frame})
        )
        suite = gx.ExpectationSuite(
            name="gate", expectations=[getattr(gxe, r.kind)(**r.arguments, meta={"n": i}) for i, r in enumerate(rules)]
        )
        answer = batch.validate(suite)
    for result in answer.results:
        rule = rules[result.expectation_config.meta["n"]]
        yield ExpectationResult(rule.words, bool(result.success), _observed(rule, result.result), rule.remedy)


def _observed(rule: _Rule, result: dict[str, Any]) -> str:
    """What was found, and how far off that is."""
    if "observed_value" in result:
        value = float(result["observed_value"])
        short = rule.arguments.get("min_value", 0) - value
        if rule.share:
            return share(value) + (f", {100 * short:.1f} points too few" if short > 0 else "")
        return f"{value:g}" + (f", {short:g} too few" if short > 0 else "")
    if rule.share:
        unexpected = (result.get("unexpected_percent") or 0) / 100
        over = unexpected - 1 + rule.arguments["mostly"]
        return share(unexpected) + (f", {100 * over:.1f} points too many" if over > 1e-9 else "")
    shown = ", ".join(str(v)[:40] for v in result.get("partial_unexpected_list", [])[:3])
    bad = f"{result.get('unexpected_count', 0)} of {result.get('element_count', 0)} rows otherwise"
    return f"{bad} ({shown})" if shown else bad
