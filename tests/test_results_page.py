"""The console lines of docs/results-page.md, as a person pastes them, in Chromium on pages of each shape."""

from __future__ import annotations

import functools
import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser_fixtures import Browser
from tests.processes import CHECKOUT, serving

_JSON = json.dumps({"murl": "https://pictures.example/json.png", "turl": "https://thumbs.example/j"}).replace(
    '"', "&quot;"
)
_RESULTS = f"""
<a href="/imgres?imgurl={quote("https://pictures.example/a b.jpg?w=1&h=2", safe="")}&amp;tbnid=1"><img src="data:,"></a>
<a href="/imgres?imgurl={quote("https://pictures.example/a b.jpg?w=1&h=2", safe="")}&amp;tbnid=2">again</a>
<a class="iusc" m="{_JSON}">tile</a><a m="no JSON">tile</a>
<img src="/iu/?u={quote("https://pictures.example/proxied.jpg", safe="")}&amp;f=1">
<a href="javascript:void 0">no picture</a><img src="/logo.png">
"""
_ORDINARY = """
<img src="small.jpg" srcset="small.jpg 320w, big.jpg?a=1,2 1280w, middle.jpg 640w">
<img data-src="/lazy.jpg"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
"""
_STRICT = "default-src 'self'; img-src * data:; require-trusted-types-for 'script'"


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/results": _RESULTS, "/gallery/page": _ORDINARY}.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", _STRICT)  # what large sites forbid: scripts from text, data: pages
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.mark.browser
def test_the_console_lines_collect_the_urls(browser: Browser, tmp_path: Path) -> None:
    page_text = (CHECKOUT / "docs" / "results-page.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```js\n(.*?)^```", page_text, re.M | re.S)
    with serving(functools.partial(_Pages)) as port, browser.page() as page:
        found = {}
        for path in ("/results", "/gallery/page"):
            page.goto(f"http://127.0.0.1:{port}{path}")
            console = page.context.new_cdp_session(page)
            with (
                page.expect_download() as download
            ):  # the console itself: page.evaluate would go around the page's rules
                answer = console.send(
                    "Runtime.evaluate", {"expression": lines, "includeCommandLineAPI": True, "userGesture": True}
                )
            assert download.value.suggested_filename == "urls.txt"
            download.value.save_as(tmp_path / "urls.txt")
            found[path] = (tmp_path / "urls.txt").read_text().splitlines()
            assert answer["result"]["value"] == f"{len(found[path])} URLs"
    assert found["/results"] == [
        "https://pictures.example/a%20b.jpg?w=1&h=2", "https://pictures.example/json.png", "https://pictures.example/proxied.jpg",
    ]  # fmt: skip
    here = f"http://127.0.0.1:{port}"
    assert found["/gallery/page"] == [f"{here}/gallery/big.jpg?a=1,2", f"{here}/lazy.jpg"]


def test_the_list_is_one_that_keepset_reads(tmp_path: Path) -> None:
    """The file that the lines write, a URL per line."""
    from keepset.config import load_config
    from keepset.scrape import scrape
    from keepset.workspace import Workspace

    (tmp_path / "urls_black.txt").write_text(
        "https://pictures.example/a%20b.jpg?w=1&h=2\nhttps://pictures.example/json.png\n"
    )
    page_text = (CHECKOUT / "docs" / "results-page.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```", page_text, re.M | re.S)
    (tmp_path / "urls_teddy.txt").write_text("https://pictures.example/t.jpg\n")
    (tmp_path / "bears.toml").write_text(example)
    result = scrape(Workspace.create(tmp_path / "ws", "bears"), load_config(tmp_path / "bears.toml"))
    assert "3 pictures listed" in result.message
