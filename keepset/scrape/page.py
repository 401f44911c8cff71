"""A web page or gallery: its pictures, the largest form of each, and the picture files that it links to."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from keepset.errors import SourceError
from keepset.scrape.found import Found
from keepset.scrape.web import Web

__all__ = ["Pictures", "joined", "read_page", "text_of"]

_FILES = (".jpg", ".jpeg", ".jfif", ".png", ".gif", ".webp", ".bmp", ".avif")
_OPT_OUT = {"noai", "noimageai", "noindex"}
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-lazy", "data-lazyload", "data-original-src", "data-delayed-url",
         "data-full-src", "data-hi-res-src", "data-image-src")  # fmt: skip
"""Attributes in which scripts keep the address of a picture that is loaded when it scrolls into view."""
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.I)


def read_page(url: str, web: Web) -> Iterator[Found]:
    """Raises ``SourceError``, also if the page asks not to be used (robots.txt, header, meta tag)."""
    answer = web.page(url)
    parser = Pictures()
    parser.feed(text_of(answer.body, answer.headers.get("content-type", "")))
    parser.close()
    asks = answer.headers.get("x-robots-tag", "") + "," + parser.robots
    words = {w.strip().lower() for w in asks.replace(":", ",").split(",")}
    if web.config.download.robots and words & _OPT_OUT:
        raise SourceError(f"The page {url} asks not to be used for this.", "Take another page.")
    base = _base(answer.url, parser.base)
    seen: set[str] = set()
    for rank, (found, title) in enumerate(parser.found):
        full = joined(base, found)
        if full not in seen:
            seen.add(full)
            yield Found(full, "page", url, rank, title or None, landing_page=url)


def _base(page: str, given: str) -> str:
    """What the page's links are relative to: its ``<base>``, unless that is no address."""
    try:
        found = urljoin(page, given)
        return found if urlsplit(found).hostname else page
    except ValueError:
        return page


def joined(base: str, link: str) -> str:
    """The address that a browser would ask for (https://url.spec.whatwg.org); the link itself if it is none."""
    if _is_data(link):
        return link
    plain = re.sub(r"[\t\r\n]", "", link).strip()
    path, mark, rest = plain.partition("?")
    plain = (path.replace("\\", "/") + mark + rest).replace(" ", "%20")
    try:
        return urljoin(base, plain)
    except ValueError:  # such as http://[x
        return plain


def _is_data(link: str) -> bool:
    return link[:5].lower() == "data:"


class Pictures(HTMLParser):
    """``found``: address and title of each picture of a page, as the page writes them; its ``base`` and ``robots``."""

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
            plain = a.get("src", "") if tag == "img" else ""  # <source src> is a film
            lazy = [a.get(name, "") for name in _LAZY]
            known = [_largest(a.get("data-srcset", "")), _largest(a.get("srcset", "")), *lazy, plain]
            best = next((u for u in known if u and not _is_data(u)), "") or next(filter(None, known), "")
            self._add(best, a.get("alt", ""))
        elif tag == "a" and _is_picture_file(a.get("href", "")):
            self._add(a["href"], a.get("title", ""))

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Pages hold ``<![if`` and worse; Python's parser fails on what it does not know."""
        end = self.rawdata.find(">", i + 3)
        return end + 1 if end >= 0 else -1

    def _meta(self, a: dict[str, str]) -> None:
        if a.get("property") in ("og:image", "og:image:url") or a.get("name") == "og:image":
            self._add(a.get("content", ""), "")
        elif a.get("name", "").lower() in ("robots", "keepset"):
            self.robots += "," + a.get("content", "")

    def _add(self, url: str, title: str) -> None:
        if url:
            self.found.append((url, title))


def _is_picture_file(link: str) -> bool:
    """Whether a link ends like a picture file; ``/wiki/File:Bear.jpg`` is a page about one (MediaWiki)."""
    path = re.split(r"[?#]", link, maxsplit=1)[0]
    return path.lower().endswith(_FILES) and ":" not in path.rpartition("/")[2]


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


def text_of(body: bytes, content_type: str) -> str:
    """The page's characters: by its byte order mark, its header, its ``<meta>``, else UTF-8 (HTML standard, 13.2.3)."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    meta = _META_CHARSET.search(body[:4096])
    said = content_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    for name in (said, meta[1].decode("ascii").lower() if meta else "", "utf-8"):
        try:
            if name and codecs.lookup(name)._is_text_encoding:
                return body.decode(_AS_BROWSERS.get(codecs.lookup(name).name, name), "replace")
        except (LookupError, ValueError):
            continue
    return body.decode("utf-8", "replace")


_AS_BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252", "utf-16": "utf-8", "gb2312": "gb18030", "iso8859-9": "cp1254"}
"""Encodings that browsers read as another one, by Python's names (https://encoding.spec.whatwg.org)."""
