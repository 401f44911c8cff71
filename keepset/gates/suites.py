"""The expectations of each gate, run by Great Expectations (imported late: it costs seconds)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepset.config import RunConfig
from keepset.gates import Outcome
from keepset.schemas import SCHEMAS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run_suite"]


@dataclass(frozen=True)
class _Rule:
    """A Great Expectations expectation by class name, with words for people."""

    kind: str
    arguments: dict[str, Any]
    words: str
    remedy: str


def run_suite(gate: str, frame: pd.DataFrame, config: RunConfig) -> Iterator[Outcome]:
    """Run the gate's rules on ``frame``, and on a one-row frame of its shares and counts."""
    rules = list(_schema_rules(gate, frame))
    facts = _facts(gate, frame, config)
    yield from _validate(frame, rules)
    yield from _validate(facts, list(_threshold_rules(gate, facts, config)))


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


def _facts(gate: str, frame: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
    import pandas as pd

    facts: dict[str, float] = {}
    if gate == "downloads":
        facts["failed"] = float((frame.status == "failed").mean()) if len(frame) else 1.0
    if gate == "images":
        facts["rejected"] = float((frame.status != "ok").mean()) if len(frame) else 1.0
        good = frame[frame.status == "ok"]
        facts["duplicates"] = float(good.dup_of.notna().mean()) if len(good) else 0.0
    if gate == "dataset":
        active = frame[frame.active]
        both = active.groupby("group_id").split.nunique()
        facts["leaking_groups"] = float((both > 1).sum())
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


def _threshold_rules(gate: str, facts: pd.DataFrame, config: RunConfig) -> Iterator[_Rule]:
    g = config.gates
    least = g.min_images_per_class if gate != "urls" else 1
    for label in config.labels:
        remedy = f"Add sources for '{label}', or lower [gates] min_images_per_class."
        yield _at_least(f"count:{label}", least, f"at least {least} {_NOUN[gate]} of '{label}'", remedy)
    if gate == "downloads":
        yield _at_most("failed", g.max_failed_downloads, "failed downloads", "See why in `keepset download`'s "
                       "summary; then --retry-failed, or raise [gates] max_failed_downloads.")  # fmt: skip
    if gate == "images":
        yield _at_most("rejected", g.max_rejected_images, "rejected images", "Look at the reasons in images.parquet, "
                       "or raise [gates] max_rejected_images.")  # fmt: skip
        yield _at_most("duplicates", g.max_duplicates, "duplicates", "Use more varied sources, or raise [gates] "
                       "max_duplicates.")  # fmt: skip
    if gate == "dataset":
        words = f"the smallest class at least {g.min_balance:.0%} of the largest"
        yield _at_least("balance", g.min_balance, words, "Balance the sources, or lower [gates] min_balance.")
        leak = {"column": "leaking_groups", "min_value": 0, "max_value": 0}
        bug = "This is a defect of Keepset: please report it."
        yield _Rule("ExpectColumnMaxToBeBetween", leak, "no duplicate group on both sides of the split", bug)
        strange = {"column": "unknown_labels", "min_value": 0, "max_value": 0}
        words = "only classes of the run config"
        yield _Rule(
            "ExpectColumnMaxToBeBetween", strange, words, "Put the class back into the config, or delete it."
        )


_NOUN = {
    "urls": "URLs",
    "downloads": "downloaded images",
    "images": "good images",
    "dataset": "active images",
}


def _at_least(column: str, least: float, words: str, remedy: str) -> _Rule:
    return _Rule("ExpectColumnMinToBeBetween", {"column": column, "min_value": least}, words, remedy)


def _at_most(column: str, most: float, what: str, remedy: str) -> _Rule:
    arguments = {"column": column, "max_value": most}
    return _Rule("ExpectColumnMaxToBeBetween", arguments, f"at most {most:.0%} {what}", remedy)


def _validate(frame: pd.DataFrame, rules: list[_Rule]) -> Iterator[Outcome]:
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
        yield Outcome(rule.words, bool(result.success), _observed(result.result), rule.remedy)


def _observed(result: dict[str, Any]) -> str:
    if "observed_value" in result:
        value = result["observed_value"]
        return f"{value:.3g}" if isinstance(value, float) else str(value)
    bad = result.get("unexpected_count", 0)
    shown = ", ".join(str(v)[:40] for v in result.get("partial_unexpected_list", [])[:3])
    return f"{bad} of {result.get('element_count', 0)} rows otherwise" + (f" ({shown})" if shown else "")
