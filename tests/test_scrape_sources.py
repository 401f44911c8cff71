from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.errors import SourceError
from keepset.scrape import scrape
from keepset.scrape.license import code, taken
from keepset.stages import SILENT
from keepset.workspace import Workspace
from tests.scrape_fixtures import apis


def config(tmp_path: Path, base: str, first: dict[str, Any], **more: Any) -> RunConfig:
    (tmp_path / "b.txt").write_text("http://b.example/1.jpg\n")
    names = ("openverse", "wikimedia", "inaturalist", "gbif")
    raw = {
        "classes": {"a": first, "b": {"lists": ["b.txt"]}},
        "scrape": {"api_urls": dict.fromkeys(names, base), **more},
        "download": {"allow_private": [base.removeprefix("http://")], "retries": 2},
    }
    return parse_config(raw, base=tmp_path)


def found(ws: Workspace) -> list[dict[str, Any]]:
    return [r for r in manifests.read(ws.urls, "urls").rows() if r["label"] == "a"]


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws", "x")


@pytest.mark.parametrize(
    ("source", "count", "license_code", "creator", "last"),
    [
        ("openverse", 2, "cc-by-sa-2.0", "Ann", "https://o.example/2.jpg"),
        ("wikimedia", 2, "cc-by-4.0", "Bob & Co", "https://w.example/t.jpg"),
        ("inaturalist", 201, "cc-by-nc", "eve", "https://i.example/201/large.jpg"),
        ("gbif", 2, "cc-by-4.0", "Di", "https://g.example/300.jpg"),
    ],
)
def test_each_api_is_paged_to_its_end_with_licence_and_author(
    ws: Workspace, tmp_path: Path, source: str, count: int, license_code: str, creator: str, last: str
) -> None:
    with apis() as (base, _):
        cfg = config(tmp_path, base, {"search": {source: "bear"}})
        scrape(ws, cfg)
        rows = found(ws)
        assert len(rows) == count
        assert {(r["status"], r["source"], r["license"], r["creator"]) for r in rows} == {
            ("ok", source, license_code, creator)
        }
        assert rows[-1]["url"] == last
        assert not scrape(ws, cfg).changed  # a scheduled run with nothing new


def test_a_sha1_is_kept_only_for_the_file_that_it_is_of(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, _):
        scrape(ws, config(tmp_path, base, {"search": {"wikimedia": "bear"}}))
    assert [r["sha1"] for r in found(ws)] == ["ab" * 20, None]


def test_a_page_gives_the_largest_form_of_each_picture(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, _):
        scrape(ws, config(tmp_path, base, {"pages": [f"{base}/gallery"]}))
    assert [(r["url"].removeprefix(base), r["reason"]) for r in found(ws)] == [
        ("/og.jpg", None), ("/static/big.jpg", None), ("/static/lazy.jpg", None), ("/full.JPG?sig=1&x=2", None),
        ("data:image/png;base64,AA", "data_uri"),
    ]  # fmt: skip


def test_the_cap_stops_asking(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, state):
        scrape(ws, config(tmp_path, base, {"search": {"openverse": "bear"}}, max_per_class=1))
        assert len(found(ws)) == len(state["asked"]) == 1


def test_several_texts_and_sources_take_turns(ws: Workspace, tmp_path: Path) -> None:
    """The fake API gives the same pictures for every text: the second text's are known already."""
    with apis() as (base, state):
        searches = {"openverse": ["bear", "brown bear"], "gbif": "bear"}
        scrape(ws, config(tmp_path, base, {"search": searches}, max_per_class=3))
        asked = " ".join(str(a) for a in state["asked"])
    assert [r["source"] for r in found(ws) if r["status"] == "ok"] == ["openverse", "gbif", "openverse"]
    assert "brown+bear" in asked or "brown%20bear" in asked


def test_a_source_that_never_worked_stops_only_a_class_without_another(ws: Workspace, tmp_path: Path) -> None:
    notes: list[str] = []

    class Noted(type(SILENT)):  # type: ignore[misc]
        def note(self, message: str) -> None:
            notes.append(message)

    with apis() as (base, _):
        cfg = config(tmp_path, base, {"search": {"wikimedia": "fail", "openverse": "bear"}})
        scrape(ws, cfg, progress=Noted())
    assert {r["source"] for r in found(ws)} == {"openverse"}
    assert [n for n in notes if "'a' goes without a source" in n and "fail" in n]


def test_licences_that_are_not_taken_are_rows_with_a_reason(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, _):
        searches = {"openverse": "bear", "gbif": "bear"}
        scrape(ws, config(tmp_path, base, {"search": searches}, licenses=["CC BY"]))
    assert {r["source"]: r["reason"] for r in found(ws)} == {"openverse": "license_not_allowed", "gbif": None}


def test_what_is_transient_is_asked_again_and_a_long_wait_is_told(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, state):
        cfg = config(tmp_path, base, {"search": {"openverse": "bear"}})
        state["trouble"] += [(429, "0"), (503, "0")]
        scrape(ws, cfg)
        assert len(found(ws)) == 2
        assert len(state["asked"]) == 4
        state["trouble"] += [(429, "3600")]
        assert not scrape(ws, cfg).changed  # throttled today: what is known stays


@pytest.mark.parametrize(("code_", "wait"), [(403, None), (429, "3600")])
def test_a_source_that_never_answered_is_an_error(ws: Workspace, tmp_path: Path, code_: int, wait: str) -> None:
    with apis() as (base, state):
        state["trouble"] += [(code_, wait)]
        with pytest.raises(SourceError):
            scrape(ws, config(tmp_path, base, {"search": {"openverse": "bear"}}))
        assert len(state["asked"]) == 1
        with pytest.raises(SourceError, match="no such thing"):
            scrape(ws, config(tmp_path, base, {"search": {"wikimedia": "fail"}}))


def test_a_page_on_a_private_address_is_refused(ws: Workspace, tmp_path: Path) -> None:
    cfg = config(tmp_path, "http://127.0.0.1:9", {"pages": ["http://169.254.169.254/latest/"]}, contact="x")
    with pytest.raises(SourceError, match=r"blocked_address"):
        scrape(ws, cfg)


def test_spellings_of_licences() -> None:
    assert code("CC BY-SA 4.0") == code("https://creativecommons.org/licenses/by-sa/4.0/") == "cc-by-sa-4.0"
    assert code("by-nc", "2.0") == "cc-by-nc-2.0"
    assert code("cc0") == code("http://creativecommons.org/publicdomain/zero/1.0/") == "cc0"
    assert code(" ") is None
    assert taken("cc-by-4.0", ["cc-by"])
    assert not taken("cc-by-nc-4.0", ["cc-by"])
    assert not taken(None, ["cc-by"])
    assert taken(None, [])


def test_duckduckgo_through_its_package(ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package and its real client; only the host's name is another one."""
    client = pytest.importorskip("ddgs.http_client", reason="the extra `search` is not installed").HttpClient
    ask = client.request
    with apis() as (base, _):
        monkeypatch.setattr(
            client,
            "request",
            lambda self, method, url, **more: ask(self, method, url.replace("https://duckduckgo.com", base), **more),
        )
        scrape(ws, config(tmp_path, base, {"search": {"duckduckgo": "bear"}}))
    row = found(ws)[0]
    assert (row["url"], row["title"]) == ("https://d.example/bear.jpg", "A bear")
    assert (row["source"], row["width"], row["landing_page"]) == ("duckduckgo", 800, "https://d.example/page")
