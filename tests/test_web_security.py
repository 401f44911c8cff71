"""The security list of the project, item by item, against the real app."""

from __future__ import annotations

import hmac
import html
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
from starlette.routing import Route

from keepset.cli.gallery_server import serve
from keepset.errors import WorkspaceError
from keepset.review import Batch
from keepset.web import security
from keepset.web.app import create_app
from keepset.web.pages import templates
from keepset.web.security import COOKIE
from tests.processes import PATIENCE_S
from tests.review_fixtures import Case, edit_images, make_case
from tests.web_fixtures import asking, large_batch, served


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def batch(case: Case) -> Batch:
    return case.open_batch()


@pytest.fixture(scope="module")
def client(case: Case, batch: Batch):  # type: ignore[no-untyped-def]
    with asking(case.ws.root) as c:
        yield c


def test_another_bind_is_refused_without_a_token_and_the_token_file_is_private(case: Case) -> None:
    with pytest.raises(WorkspaceError, match="without a token"):
        serve(case.ws.root, "0.0.0.0", 0)
    file = case.ws.root / "web-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) > 24


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks Linux which address is listened on")
def test_without_being_told_it_listens_on_loopback_alone_and_says_where(case: Case) -> None:
    command = [sys.executable, "-m", "keepset", "web", "-w", str(case.ws.root), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = re.search(r"Gallery: (http://127\.0\.0\.1:(\d+)) ", process.stderr.readline())
        assert httpx.get(said[1], trust_env=False, timeout=PATIENCE_S).status_code == 200
        rows = [r.split() for n in ("tcp", "tcp6") for r in Path(f"/proc/net/{n}").read_text().splitlines()]
        port = f":{int(said[2]):04X}"
        assert [r[1] for r in rows if r[1].endswith(port) and r[3] == "0A"] == [f"0100007F{port}"]
        taken = [*command[:-1], said[2]]
        second = subprocess.run(taken, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (second.returncode, "--port" in second.stderr) == (2, True), second.stderr
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_tokens_are_compared_in_constant_time(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever brings one, and however: every comparison is ``hmac.compare_digest`` of bytes."""
    compared: list[tuple[bytes, bytes]] = []

    def recorded(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(security, "hmac", SimpleNamespace(compare_digest=recorded))
    with served(case.ws.root, "geheim") as url:
        for given in (
            {"params": {"token": "gehe\u00efm"}},
            {"headers": {"cookie": f"{COOKIE}=wrong"}},
            {"headers": {"authorization": "Bearer wrong"}},
        ):
            compared.clear()
            assert httpx.get(url, trust_env=False, timeout=PATIENCE_S, **given).status_code == 401  # type: ignore[arg-type]
            assert compared
            assert {other for _, other in compared} == {b"geheim"}
        compared.clear()
        right = {"authorization": "Bearer geheim"}
        assert httpx.get(url, trust_env=False, timeout=PATIENCE_S, headers=right).status_code == 200
        assert (b"geheim", b"geheim") in compared


def test_a_token_is_exchanged_once_for_a_strict_cookie(case: Case, batch: Batch) -> None:
    with asking(case.ws.root, "geheim") as c:
        assert c.get("/").status_code == 401
        assert c.get("/?token=wrong").status_code == 401
        assert c.get("/thumbs/" + "0" * 64 + ".jpg").status_code == 401
        answer = c.get(f"/batches/{batch.id}?token=geheim&split=train")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/batches/{batch.id}?split=train"
        cookie = answer.headers["set-cookie"].lower()
        assert COOKIE in cookie
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert c.get("/").status_code == 200
        c.cookies.clear()
        for given, status in (("ge", 401), ("geheimer", 401), ("", 401), ("geheim", 200)):
            assert c.get("/", headers={"cookie": f"{COOKIE}={given}"}).status_code == status


def test_a_foreign_host_name_is_refused(client: httpx.Client) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
     {"origin": "null"}],
)  # fmt: skip
def test_a_write_from_another_site_is_refused(client: httpx.Client, batch: Batch, headers: dict[str, str]) -> None:
    sha = batch.candidates().rows()[0]["sha256"]
    body = {"marks": [{"sha256": sha, "action": "delete"}]}
    before = batch.version
    for path in ("marks", "undo", "form", "submit", "reopen"):
        assert client.post(f"/batches/{batch.id}/{path}", json=body, headers=headers).status_code == 403
    assert batch.version == before


def test_no_address_that_writes_takes_a_request_from_another_site(client: httpx.Client, case: Case) -> None:
    """Of all routes there are, also of those that somebody adds."""
    writes = [
        (method, re.sub(r"{\w+(:\w+)?}", "x", route.path))
        for route in create_app(case.ws.root).routes
        if isinstance(route, Route)
        for method in (route.methods or ()) - {"GET", "HEAD", "OPTIONS"}
    ]
    assert len(writes) >= 8
    for method, path in writes:
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
            assert client.request(method, path, headers=headers).status_code == 403, path


def test_thumbs_come_by_hash_from_the_manifest_only(client: httpx.Client, case: Case, batch: Batch) -> None:
    sha = batch.candidates().rows()[0]["sha256"]
    answer = client.get(f"/thumbs/{sha}.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:3] == b"\xff\xd8\xff"
    assert answer.headers["x-content-type-options"] == "nosniff"
    stray = case.ws.thumb("a" * 64)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"<script>alert(1)</script>")
    for name in ("a" * 64 + ".jpg", sha.upper() + ".jpg", "..%2f..%2fkeepset.json", sha[:63] + ".jpg"):
        assert client.get(f"/thumbs/{name}").status_code == 404


def test_every_answer_is_hardened_refusals_too(client: httpx.Client, case: Case, batch: Batch) -> None:
    sha = batch.candidates().rows()[0]["sha256"]
    paths = ["/", "/static/gallery/gallery.js", f"/thumbs/{sha}.jpg", f"/pictures/{sha}.jpg", "/thumbs/x.jpg", "/api/x"]
    paths += [f"/batches/{batch.id}", f"/batches/{batch.id}/submit", "/log", "/nothing"]
    answers = [client.get(p) for p in paths]
    answers += [client.get("/", headers={"host": "evil.example"}), client.put("/"), client.post("/x", content=b"y")]
    answers += [client.post("/", headers={"sec-fetch-site": "cross-site"}, content=b"x" * 5_000_000)]
    assert {a.status_code for a in answers} >= {200, 403, 404, 405, 421}
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff", answer.url
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "access-control-allow-origin" not in answer.headers
    page = client.get(f"/batches/{batch.id}").text
    assert [inline for inline in ("<script>", "onclick", "style=") if inline in page] == []


def test_every_template_is_html_and_escapes() -> None:
    environment = templates()
    names = environment.list_templates()
    assert "batch.html" in names
    assert [n for n in names if not n.endswith(".html")] == []
    assert environment.autoescape is True
    for name in names:
        source, _, _ = environment.loader.get_source(environment, name)
        assert "|safe" not in source.replace(" ", ""), name
        assert "autoescape" not in source, name


def test_bodies_are_capped_with_and_without_a_length(client: httpx.Client, batch: Batch) -> None:
    path = f"/batches/{batch.id}/marks"
    assert client.post(path, content=b"x" * 4_100_000).status_code == 413
    pieces = (b"x" * 100_000 for _ in range(50))
    assert client.post(path, content=pieces).status_code == 413


def test_hostile_addresses_become_text_not_links(client: httpx.Client, case: Case, batch: Batch) -> None:
    one, two = (r["sha256"] for r in batch.candidates().rows()[:2])
    edit_images(case, {one: {"url": "javascript:alert(1)"}, two: {"url": 'http://e.example/"><script>x'}})
    page = client.get(f"/batches/{batch.id}").text
    assert "javascript:" not in page
    assert "<script>x" not in page
    assert "&#34;&gt;&lt;script" in page
    assert 'rel="noreferrer' in page


def test_hostile_reviewer_names_and_notes_are_escaped(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    batch = case.open_batch()
    evil = "<img src=x onerror=alert(1)>"
    with asking(case.ws.root) as c:
        form = {"decision": "reject", "who": evil, "note": evil}
        assert c.post(f"/batches/{batch.id}/submit", data=form).status_code == 303
        for path in (f"/batches/{batch.id}", "/log"):
            page = c.get(path).text
            assert "<img src=x" not in page
            assert "&lt;img src=x" in page


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"marks": 3}', b'{"marks": [{"sha256": "x", "action": "eat"}]}'])
def test_nonsense_is_refused_in_words(client: httpx.Client, batch: Batch, body: bytes) -> None:
    assert client.post(f"/batches/{batch.id}/marks", content=body).status_code == 400


EVIL = '"><img src=x onerror=alert(1)>'


def test_hostile_class_names_creators_and_licences_are_text_everywhere(tmp_path: Path) -> None:
    """Class names come from folders and lists, the rest from the web: as attributes, text, JSON and options."""
    labels = (EVIL, "a'b<script>alert(3)&amp;", "plain", *(f"class {i}" for i in range(8)))
    case = make_case(tmp_path, labels=labels, per_class=2, flips=2)
    batch = large_batch(case, 3)
    one, two = (r["sha256"] for r in batch.candidates().rows()[1:3])
    strange = {"url": f"https://e.example/{EVIL}", "creator": EVIL, "license": EVIL, "landing_page": "javascript:x()"}
    edit_images(case, {one: strange, two: strange | {"creator": "<script>alert(2)</script>"}})
    with asking(case.ws.root) as c:
        form = {"version": "0", f"m:{one}": f"relabel:{EVIL}"}
        c.post(f"/batches/{batch.id}/form", data=form, headers={"cookie": f"keepset_who={quote(EVIL)}"})
        pages = [f"/batches/{batch.id}{p}" for p in ("", "/submit", f"/pictures/{two}", f"?label={quote(EVIL)}")]
        for path in ("/", "/log", f"/pictures/{two}", *pages):
            answer = c.get(path)
            page = answer.text
            assert answer.status_code == 200, path
            assert "<img src=x" not in page, path
            assert "<script>alert" not in page, path
            assert "javascript:" not in page, path
        assert "&lt;img src=x" in c.get(f"/batches/{batch.id}").text
        given = re.search(r'data-labels="([^"]*)"', c.get(f"/batches/{batch.id}").text)
        assert given is not None
        assert json.loads(html.unescape(given[1])) == list(batch.labels)
