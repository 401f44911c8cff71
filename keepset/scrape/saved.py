"""A web page that a browser saved: "HTML only", or "Webpage, complete" with the folder of its pictures beside it.

Of a page of results (Google, Bing, DuckDuckGo) the addresses of the pictures themselves are taken, not the thumbnails.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from keepset.errors import SourceError
from keepset.scrape.found import Found
from keepset.scrape.page import Pictures, joined, text_of
from keepset.storage.localfiles import beside, config_path, file_url, path_of, shown

__all__ = ["read_saved"]

_MOST_BYTES = 50_000_000
_FROM = re.compile(r"<!--\s*saved from url=\(\d+\)(\S+?)\s*-->")
"""What Chrome, Edge and Firefox write into the first lines."""
_GOOGLE = re.compile(r'\["(https?://(?:[^"\\]|\\.){4,4000})",(\d{1,5}),(\d{1,5})\]')
_BING = re.compile(r'(?:"purl":"(https?://[^"]{4,4000})",)?"murl":"(https?://[^"]{4,4000})"')
_THUMBNAILS = re.compile(r"(^|\.)(gstatic\.com|bing\.net|googleusercontent\.com)$")
"""Hosts that serve nothing but reduced copies on such pages."""


def read_saved(path: str) -> Iterator[Found]:
    """The pictures of the page: files beside it, or else addresses. Raises ``SourceError``."""
    file = path_of(path)
    try:
        with file.open("rb") as f:
            body = f.read(_MOST_BYTES)
    except OSError as e:
        raise SourceError(f"The saved page {shown(file)} cannot be read: {e.strerror or e}.", "Save it again.") from e
    text = text_of(body, "")
    parser = Pictures()
    parser.feed(text)
    parser.close()
    came = _FROM.search(text[:10_000])
    origin = parser.base or (html.unescape(came[1]) if came else "")
    if results := list(dict.fromkeys(_results(text))):
        # Not the page of results: its pictures come from many sites, and are no one origin.
        for rank, (url, page, width, height) in enumerate(results):
            yield Found(url, "page", shown(file.name), rank, landing_page=page, width=width, height=height)
        return
    seen: set[str] = set()
    for rank, (link, title) in enumerate(parser.found):
        mine = _file(file, link)
        full = file_url(mine) if mine else _unwrapped(joined(origin, link) if origin else link)
        if full in seen:
            continue
        seen.add(full)
        source, place = ("folder", config_path(mine.parent)) if mine else ("page", shown(file.name))
        yield Found(full, source, place, rank, title or None, landing_page=origin or None)


def _file(page: Path, link: str) -> Path | None:
    """The file in such a folder that a link means; no other file of this machine can be named."""
    if "://" in link or link.startswith(("//", "data:")):
        return None
    named = page.parent / unquote(re.split(r"[?#]", link, maxsplit=1)[0])
    try:
        inside = any(named.resolve().is_relative_to(folder.resolve()) for folder in beside(page))
        return named if inside and named.is_file() else None
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return None


def _results(text: str) -> Iterator[tuple[str, str | None, int | None, int | None]]:
    """Address, page, width and height of the pictures that a page of results leads to, as far as it says."""
    for raw, height, width in _GOOGLE.findall(text):
        url = _unescaped(raw)
        if not _THUMBNAILS.search(_host(url)):
            yield url, None, int(width), int(height)
    for page, url in _BING.findall(html.unescape(text)):
        yield url, page or None, None, None


def _unescaped(raw: str) -> str:
    """A string as a script writes it; half a surrogate pair becomes a question mark."""
    try:
        return str(json.loads(f'"{raw}"', strict=False)).encode("utf-8", "replace").decode()
    except ValueError:
        return raw


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as http://[x
        return ""


def _unwrapped(url: str) -> str:
    """The picture behind DuckDuckGo's proxy, or Google's link to it."""
    try:
        parts = urlsplit(url)
        wrapped = {"external-content.duckduckgo.com": "u", "www.google.com": "imgurl"}.get(parts.hostname or "")
        return parse_qs(parts.query).get(wrapped or "", [url])[0]
    except ValueError:
        return url
