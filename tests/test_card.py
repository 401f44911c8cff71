"""The data set card: its facts after a real run, its page, and its attribution table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from keepset.card import facts, write_card
from keepset.card.public import shown_place, shown_url
from keepset.clean.revising import Change, write_revision
from keepset.config import parse_config
from keepset.demo.draw import draw
from keepset.demo.pictures import Plant, Planted
from keepset.demo.server import serve
from keepset.download import download
from keepset.scrape import scrape
from keepset.split import split
from keepset.text import plain_cell
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.factories import jpeg
from tests.test_cli import run

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
        lines += [f'{web}/1.jpg,"{EVIL.replace(chr(34), chr(34) * 2)}",Ada <b>|x,cc-by-4.0,{BY},javascript:alert(1)']
        lines += [f"{web}{paths[i]},,Bo,cc0,,," for i in (2, 3)]
        lines += [f"{web}/{i}.jpg,,,,," for i in range(4, 8)]
        lines += [f"{web}/copy.jpg,,,,,", f"{web}/gone.jpg,,,,,", "null,,,,,"]
        (base / "apples.csv").write_text("\n".join(lines))
        raw: dict[str, Any] = {
            "name": "fruit & ships",
            "seed": 3,
            "classes": {"apple": {"lists": ["apples.csv"]}, "boat": {"folders": ["boats"]}},
            "download": {"allow_private": [web.removeprefix("http://")], "per_host_rate": 1000.0, "retries": 0},
        }
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
    assert f["images"] == {"active": 16, "deleted": 0, "set_aside": 0, "waiting": 0, "relabelled": 0}
    assert [(c["label"], c["images"]) for c in f["classes"]] == [("apple", 8), ("boat", 8)]
    assert sum(f["splits"].values()) == 16
    apples, boats = of(f["sources"], label="apple"), of(f["sources"], label="boat")
    assert (apples["source"], apples["query"], apples["lines"]) == ("list", "apples.csv", 11)
    assert [apples[k] for k in ("new", "duplicates", "rejected", "waiting")] == [8, 1, 2, 0]
    none = dict.fromkeys(("duplicates", "rejected", "waiting", "deleted", "relabelled"), 0)
    assert boats == {"label": "boat", "source": "folder", "query": "boats", "lines": 8, "new": 8, **none}
    by_cc = of(f["licenses"], license="cc-by-4.0")
    assert by_cc == {"license": "cc-by-4.0", "url": BY, "images": 2, "creators": 1, "names": ["Ada <b>|x"]}
    assert of(f["licenses"], license="unknown")["images"] == 12
    assert f["creators"]["images_with"] == 4
    assert f["creators"]["images_without"] == 12
    dropped = {s["stage"]: {d["reason"]: d["count"] for d in s["dropped"]} for s in f["stages"]}
    assert dropped == {"scrape": {"not_a_url": 1}, "download": {"not_found": 1}, "validate": {}}
    assert str(collected.root.parent) not in json.dumps(f), "a path of this machine is nobody's business"


def test_a_revision_has_its_own_card_and_decisions_have_names(collected: Workspace) -> None:
    gone = next(r["sha256"] for r in collected.current_dataset().rows() if r["label"] == "boat")

    changes = {gone: Change("boat", active=False, changed_by="b0001-00000000")}
    counts = {"batch": "b0001-00000000", "deleted": 1, "relabelled": 0, "skipped": 0}
    write_revision(collected, lambda _: (changes, counts), cause="batch:b0001-00000000", who="Ada", why="no boat")
    now = facts(collected)
    assert now["images"] == {"active": 15, "deleted": 1, "set_aside": 0, "waiting": 0, "relabelled": 0}
    boats = of(now["sources"], label="boat")
    assert (boats["new"], boats["deleted"]) == (8, 1)
    first, second = now["revisions"]
    assert (first["who"], first["added"], first["at"]) == ("keepset", 16, "")
    assert (second["who"], second["why"], second["deleted"], second["images"]) == ("Ada", "no boat", 1, 15)
    assert second["at"]
    assert facts(collected, 1)["images"]["active"] == 16
    assert len(facts(collected, 1)["revisions"]) == 1


def test_the_table_credits_every_active_image_and_no_cell_is_a_formula(collected: Workspace, tmp_path: Path) -> None:
    done = write_card(collected, tmp_path)
    with done.attribution.open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    active = {r["sha256"]: r["label"] for r in collected.current_dataset().rows() if r["active"]}
    assert {r["sha256"]: r["label"] for r in rows} == active
    evil, plain = of(rows, title="'" + EVIL), of(rows, title="one, two")
    assert evil["landing_page"] == "", "a link that is no web address is not published"
    assert (plain["creator"], plain["license"], plain["license_url"]) == ("Ada <b>|x", "cc-by-4.0", BY)
    assert plain["landing_page"] == "http://p.example/0"
    assert plain["source_url"].endswith("/0.jpg")
    assert [r["source_url"].rpartition("/")[2] for r in rows if r["creator"] == "Bo"] == ["2.jpg", "3.jpg"]
    assert {r["source_url"] for r in rows if r["source"] == "folder"} <= {f"b{i}.jpg" for i in range(8)}
    assert not any(v.startswith(("=", "+", "-", "@")) for r in rows for v in r.values())


def test_the_page_has_front_matter_and_takes_nobodys_text_for_markup(collected: Workspace, tmp_path: Path) -> None:
    import yaml

    text = write_card(collected, tmp_path).page.read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["pretty_name"] == "fruit & ships"
    assert fields["license"] == ["cc-by-4.0", "cc0-1.0", "unknown"]
    assert fields["size_categories"] == ["n<1K"]
    assert "| apple | 8 |" in body
    assert "came without a licence" in body
    assert "not\\_found 1" in body
    assert "<b>" not in body
    assert r"Ada &lt;b&gt;\|x" in body
    assert str(tmp_path) not in text


def test_the_command_writes_both_and_says_the_facts(
    collected: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "card", "-w", collected.root, "--out", tmp_path / "c", "--json")
    said = json.loads(out)
    assert code == 0
    assert Path(said["card"]).exists()
    assert Path(said["attribution"]).exists()
    assert said["facts"]["classes"]
    assert "attribution.csv" in run(capsys, "card", "-w", collected.root, "--out", tmp_path / "c")[1]
    assert run(capsys, "card", "-w", collected.root, "--revision", "99")[0] == 4


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/p.jpg?w=640&h=2", "https://a.example/p.jpg?w=640&h=2"),
        ("https://me:pw@a.example/p.jpg", "https://a.example/p.jpg"),
        ("https://a.example/p.jpg?X-Amz-Credential=1&X-Amz-Signature=2", "https://a.example/p.jpg"),
        ("https://a.example/p.jpg?sig=1&se=2", "https://a.example/p.jpg"),
        ("https://a.example/p.jpg?access_token=1", "https://a.example/p.jpg"),
        ("https://a.example/p.jpg?monkey=1", "https://a.example/p.jpg?monkey=1"),
        ("file:///home/me/my%20cats/c%201.jpg", "c 1.jpg"),
        ("http://[bad", ""),
        (None, ""),
    ],
)
def test_published_addresses_hold_no_secrets(url: str | None, shown: str) -> None:
    assert shown_url(url) == shown


def test_of_local_places_only_the_name_is_shown() -> None:
    assert [shown_place(s, "/home/me/bears/x") for s in ("folder", "table")] == ["x", "x"]
    assert shown_place("page", "https://me:pw@a.example/") == "https://a.example/"
    assert shown_place("openverse", "brown bear") == "brown bear"


def test_cells() -> None:
    assert [plain_cell(x) for x in ("a\n b", "\t=1", "-1", "＝1", "x=1")] == ["a b", "'=1", "'-1", "'＝1", "x=1"]
