"""The data set card: its facts after a real run, its page, and its attribution table."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keepset import manifests
from keepset.card import facts
from keepset.clean.revising import write_revision
from keepset.config import parse_config
from keepset.demo.draw import draw
from keepset.demo.pictures import Plant, Planted
from keepset.demo.server import serve
from keepset.download import download
from keepset.scrape import scrape
from keepset.split import split
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.factories import jpeg

EVIL = '=HYPERLINK("http://evil.example","x")'
BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Apples from a list with authors and licences, boats from a local folder; a page, a dead link, a copy."""
    base = tmp_path_factory.mktemp("card")
    apples = [jpeg(draw("apple", i, width=160, height=120)) for i in range(8)]
    paths = [f"/{i}.jpg" + ("?X-Amz-Signature=abc" if i in (2, 3) else "") for i in range(8)]
    planted = [
        Planted(path, "apple", Plant.NOTHING, "apple", data)
        for path, data in zip([*paths, "/copy.jpg"], [*apples, apples[0]], strict=True)
    ]
    (base / "boats").mkdir()
    for i in range(8):
        (base / "boats" / f"b{i}.jpg").write_bytes(jpeg(draw("boat", i, width=160, height=120)))
    with serve(planted) as web:
        lines = ["url,title,creator,license,license_url,landing_page"]
        lines += [f'{web}/0.jpg,"one, two",Ada <b>|x,cc-by-4.0,{BY},http://p.example/0']
        lines += [
            f'{web}/1.jpg,"{EVIL.replace(chr(34), chr(34) * 2)}",Ada <b>|x,cc-by-4.0,{BY},javascript:alert(1)'
        ]
        lines += [f"{web}{paths[i]},,Bo,cc0,,," for i in (2, 3)]
        lines += [f"{web}/{i}.jpg,,,,," for i in range(4, 8)]
        lines += [f"{web}/copy.jpg,,,,,", f"{web}/gone.jpg,,,,,", "null,,,,,"]
        (base / "apples.csv").write_text("\n".join(lines))
        raw: dict[str, Any] = {
            "name": "fruit & ships", "seed": 3,
            "classes": {"apple": {"lists": ["apples.csv"]}, "boat": {"folders": ["boats"]}},
            "download": {"allow_private": [web.removeprefix("http://")], "per_host_rate": 1000.0, "retries": 0},
        }  # fmt: skip
        config = parse_config(raw, base=base)
        ws = Workspace.create(base / "ws", config.name)
        ws.save_config(config)
        for stage in (scrape, download, validate, split):
            stage(ws, config)
    return ws


def of(rows: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    return next(r for r in rows if wanted.items() <= r.items())


def test_facts_say_where_everything_came_from_and_what_was_left_out(collected: Workspace) -> None:
    f = facts(collected)
    assert json.loads(json.dumps(f)) == f
    assert f["images"] == {"active": 16, "deleted": 0, "set_aside": 0, "relabelled": 0}
    assert [(c["label"], c["images"]) for c in f["classes"]] == [("apple", 8), ("boat", 8)]
    assert sum(f["splits"].values()) == 16
    apples, boats = of(f["sources"], label="apple"), of(f["sources"], label="boat")
    assert (apples["source"], apples["query"], apples["lines"], apples["accepted"]) == (
        "list",
        "apples.csv",
        11,
        10,
    )
    assert apples["images"] == 8
    assert boats == {
        "label": "boat",
        "source": "folder",
        "query": "boats",
        "lines": 8,
        "accepted": 8,
        "images": 8,
    }
    by_cc = of(f["licenses"], license="cc-by-4.0")
    assert by_cc == {"license": "cc-by-4.0", "url": BY, "images": 2, "creators": 1, "names": ["Ada <b>|x"]}
    assert of(f["licenses"], license="unknown")["images"] == 12
    assert f["creators"]["images_with"] == 4
    assert f["creators"]["images_without"] == 12
    dropped = {s["stage"]: {d["reason"]: d["count"] for d in s["dropped"]} for s in f["stages"]}
    assert dropped == {"scrape": {"not_a_url": 1}, "download": {"not_found": 1}, "validate": {}}
    assert all(d["remedy"] for s in f["stages"] for d in s["dropped"])
    assert f["quality"]["shorter_side"] == {"smallest": 120, "median": 120, "largest": 120}
    assert str(collected.root.parent) not in json.dumps(f), "a path of this machine is nobody's business"


def test_a_revision_has_its_own_card_and_decisions_have_names(collected: Workspace) -> None:
    gone = next(r["sha256"] for r in collected.current_dataset().rows() if r["label"] == "boat")

    def delete(data: manifests.Manifest, number: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        rows = data.rows()
        row = next(r for r in rows if r["sha256"] == gone)
        row.update(active=False, changed_in=number, changed_by="b0001-00000000")
        return rows, {"batch": "b0001-00000000", "deleted": 1, "relabelled": 0, "skipped": 0}

    write_revision(collected, delete, cause="batch:b0001-00000000", who="Ada", why="no boat")
    now = facts(collected)
    assert now["images"] == {"active": 15, "deleted": 1, "set_aside": 0, "relabelled": 0}
    assert of(now["sources"], label="boat")["images"] == 7
    first, second = now["revisions"]
    assert (first["who"], first["added"], first["at"]) == ("keepset", 16, None)
    assert (second["who"], second["why"], second["deleted"], second["images"]) == ("Ada", "no boat", 1, 15)
    assert second["at"]
    assert facts(collected, 1)["images"]["active"] == 16
    assert len(facts(collected, 1)["revisions"]) == 1
