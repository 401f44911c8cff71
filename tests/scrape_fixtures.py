"""The search APIs and a gallery on loopback, in their documented shapes; each answers in two pages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.processes import serving

GALLERY = """<!doctype html><base href="/static/"><meta property="og:image" content="/og.jpg">
<img src="small.jpg" srcset="a,b.jpg 1x, big.jpg 2x" alt="A bear"><img src="x.gif" data-src="lazy.jpg">
<a href="../full.JPG?sig=1&amp;x=2">full</a><a href="about.html">about</a><img src="data:image/png;base64,AA">
<img src="/og.jpg">"""


class Apis(BaseHTTPRequestHandler):
    state: dict[str, Any]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        q = {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.state["asked"].append(self.path)
        known = {"/v1/images/": self.openverse, "/w/api.php": self.wikimedia,
                 "/v1/observations": self.inaturalist, "/v1/occurrence/search": self.gbif}  # fmt: skip
        code, wait = self.state["trouble"].pop(0) if self.state["trouble"] else (200, None)
        if code != 200:
            self.answer(b"{}", code, {"Retry-After": wait} if wait else {})
        elif parts.path in self.state["answers"]:
            self.answer(*self.state["answers"][parts.path])
        elif parts.path in known and (refused := self.refused(parts.path, q)):
            self.answer(json.dumps({"detail": refused[1]}).encode(), refused[0])
        elif parts.path in known:
            self.answer(json.dumps(known[parts.path](q)).encode())
        elif parts.path == "/":  # DuckDuckGo's page, which holds the token for its pictures
            self.answer(b'<script>vqd="4-123456"</script>')
        elif parts.path == "/i.js":
            assert q["vqd"] == "4-123456"
            hit = {"title": "A bear", "image": f"https://d.example/{q['q']}.jpg", "url": "https://d.example/page",
                   "width": 800, "height": 600, "thumbnail": "https://tse.example/th?id=1"}  # fmt: skip
            self.answer(json.dumps({"results": [hit]}).encode())
        elif parts.path == "/gallery":
            self.answer(GALLERY.encode())
        else:
            self.answer(b"", 404)

    def refused(self, path: str, q: dict[str, str]) -> tuple[int, str] | None:
        """What the real services refuse, as ``keepset.sources`` says with its references."""
        agent = self.headers.get("User-Agent", "")
        if path == "/v1/images/":
            if int(q.get("page_size", 20)) > 20:
                return 401, "page_size must be between 1 and 20 for unauthenticated requests"
            if int(q["page"]) * int(q.get("page_size", 20)) > 240:
                return 400, "page x page_size may not exceed 240"
            return (400, "q has more than 200 characters") if len(q["q"]) > 200 else None
        if path == "/w/api.php":
            if "@" not in agent and "http" not in agent:
                return 403, "Please set a user-agent with contact information"
            wide = int(q.get("iiurlwidth", 20))
            wrong = (
                wide not in (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840) or int(q.get("gsrlimit", 1)) > 50
            )
            return (
                (400, "Use thumbnail steps listed on https://w.wiki/GHai")
                if wrong or len(q.get("gsrsearch", "")) > 320
                else None
            )
        if path == "/v1/observations":
            return (422, "per_page is 200 at most") if int(q["per_page"]) > 200 else None
        return (
            (400, "offset + limit")
            if int(q["limit"]) > 300 or int(q.get("offset", 0)) + int(q["limit"]) > 100_000
            else None
        )

    def openverse(self, q: dict[str, str]) -> dict[str, Any]:
        n = int(q["page"])
        one = {"url": f"https://o.example/{n}.jpg", "license": "by-sa", "license_version": "2.0", "creator": "Ann",
               "license_url": "https://creativecommons.org/licenses/by-sa/2.0/", "title": "Bear", "width": 640,
               "height": 480, "thumbnail": f"https://api.openverse.org/v1/images/{n}/thumb/",
               "foreign_landing_url": f"https://o.example/{n}"}  # fmt: skip
        return {"result_count": 2, "page_count": 2, "page_size": 20, "page": n, "results": [one]}

    def wikimedia(self, q: dict[str, str]) -> dict[str, Any]:
        if q["action"].startswith("wb"):  # Wikidata has the same path on a host of its own
            return self.wikidata(q)
        if "fail" in q["gsrsearch"]:
            return {"error": {"code": "badvalue", "info": "no such thing"}}
        second = "gsroffset" in q
        info = {"url": "https://upload.wikimedia.org/wikipedia/commons/a/ab/o.jpg", "width": 4000 if second else 800, "height": 600, "sha1": "ab" * 20,
                "thumburl": "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/1280px-o.jpg", "thumbwidth": 1280, "thumbheight": 192,
                "descriptionurl": "https://w.example/File:o",
                "extmetadata": {"LicenseShortName": {"value": "CC BY 4.0"},
                                "Artist": {"value": "<a href='x'>Bob &amp; Co</a>"}}}  # fmt: skip
        page = {"query": {"pages": [{"index": 1, "imageinfo": [info]}, {"index": 2}]}}
        return page if second else {"continue": {"gsroffset": 50, "continue": "gsroffset||"}, **page}

    def wikidata(self, q: dict[str, str]) -> dict[str, Any]:
        if q["action"] == "wbsearchentities":
            if q["language"] == "xx":
                return {"error": {"code": "badvalue", "info": 'Unrecognized value for parameter "language": xx.'}}
            known = {"teddy bear": [("Q1", "Wikimedia disambiguation page"), ("Q9\nx = 1", ""),
                                    ("Q2", "soft\n\x7ftoy\u202e")],
                     "brown bear": [("Q3", "species")], "grizzly": [("Q4", "")]}  # fmt: skip
            known["osito"] = known["teddy bear"] if q["language"] == "es" else []
            return {"search": [{"id": i, "description": d} for i, d in known.get(q["search"], [])]}
        labels = {
            "Q2": {"de": "Teddybär", "es": "osito"},
            "Q3": {"de": "Braunbär"},
            "Q4": {"de": "braunbär", "es": "grizzly"},
        }
        mine = {k: {"value": v} for k, v in labels[q["ids"]].items() if k in q["languages"].split("|")}
        return {"entities": {q["ids"]: {"labels": mine}}}

    def inaturalist(self, q: dict[str, str]) -> dict[str, Any]:
        last = int(q.get("id_above", 0))
        ids = range(last + 1, min(last + 200, 201) + 1)
        photo = {"license_code": "cc-by-nc", "original_dimensions": {"width": 2048, "height": 1536}}
        return {"results": [{"id": i, "uri": f"https://i.example/{i}", "user": {"login": "eve"},
                             "photos": [photo | {"url": f"https://static.inaturalist.org/photos/{i}/square.jpg"}]} for i in ids]}  # fmt: skip

    def gbif(self, q: dict[str, str]) -> dict[str, Any]:
        at = int(q.get("offset", 0))
        media = [{"type": "StillImage", "identifier": f"https://g.example/{at}.jpg", "creator": "Di",
                  "license": "http://creativecommons.org/licenses/by/4.0/legalcode"}, {"type": "Sound"}]  # fmt: skip
        return {"offset": at, "endOfRecords": at > 0, "results": [{"key": at, "media": media}]}

    def answer(self, body: bytes, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def apis() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the base URL and a state: ``trouble`` is answered first, ``asked`` is what was asked for.

    ``answers``: what is answered instead, by path (arguments of ``Apis.answer``).
    """
    state: dict[str, Any] = {"asked": [], "trouble": [], "answers": {}}
    with serving(Apis, state=state) as port:
        yield f"http://127.0.0.1:{port}", state
