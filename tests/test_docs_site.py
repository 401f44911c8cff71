"""The documentation as a site: it builds without a warning, every link and anchor leads somewhere, nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.processes import CHECKOUT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds: a warning (a dead link or anchor, a page that is in no menu) fails it."""
    to = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(to)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return to


class _Loaded(HTMLParser):
    """The addresses that a browser loads by itself with a page, and the pictures without a description."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.unnamed: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {k: v or "" for k, v in attrs}
        if tag in ("script", "img", "source", "iframe"):
            self.addresses.append(facts.get("src", facts.get("srcset", "")))
        elif tag == "link" and facts.get("rel") != "canonical":
            self.addresses.append(facts.get("href", ""))
        if tag == "img" and not facts.get("alt"):
            self.unnamed.append(facts.get("src", ""))


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert {p.stem for p in CHECKOUT.glob("docs/*.md")} <= {p.stem for p in pages}
    for page in pages:
        found = _Loaded()
        found.feed(page.read_text(encoding="utf-8"))
        assert [a for a in found.addresses if re.match(r"(https?:)?//", a)] == [], page.name
        assert found.unnamed == [], page.name
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8"), (
            "its script comes from another host: draw an SVG"
        )
    styles = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.css"))
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*", styles) == []


def test_pictures_are_small_and_all_are_shown() -> None:
    images = [p for p in (CHECKOUT / "docs" / "images").iterdir() if p.is_file()]
    assert {p.name: p.stat().st_size for p in images if p.stat().st_size > 150_000} == {}
    text = "".join(p.read_text(encoding="utf-8") for p in [CHECKOUT / "README.md", *CHECKOUT.glob("docs/*.md")])
    assert [p.name for p in images if f"images/{p.name}" not in text] == []
