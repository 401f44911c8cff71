from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig, load_config, parse_config
from keepset.errors import ConfigError, SourceError
from keepset.importing import languages, searches
from keepset.scrape import scrape
from keepset.scrape.license import code, taken
from keepset.workspace import Workspace
from tests.factories import Told
from tests.scrape_fixtures import apis

THUMBNAILS = {
    "openverse": "https://api.openverse.org/v1/images/2/thumb/",
    "wikimedia": "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/330px-o.jpg",
    "inaturalist": "https://static.inaturalist.org/photos/201/small.jpg",
}


def config(tmp_path: Path, base: str, first: dict[str, Any], **more: Any) -> RunConfig:
    (tmp_path / "b.txt").write_text("http://b.example/1.jpg\n")
    names = ("openverse", "wikimedia", "inaturalist", "gbif", "duckduckgo")
    raw = {
        "classes": {"a": first, "b": {"lists": ["b.txt"]}},
        "scrape": {"api_urls": dict.fromkeys(names, base), "contact": "me@example.org", **more},
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
        (
            "wikimedia",
            2,
            "cc-by-4.0",
            "Bob & Co",
            "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/1280px-o.jpg",
        ),
        ("inaturalist", 201, "cc-by-nc", "eve", "https://static.inaturalist.org/photos/201/large.jpg"),
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
        assert rows[-1]["thumbnail"] == THUMBNAILS.get(source)
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
    told = Told()
    with apis() as (base, _):
        cfg = config(tmp_path, base, {"search": {"wikimedia": "fail", "openverse": "bear"}})
        scrape(ws, cfg, progress=told)
    assert {r["source"] for r in found(ws)} == {"openverse"}
    assert [n for n in told.notes if "'a' goes without a source" in n and "fail" in n]


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
    assert row["thumbnail"] == "https://tse.example/th?id=1"


def test_an_openverse_search_ends_where_the_source_does(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claims thousands of pages and refuses the 13th."""
    from tests.scrape_fixtures import Apis

    def endless(self: Apis, q: dict[str, str]) -> dict[str, Any]:
        results = [{"url": f"https://o.example/{q['page']}-{i}.jpg"} for i in range(20)]
        return {"page_count": 5000, "results": results}

    monkeypatch.setattr(Apis, "openverse", endless)
    with apis() as (base, state):
        scrape(ws, config(tmp_path, base, {"search": {"openverse": "bear"}}))
        assert len(found(ws)) == 240
        assert len(state["asked"]) == 12


def test_wikimedia_without_a_contact_says_what_to_set_and_others_go_on(ws: Workspace, tmp_path: Path) -> None:
    told = Told()
    with apis() as (base, _):
        cfg = config(tmp_path, base, {"search": {"wikimedia": "bear", "openverse": "bear"}}, contact="")
        scrape(ws, cfg, progress=told)
    assert {r["source"] for r in found(ws)} == {"openverse"}
    assert "[scrape] contact" in told


def test_words_that_a_class_excludes(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, state):
        titles = ["Teddy Cartoon", "cartoonist at work", "two CARTOONS", "plain", "\u6f2b\u753b\u306e\u718a"]
        results = [{"url": f"https://o.example/{i}.jpg", "title": t} for i, t in enumerate(titles)]
        results.append({"url": "https://o.example/my%20cartoon.jpg", "title": "bear"})
        import json

        state["answers"]["/v1/images/"] = (json.dumps({"page_count": 1, "results": results}).encode(),)
        scrape(ws, config(tmp_path, base, {"search": {"openverse": "bear"}, "exclude": ["cartoon", "\u6f2b\u753b"]}))
        assert [r["reason"] for r in found(ws)] == [
            "excluded_word", None, "excluded_word", None, "excluded_word", "excluded_word",
        ]  # fmt: skip


def test_doctor_asks_each_source_and_names_the_remedy(tmp_path: Path) -> None:
    from keepset.cli.doctor import ask_sources

    with apis() as (base, state):
        cfg = config(tmp_path, base, {"search": {"openverse": "bear"}}, contact="")
        made = Workspace.create(tmp_path / "asked", "x")
        made.save_config(cfg)
        state["answers"]["/w/api.php"] = (b"Please set a user-agent", 403)
        checks = {c.name: c for c in ask_sources(made.root)}
    assert set(checks) == {"openverse", "wikimedia", "inaturalist", "gbif", "duckduckgo"}
    assert str(checks["wikimedia"].verdict) == "fail"
    assert "does not answer: HTTP 403" in checks["wikimedia"].found
    assert "answers in" in checks["gbif"].found
    assert str(checks["gbif"].verdict) == "ok"


SAVED = """<!doctype html>
<!-- saved from url=(0033)https://zoo.example/bears/page.html -->
<img src="./Bears_files/one.jpg" alt="A bear"><img src="Bears_files/one.jpg"><img src="../elsewhere.jpg">
<img src="Bears_files/../../secret.jpg"><img src="https://zoo.example/two.jpg"><img src="data:image/png;base64,AA">
<img src="https://external-content.duckduckgo.com/iu/?u=https%3A%2F%2Fd.example%2Fthree.jpg&amp;f=1">"""


def test_a_page_that_a_browser_saved_gives_its_files_and_addresses_and_no_other_file(
    ws: Workspace, tmp_path: Path
) -> None:
    from keepset.download import download
    from tests.download_fixtures import PICTURE

    (folder := tmp_path / "Bears_files").mkdir()
    (folder / "one.jpg").write_bytes(PICTURE)
    (tmp_path.parent / "secret.jpg").write_bytes(PICTURE)
    (tmp_path / "Bears.html").write_text(SAVED)
    cfg = config(tmp_path, "http://127.0.0.1:9", {"pages": ["Bears.html"]})
    scrape(ws, cfg)
    rows = found(ws)
    assert [(r["source"], r["url"], r["reason"]) for r in rows] == [
        ("folder", (folder / "one.jpg").as_uri(), None), ("page", "https://zoo.example/elsewhere.jpg", None),
        ("page", "https://zoo.example/secret.jpg", None), ("page", "https://zoo.example/two.jpg", None),
        ("page", "data:image/png;base64,AA", "data_uri"), ("page", "https://d.example/three.jpg", None),
    ]  # fmt: skip
    assert {r["landing_page"] for r in rows} == {"https://zoo.example/bears/page.html"}
    assert not scrape(ws, cfg).changed
    (tmp_path / "Bears.html").write_text(SAVED.replace("https://", "http://127.0.0.1:9/"))
    scrape(ws, cfg)
    download(ws, cfg.model_copy(update={"download": cfg.download.model_copy(update={"retries": 0, "deadline_s": 1.0})}))
    done = manifests.read(ws.downloads, "downloads").rows()
    assert [r["url"] for r in done if r["status"] == "ok"] == [(folder / "one.jpg").as_uri()]


def test_a_saved_page_of_results_gives_the_pictures_not_the_thumbnails(ws: Workspace, tmp_path: Path) -> None:
    google = (
        '<img src="data:image/jpeg;base64,AA"><script>x=[["https://encrypted-tbn0.gstatic.com/images?q\\u003dtbn",180,280],'
        '["https://g.example/bear.jpg?w\\u003d9\\u0026h\\u003d8",960,1280]]</script>'
    )
    bing = '<a class="iusc" m="{&quot;purl&quot;:&quot;https://b.example/about&quot;,&quot;murl&quot;:&quot;https://b.example/bear.png&quot;}"><img src="https://th.bing.net/x.jpg"></a>'
    (tmp_path / "g.html").write_text("<!-- saved from url=(0022)https://g.example/find -->" + google)
    (tmp_path / "b.htm").write_text(bing)
    scrape(ws, config(tmp_path, "http://127.0.0.1:9", {"pages": ["g.html", "b.htm"]}))
    # A page of results is no origin: pictures of one page stay on one side of the split.
    assert [(r["url"], r["query"], r["width"], r["landing_page"]) for r in found(ws)] == [
        ("https://g.example/bear.jpg?w=9&h=8", "g.html", 1280, None),
        ("https://b.example/bear.png", "b.htm", None, "https://b.example/about"),
    ]


def test_broken_addresses_in_a_saved_page_do_not_stop_the_others(tmp_path: Path) -> None:
    from keepset.scrape.saved import read_saved

    bad = ("http://[x/y.jpg", "http://x.example/a\nb.jpg", "http://x.example/\\ud800.jpg")
    page = tmp_path / "g.html"
    page.write_text("".join(f'["{url}",9,9]' for url in (*bad, "http://x.example/good.jpg")))
    assert [f.url for f in read_saved(str(page))][-1:] == ["http://x.example/good.jpg"]
    (tmp_path / "g_files").mkdir()
    (tmp_path / "g_files" / "good.jpg").touch()
    page.write_text("".join(f'<img src="g_files/{name}">' for name in ("a" * 5000, "%00", "good.jpg")))
    assert [f.source for f in read_saved(str(page))] == ["page", "page", "folder"]


def test_a_class_whose_sources_all_fail_does_not_take_the_others_with_it(ws: Workspace, tmp_path: Path) -> None:
    with apis() as (base, _):
        cfg = config(tmp_path, base, {"search": {"wikimedia": "fail"}})
        other = cfg.classes[1].model_copy(update={"lists": (), "search": {"openverse": ("bear",)}})
        cfg = cfg.model_copy(update={"classes": (cfg.classes[0], other)})
        for _ in range(2):
            with pytest.raises(SourceError, match="The class 'a' has no URL: Wikimedia Commons refuses"):
                scrape(ws, cfg)
            rows = manifests.read(ws.urls, "urls").rows()
            assert {(r["label"], r["source"]) for r in rows} == {("b", "openverse")}
        mended = cfg.classes[0].model_copy(update={"search": {"wikimedia": ("bear",)}})
        assert scrape(ws, cfg.model_copy(update={"classes": (mended, other)})).changed
        assert {r["label"] for r in manifests.read(ws.urls, "urls").rows()} == {"a", "b"}


def asking(base: str, classes: list[str], **more: Any) -> RunConfig:
    host = base.removeprefix("http://")
    raw: dict[str, Any] = {"classes": [{"name": c, "urls": [f"{base}/{c}"]} for c in classes]}
    raw |= {"scrape": {"contact": "me@example.org"}, "download": {"allow_private": [host], "retries": 0}} | more
    return parse_config(raw, base=Path())


def test_classes_are_searched_by_their_names_in_other_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with apis() as (base, state):
        classes = ["teddy bear", "brown bear", "grizzly", "frobnicator"]
        # only the address is not Wikidata's
        monkeypatch.setattr(
            searches, "names_in", lambda wanted, c: languages.names_in(wanted, asking(base, list(c.labels)), base)
        )
        text, notes = searches.search_config(
            tmp_path / "x.toml", classes, languages=["de", "es"], contact="me@example.org"
        )
        (tmp_path / "x.toml").write_text(text)
        searched = {c.name: c.search["openverse"] for c in load_config(tmp_path / "x.toml").classes}
        assert searched == {
            "teddy bear": ("teddy bear", "Teddybär", "osito"),
            "brown bear": ("brown bear",),  # Braunbär is the name of two classes
            "grizzly": ("grizzly",),
            "frobnicator": ("frobnicator",),
        }
        assert "# Wikidata takes it for Q2, soft toy." in text  # not for the disambiguation page
        assert load_config(tmp_path / "x.toml").scrape.contact == "me@example.org"
        assert notes[0] == "teddy bear: Teddybär, osito (soft toy)"
        assert notes[3] == "frobnicator: Wikidata does not know it; add texts by hand"
        assert (
            languages.names_in(["es"], asking(base, ["osito", "b"]), base)["osito"].names == {}
        )  # a class named in Spanish
        assert all("wbsearchentities" in a or "wbgetentities" in a for a in state["asked"])


def test_languages_that_cannot_be_looked_up_say_what_to_do() -> None:
    with apis() as (base, state):
        for code, config_, error, said in (
            ("deutsch!", asking(base, ["a", "b"]), ConfigError, "not a language code"),
            ("de", asking(base, ["a", "b"], scrape={}), ConfigError, "whom to write to"),
            ("xx", asking(base, ["a", "b"]), SourceError, "Unrecognized value"),
        ):
            with pytest.raises(error, match=said) as e:
                languages.names_in([code], config_, base)
            assert e.value.remedy
        state["trouble"] = [(503, None)]
        with pytest.raises(SourceError, match="HTTP 503") as e:
            languages.names_in(["de"], asking(base, ["a", "b"]), base)
        assert "Without --languages" in e.value.remedy
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 cannot be reached: the connection failed") as e:
        languages.names_in(["de"], asking("http://127.0.0.1:9", ["a", "b"]), "http://127.0.0.1:9")
    assert "network" in e.value.remedy
