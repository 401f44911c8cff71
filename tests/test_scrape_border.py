"""Odd pages and odd answers of APIs: each odd item is a row with a reason, and ends nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepset import manifests
from keepset.config import parse_config
from keepset.errors import SourceError
from keepset.reasons import UrlReason
from keepset.scrape import scrape
from keepset.scrape.border import address, number, words
from keepset.scrape.found import Found
from keepset.workspace import Workspace
from tests.scrape_fixtures import apis

Row = dict[str, Any]
PATHS = {"openverse": "/v1/images/", "wikimedia": "/w/api.php", "inaturalist": "/v1/observations",
         "gbif": "/v1/occurrence/search"}  # fmt: skip


def collect(base: str, first: dict[str, Any]) -> list[Row]:
    """The rows of class a, whose source is ``first``; class b has a list, which must come through."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "b.txt").write_text("http://b.example/1.jpg\n")
        raw = {
            "classes": {"a": first, "b": {"lists": ["b.txt"]}},
            "scrape": {"api_urls": dict.fromkeys(PATHS, base)},
            "download": {"allow_private": [base.removeprefix("http://")], "retries": 0, "robots": False},
        }
        ws = Workspace.create(root / "ws", "x")
        scrape(ws, parse_config(raw, base=root))
        rows = manifests.read(ws.urls, "urls").rows()
        assert [r["status"] for r in rows if r["label"] == "b"] == ["ok"]
        return [r for r in rows if r["label"] == "a"]


def page(body: str | bytes, content_type: str = "text/html") -> list[tuple[str, str | None]]:
    """What a page gives, (address below the server, reason)."""
    with apis() as (base, state):
        body = body.replace("BASE", base).encode() if isinstance(body, str) else body
        state["answers"]["/sub/page"] = (body, 200, {"Content-Type": content_type})
        rows = collect(base, {"pages": [f"{base}/sub/page"]})
    return [(r["url"].removeprefix(base), r["reason"]) for r in rows]


@pytest.mark.parametrize(
    "html",
    [
        '<a href="http://[URL=x.jpg">x</a>', '<img src="http://[bad/x.jpg">', '<base href="http://[x">',
        '<img srcset="http://[::bad/x.jpg 2x">', '<meta property="og:image" content="http://[">',
        '<img src="http://x.example:99999/1.jpg">', '<img src="http:///1.jpg">', "<![if foo]>", "<!DOCTYPE [", "<!",
        '<img src="http://x.example/\ud83d.jpg">'.encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ],
)  # fmt: skip
def test_broken_addresses_on_a_page_end_nothing(html: str) -> None:
    found = page(f'{html}<p>text</p><img src="/good.jpg"> <p>end</p>')
    assert ("/good.jpg", None) in found
    assert all(reason in (None, "not_a_url") for _, reason in found)


@pytest.mark.parametrize(
    ("html", "url"),
    [
        ('<img src="data:image/gif;base64,R0" srcset="data:image/gif;base64,R0 1w" data-srcset="/real-800.jpg 800w">', "/real-800.jpg"),
        ('<img src="/tiny.gif" data-srcset="/400.jpg 400w, /800.jpg 800w">', "/800.jpg"),
        ('<img src="data:image/gif;base64,R0" data-lazy-src="/real.jpg">', "/real.jpg"),
        ('<img src="data:image/gif;base64,R0"><noscript><img src="/real.jpg"></noscript>', "/real.jpg"),
        ('<img src="my picture 1.jpg">', "/sub/my%20picture%201.jpg"),
        ('<img src=" \n/a\n.jpg ">', "/a.jpg"),
        ('<img src="\\pics\\a.jpg?x=\\y">', "/pics/a.jpg?x=\\y"),
        ('<base href="BASE/other/"><img src="a.jpg">', "/other/a.jpg"),
        ('<a href="BASE/full.jpg">x</a>', "/full.jpg"),
    ],
)  # fmt: skip
def test_the_picture_that_a_browser_would_show(html: str, url: str) -> None:
    taken = [u for u, reason in page(html) if reason is None]
    assert taken == [url]


def test_pages_about_pictures_are_not_pictures() -> None:
    html = '<a href="/wiki/File:Bear.jpg"><img src="/thumb/Bear.jpg/220px-Bear.jpg"></a><a href="/wiki/Datei:Bär.png">x</a>'
    assert page(html) == [("/thumb/Bear.jpg/220px-Bear.jpg", None)]


@pytest.mark.parametrize(
    ("encoding", "header", "head"),
    [
        ("cp1252", "text/html", '<meta charset="windows-1252">'),
        ("cp1252", "text/html", '<META http-equiv="Content-Type" content="text/html; charset=iso-8859-1">'),
        ("utf-8", "text/html", ""), ("utf-8", "text/html; charset=utf-8", '<meta charset="windows-1252">'),
        ("shift_jis", "text/html; charset=Shift_JIS", ""), ("utf-16", "text/html", ""),
        ("utf-8-sig", "text/html; charset=latin-1", ""), ("utf-8", "text/html; charset=rot13", ""),
        ("utf-8", "text/html; charset=idna", ""), ("utf-8", "text/html; charset=none", ""),
        ("utf-8", "text/html", '<meta charset="hex">'),
    ],
)  # fmt: skip
def test_the_characters_of_a_page(encoding: str, header: str, head: str) -> None:
    word = "熊" if encoding == "shift_jis" else "Bär"
    assert page(f'{head}<img src="/{word}.jpg">'.encode(encoding), header) == [(f"/{word}.jpg", None)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([
    "<img ", "<a ", "<base ", "<meta ", "<source ", 'src="', 'srcset="', 'href="', 'data-src="', 'content="', '"', ">", "/a.jpg",
    "http://", "http://[", "//", "data:", "1x, ", " 2x", "<!", "<![", "<?", "&#x110000;", "\0", "é", ":99999", "name=robots ",
    "property=og:image ", "</", "<!--", "javascript:", "\\", "?", "#", "charset=",
]), max_size=14).map("".join))  # fmt: skip
@pytest.mark.slow
def test_any_page_is_read_to_its_end(html: str) -> None:
    page(html.replace("noai", "") + '"> --> <img src="/good.jpg">')


def test_a_page_that_is_no_address_is_named_by_the_config(tmp_path: Path) -> None:
    from keepset.errors import ConfigError

    for wrong in ("bears", "ftp://x.example/", "http://[", "http://"):
        with pytest.raises(ConfigError, match="is not a web address"):
            parse_config({"classes": {"a": {"pages": [wrong]}, "b": {"urls": ["x"]}}}, base=tmp_path)


# -- APIs ------------------------------------------------------------------------------------------

ODD: list[Any] = ["cut \ud83d", "640", ["a", "b"], 7, None, True, {"x": 1}, 1e300, -1, "\0", "x" * 5000]


def answer_of(source: str, url: Any, value: Any) -> dict[str, Any]:
    """One item in the source's own shape, whose every fact is ``value``."""
    if source == "openverse":
        item = dict.fromkeys(
            ("title", "creator", "license", "license_version", "license_url", "foreign_landing_url", "width", "height"),
            value,
        )
        return {"page_count": 1, "results": [item | {"url": url}, value, {"url": "https://g.example/good.jpg"}]}
    if source == "wikimedia":
        info = {"url": url, "width": value, "height": value, "sha1": value, "descriptionurl": value,
                "extmetadata": {"Artist": {"value": value}, "LicenseShortName": value}}  # fmt: skip
        good = {"index": value, "imageinfo": [{"url": "https://g.example/good.jpg"}]}
        return {"query": {"pages": [{"index": value, "imageinfo": [info]}, value, good]}}
    if source == "inaturalist":
        photo = {"url": url, "license_code": value, "original_dimensions": value}
        good = {"id": 2, "photos": [{"url": "https://g.example/good.jpg"}]}
        return {
            "results": [{"id": 1, "taxon": value, "user": value, "uri": value, "photos": [photo, value]}, value, good]
        }
    media = {
        "type": "StillImage", "identifier": url, "title": value, "creator": value, "license": value,
        "references": value,
    }  # fmt: skip
    return {"endOfRecords": True, "results": [{"media": [media, value]}, value, {"media": value},
                                              {"media": [{"identifier": "https://g.example/good.jpg"}]}]}  # fmt: skip


@pytest.mark.parametrize("source", PATHS)
def test_odd_facts_of_an_api_end_nothing(source: str) -> None:
    with apis() as (base, state):
        for value in ODD:
            body = json.dumps(answer_of(source, "https://g.example/odd.jpg", value)).encode()
            state["answers"][PATHS[source]] = (body,)
            rows = collect(base, {"search": {source: "bear"}})
            taken = {r["url"] for r in rows if r["status"] == "ok"}
            assert {"https://g.example/odd.jpg", "https://g.example/good.jpg"} <= taken, value


@pytest.mark.parametrize("source", PATHS)
def test_an_odd_address_of_an_api_is_a_row_with_a_reason(source: str) -> None:
    with apis() as (base, state):
        for url in (7, ["x"], {"a": 1}, "\ud83d", "http://[", "ftp://x.example/1.jpg"):
            state["answers"][PATHS[source]] = (json.dumps(answer_of(source, url, "x")).encode(),)
            rows = collect(base, {"search": {source: "bear"}})
            assert [r["url"] for r in rows if r["status"] == "ok"] == ["https://g.example/good.jpg"]
            assert {r["reason"] for r in rows} - {None} <= {"not_a_url", "scheme_not_allowed", "duplicate_url"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=6),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(
        st.sampled_from(["results", "query", "pages", "imageinfo", "photos", "media", "url", "id", "page_count", "continue",
                         "extmetadata", "error", "user", "license"]), x, max_size=4),
    max_leaves=14,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(source=st.sampled_from(sorted(PATHS)), answer=JSON)
@pytest.mark.slow
def test_any_answer_of_an_api_is_rows_or_one_error(source: str, answer: Any) -> None:
    remedy = "none needed"
    with apis() as (base, state):
        state["answers"][PATHS[source]] = (json.dumps(answer).encode(),)
        try:
            collect(base, {"search": {source: "bear"}})
        except SourceError as e:
            remedy = e.remedy
        assert len(state["asked"]) < 400
    assert remedy


def test_what_becomes_of_single_values() -> None:
    assert [number(v) for v in (640, "640", 640.0, " 12 ", "²", "abc", -1, 0, 2**40, True, None, [1])] == [
        640, 640, 640, 12, None, None, None, None, None, None, None, None,
    ]  # fmt: skip
    assert words(["a", 7, None, " b\n c"]) == "a, 7, b c"
    assert words("cut \ud83d") == "cut \ufffd"
    assert words({"a": 1}) is words(True) is words("\x07") is None
    assert address(Found("http://x.example/" + "a" * 9000, "page", None, 0))[1] == UrlReason.NOT_A_URL
    assert address(Found("http://x.example/a\u200bb.jpg", "page", None, 0))[2] == "it holds the character U+200B"
