"""Gates: good data pass; each kind of bad data fails at its own expectation, with how far off and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.errors import GateFailed
from keepset.gates import check
from keepset.manifests import Header
from tests.factories import dataset_workspace

Row = dict[str, Any]


def leak(rows: list[Row]) -> None:
    train, valid = (next(r for r in rows if r["split"] == side) for side in ("train", "valid"))
    train["group_id"] = valid["group_id"]


def strange(rows: list[Row]) -> None:
    rows[0]["label"] = "zebra"


def few(rows: list[Row]) -> None:
    for r in rows:
        r["active"] = r["label"] != "apple"


BAD = {
    "leak": (leak, "no duplicate group on both sides of the split; found 1", "report"),
    "strange": (strange, "only classes of the run config; found 1", "config"),
    "few": (few, "at least 10 active images of 'apple'; found 0", "Add sources for 'apple'"),
}


def test_a_good_data_set_passes(tmp_path: Path) -> None:
    ws, cfg, _ = dataset_workspace(tmp_path)
    assert check(ws, cfg, "dataset").passed
    assert check(ws, cfg, "images").passed


@pytest.mark.parametrize("name", BAD)
def test_bad_data_fail_at_their_expectation(tmp_path: Path, name: str) -> None:
    spoil, words, remedy = BAD[name]
    ws, cfg, _ = dataset_workspace(tmp_path)
    rows = ws.current_dataset().rows()
    spoil(rows)
    extra = {"revision": 2, "before": 1, "cause": "by hand"}
    manifests.write(ws.dataset(2), rows, Header("dataset", "clean", name, extra=extra))
    with pytest.raises(GateFailed) as caught:
        check(ws, cfg, "dataset")
    assert words in caught.value.message
    assert remedy in caught.value.remedy
