"""A web page or gallery: its pictures, the largest form of each, and the picture files that it links to."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from keepset.errors import SourceError
from keepset.scrape.found import Found
from keepset.scrape.web import Web

__all__ = ["read_page"]

_FILES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".avif")
_OPT_OUT = {"noai", "noimageai", "noindex"}


def read_page(url: str, web: Web) -> Iterator[Found]:
    """Raises ``SourceError``, also if the page asks not to be used (robots.txt, header, meta tag)."""
    answer = web.page(url)
    parser = _Pictures()
    parser.feed(answer.body.decode(_charset(answer.headers.get("content-type", "")), "replace"))
    asks = answer.headers.get("x-robots-tag", "") + "," + parser.robots
    words = {w.strip().lower() for w in asks.replace(":", ",").split(",")}
    if web.config.download.robots and words & _OPT_OUT:
        raise SourceError(f"The page {url} asks not to be used for this.", "Take another page.")
    base = urljoin(answer.url, parser.base)
    seen: set[str] = set()
    for rank, (found, title) in enumerate(parser.found):
        full = found if found.lower().startswith("data:") else urljoin(base, found)
        if full not in seen:
            seen.add(full)
            yield Found(full, "page", url, rank, title or None, landing_page=url)


class _Pictures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.base = self.robots = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {k: (v or "").strip() for k, v in attrs}
        if tag == "base":
            self.base = self.base or a.get("href", "")
        elif tag == "meta":
            self._meta(a)
        elif tag in ("img", "source"):
            best = _largest(a.get("srcset") or a.get("data-srcset") or "")
            lazy = a.get("data-src") or a.get("data-original") or ""
            plain = a.get("src", "") if tag == "img" else ""  # <source src> is a film
            self._add(best or lazy or plain, a.get("alt", ""))
        elif tag == "a" and urlsplit(a.get("href", "")).path.lower().endswith(_FILES):
            self._add(a["href"], a.get("title", ""))

    def _meta(self, a: dict[str, str]) -> None:
        if a.get("property") in ("og:image", "og:image:url") or a.get("name") == "og:image":
            self._add(a.get("content", ""), "")
        elif a.get("name", "").lower() in ("robots", "keepset"):
            self.robots += "," + a.get("content", "")

    def _add(self, url: str, title: str) -> None:
        if url:
            self.found.append((url, title))


def _largest(srcset: str) -> str:
    """The candidate of the largest width or density (HTML standard, srcset). URLs may hold commas."""
    best, size, words = "", -1.0, srcset.split()
    for i, word in enumerate(words):
        url = word.strip(",")
        if not url or (i and not words[i - 1].endswith(",")):
            continue  # a descriptor
        after = words[i + 1].rstrip(",") if i + 1 < len(words) and not word.endswith(",") else "1x"
        try:
            number = float(after[:-1])
        except ValueError:
            number = 1.0
        if number > size:
            best, size = url, number
    return best


def _charset(content_type: str) -> str:
    name = content_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    try:
        "".encode(name or "utf-8")
    except LookupError:
        return "utf-8"
    return name or "utf-8"
