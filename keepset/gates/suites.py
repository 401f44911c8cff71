"""The expectations of each gate, run by Great Expectations (imported late: it costs seconds)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.config import RunConfig
from keepset.gates.expectation import ExpectationResult
from keepset.schemas import SCHEMAS

if TYPE_CHECKING:
    import pandas as pd

    from keepset.gates.leaks import Straddling

__all__ = ["run_suite"]


@dataclass(frozen=True)
class _Rule:
    """A Great Expectations expectation by class name, with words for people."""

    kind: str
    arguments: dict[str, Any]
    words: str
    remedy: str
    share: bool = False
    """The value is a share of all, not a count."""

    def off(self, value: float) -> str:
        """How far a value is from what is allowed, in words; "" within it."""
        low, high = self.arguments.get("min_value"), self.arguments.get("max_value")
        if low is not None and value < low:
            return f", {self._amount(low - value)} too few"
        if high and value > high:
            return f", {self._amount(value - high)} too many"
        return ""

    def say(self, value: float) -> str:
        return (f"{value:.1%}" if self.share else f"{value:g}") + self.off(value)

    def _amount(self, value: float) -> str:
        return f"{100 * value:.1f} points" if self.share else f"{value:g}"


def run_suite(
    gate: str, frame: pd.DataFrame, config: RunConfig, apart: Straddling | None = None
) -> Iterator[ExpectationResult]:
    """Run the gate's rules on ``frame``, and on a one-row frame of its shares and counts.

    ``apart``: what of a data set is on two sides or in two folds.
    """
    rules = list(_schema_rules(gate, frame))
    facts = _facts(gate, frame, config, apart)
    yield from _validate(frame, rules)
    yield from _validate(facts, list(_threshold_rules(gate, config, apart)))


def _schema_rules(gate: str, frame: pd.DataFrame) -> Iterator[_Rule]:
    schema = SCHEMAS[gate]
    broken = "The manifest is damaged: delete it and run its stage again."
    key = schema.key[0]
    yield _Rule("ExpectColumnValuesToBeUnique", {"column": key}, f"each {key} once", broken)
    for column in frame.columns:
        if not schema.arrow.field(column).nullable:
            words = f"no empty {column}"
            yield _Rule("ExpectColumnValuesToNotBeNull", {"column": column}, words, broken)
        if column in schema.choices:
            values = sorted(str(v) for v in schema.choices[column])  # type: ignore[attr-defined]
            arguments = {"column": column, "value_set": values}
            yield _Rule(
                "ExpectColumnValuesToBeInSet", arguments, f"{column} among {', '.join(values)}", broken
            )


def _facts(gate: str, frame: pd.DataFrame, config: RunConfig, apart: Straddling | None) -> pd.DataFrame:
    import pandas as pd

    facts: dict[str, float] = {}
    if gate == "downloads":
        facts["failed"] = float((frame.status == "failed").mean()) if len(frame) else 1.0
    if gate == "images":
        facts["rejected"] = float((frame.status != "ok").mean()) if len(frame) else 1.0
        good = frame[frame.status == "ok"]
        facts["duplicates"] = float(good.dup_of.notna().mean()) if len(good) else 0.0
    if gate == "dataset":
        active = frame[frame.active.eq(True)]
        facts["leaking_groups"] = float(len(apart.sides) if apart else 0)
        facts["straddling_groups"] = float(len(apart.folds) if apart else 0)
        facts["unknown_labels"] = float((~active.label.isin(config.labels)).sum())
        rows = active
    else:
        rows = frame[frame.status == "ok"]
    counts = rows.label.value_counts()
    for label in config.labels:
        facts[f"count:{label}"] = float(counts.get(label, 0))
    sizes = [facts[f"count:{x}"] for x in config.labels]
    facts["balance"] = min(sizes) / max(max(sizes), 1.0)
    return pd.DataFrame([facts])


def _threshold_rules(gate: str, config: RunConfig, apart: Straddling | None) -> Iterator[_Rule]:
    g = config.gates
    least = g.min_images_per_class if gate != "urls" else 1
    for label in config.labels:
        remedy = f"Add sources for '{label}', or lower [gates] min_images_per_class."
        words = f"at least {least} {_NOUN[gate]} of '{label}'"
        yield _Rule(_LEAST, {"column": f"count:{label}", "min_value": least}, words, remedy)
    if gate == "downloads":
        yield _at_most("failed", g.max_failed_downloads, "failed downloads", "See why in `keepset failures --stage "
                       "download`; then `keepset download --retry-failed`, or raise [gates] max_failed_downloads.")  # fmt: skip
    if gate == "images":
        yield _at_most("rejected", g.max_rejected_images, "rejected images", "See why in `keepset failures --stage "
                       "validate`, or raise [gates] max_rejected_images.")  # fmt: skip
        yield _at_most("duplicates", g.max_duplicates, "duplicates", "Use more varied sources, or raise [gates] "
                       "max_duplicates.")  # fmt: skip
    if gate == "dataset":
        yield from _dataset_rules(config, apart)


def _dataset_rules(config: RunConfig, apart: Straddling | None) -> Iterator[_Rule]:
    least = config.gates.min_balance
    words = f"the smallest class at least {least:.0%} of the largest"
    remedy = "Balance the sources, or lower [gates] min_balance."
    yield _Rule(_LEAST, {"column": "balance", "min_value": least}, words, remedy, share=True)
    sides, folds = (apart.sides, apart.folds) if apart else ((), ())
    yield _none_of("leaking_groups", "no duplicate group on both sides of the split", _leak_remedy(sides))
    words = "no duplicate group in two folds"
    yield _none_of(
        "straddling_groups", words, f"Run `keepset split`: merged groups take one fold.{_such(folds)}"
    )
    words = "only classes of the run config"
    yield _none_of(
        "unknown_labels", words, "Put the class back into the config, or delete its images in a review."
    )


def _leak_remedy(sides: Sequence[Sequence[str]]) -> str:
    return (
        "They were split before anything knew that they are copies. `keepset review` shows them as near duplicates "
        "(`keepset review --all`, if that batch is decided): delete the copies on one side, or mark them as kept if "
        f"they are different pictures; then run again.{_such(sides)}"
    )


def _such(groups: Sequence[Sequence[str]]) -> str:
    return f" For example {', '.join(s[:12] for s in groups[0][:4])}." if groups else ""


_NOUN = {
    "urls": "URLs",
    "downloads": "downloaded images",
    "images": "good images",
    "dataset": "active images",
}
_LEAST, _MOST = "ExpectColumnMinToBeBetween", "ExpectColumnMaxToBeBetween"


def _at_most(column: str, most: float, what: str, remedy: str) -> _Rule:
    arguments = {"column": column, "max_value": most}
    return _Rule(_MOST, arguments, f"at most {most:.0%} {what}", remedy, share=True)


def _none_of(column: str, words: str, remedy: str) -> _Rule:
    return _Rule(_MOST, {"column": column, "max_value": 0}, words, remedy)


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
            name="gate",
            expectations=[getattr(gxe, r.kind)(**r.arguments, meta={"n": i}) for i, r in enumerate(rules)],
        )
        answer = batch.validate(suite)
    for result in answer.results:
        rule = rules[result.expectation_config.meta["n"]]
        yield ExpectationResult(rule.words, bool(result.success), _observed(rule, result.result), rule.remedy)


def _observed(rule: _Rule, result: dict[str, Any]) -> str:
    if "observed_value" in result:
        return rule.say(float(result["observed_value"]))
    bad = result.get("unexpected_count", 0)
    shown = ", ".join(str(v)[:40] for v in result.get("partial_unexpected_list", [])[:3])
    return f"{bad} of {result.get('element_count', 0)} rows otherwise" + (f" ({shown})" if shown else "")
