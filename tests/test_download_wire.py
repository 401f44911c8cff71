"""What goes over the wire: the list's own bytes, logins, cookies; and the way out: proxies and certificates."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import os
import shutil
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keepset.config import DownloadConfig
from keepset.download.fetch import Fetched, Fetcher, FetchRequest, Trouble, user_agent
from keepset.download.proxies import Proxies
from keepset.download.target import BadUrl, Target
from keepset.errors import ConfigError
from tests.download_fixtures import PICTURE, hostile_web
from tests.processes import ran
from tests.test_download import workspace

Handler = Callable[[socket.socket, bytes], None]


def answer(body: bytes = PICTURE, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@contextlib.contextmanager
def server(
    reply: Callable[[bytes], bytes] | None = None, *, handle: Handler | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A server that keeps the bytes of each request's head: no library has touched them."""
    heads: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (more := connection.recv(1)):
                    return
                head += more
            heads.append(head)
            if handle is not None:
                handle(connection, head)
            else:
                connection.sendall(reply(head) if reply else answer())

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listening.getsockname()[1], heads
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def fetched(url: str, tmp_path: Path, contact: str = "", **config: Any) -> tuple[str, Fetched]:
    """The reason, or "ok", and what became known."""

    async def run() -> tuple[str, Fetched]:
        made = DownloadConfig(**{"robots": False, "deadline_s": 20.0} | config)
        fetcher, facts = Fetcher(made, tmp_path / "parts", user_agent(contact)), Fetched()
        try:
            await fetcher.fetch(FetchRequest(url, "one"), facts)
        except Trouble as e:
            return f"{e.reason}", facts
        finally:
            await fetcher.close()
        return "ok", facts

    return asyncio.run(run())


def from_here(port: int, tmp_path: Path, path: str = "/x.jpg", **config: Any) -> tuple[str, Fetched]:
    """The same of a server of this machine, which the config allows."""
    here = f"127.0.0.1:{port}"
    return fetched(f"http://{here}{path}", tmp_path, allow_private=(here,), **config)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/a.jpg?sig=AbC%2B%2F%3D&x=a+b", "/a.jpg?sig=AbC%2B%2F%3D&x=a+b"),
        ("/a%2Cb%3Bc,d;e.jpg", "/a%2Cb%3Bc,d;e.jpg"), ("/a%7eb~c%2f..%2F./x/../y//z", "/a%7eb~c%2f..%2F./x/../y//z"),
        ("/100%.jpg?%zz", "/100%.jpg?%zz"), ("/x?", "/x?"), ("", "/"), ("?q=1", "/?q=1"), ("/x?a=b?c/d#part", "/x?a=b?c/d"),
        ("/[1]|{2}^`\"<3>'\\.jpg", "/[1]|{2}^`\"<3>'\\.jpg"), ("/bär.jpg?ö", "/b%C3%A4r.jpg?%C3%B6"),
        ("/%E4%ff.jpg", "/%E4%ff.jpg"), ("/a b\tc.jpg", "/a%20b%09c.jpg"), ("/:@!$&'()*+=.jpg", "/:@!$&'()*+=.jpg"),
    ],
)  # fmt: skip
def test_the_request_line_is_the_lists_own_bytes(tmp_path: Path, given: str, sent: str) -> None:
    with server() as (port, heads):
        assert from_here(port, tmp_path, given)[0] == "ok"
    lines = heads[0].decode("ascii").split("\r\n")
    assert lines[0] == f"GET {sent} HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}" in lines


def test_a_redirect_is_followed_to_the_very_bytes_it_names(tmp_path: Path) -> None:
    def reply(head: bytes) -> bytes:
        if head.startswith(b"GET /first"):
            return answer(b"", "302 Found", "Location: /b\xe4r%2C1 2.jpg?s=%2B")  # Latin-1, and a space
        return answer()

    with server(reply) as (port, heads):
        reason, facts = from_here(port, tmp_path, "/first")
    assert reason == "ok"
    assert heads[1].startswith(b"GET /b%E4r%2C1%202.jpg?s=%2B HTTP/1.1\r\n")
    assert facts.final_url == f"http://127.0.0.1:{port}/b%E4r%2C1%202.jpg?s=%2B"


def test_a_login_in_the_url_is_sent_to_its_own_server_and_to_no_other(tmp_path: Path) -> None:
    with server() as (other, others):
        away = lambda _: answer(b"", "302 Found", f"Location: http://127.0.0.1:{other}/x.jpg")  # noqa: E731
        with server(away) as (port, heads):
            allowed = (f"127.0.0.1:{port}", f"127.0.0.1:{other}")
            url = f"http://bär:p%40ss@127.0.0.1:{port}/x.jpg"
            reason, facts = fetched(url, tmp_path, allow_private=allowed)
    assert reason == "ok"
    login = base64.b64encode("bär:p@ss".encode()).decode()
    assert f"Authorization: Basic {login}\r\n" in heads[0].decode()
    assert b"uthorization" not in others[0]
    assert "p%40ss" not in str(facts.final_url)


def test_a_cookie_that_a_redirect_sets_comes_back_and_to_nobody_else(tmp_path: Path) -> None:
    def reply(head: bytes) -> bytes:
        if b"Cookie: consent=yes/1; other=2" in head:
            return answer()
        same = head.split()[1].decode()
        cookies = ("Set-Cookie: consent=yes/1; Path=/", "Set-Cookie: odd=\xe4", 'Set-Cookie: other="2"')
        return answer(b"", "302 Found", f"Location: {same}", *cookies)

    with server(reply) as (port, heads), server() as (other, others):
        allowed = (f"127.0.0.1:{port}", f"localhost:{other}")
        assert fetched(f"http://127.0.0.1:{port}/x.jpg", tmp_path, allow_private=allowed)[0] == "ok"
        assert fetched(f"http://localhost:{other}/x.jpg", tmp_path, allow_private=allowed)[0] == "ok"
    assert len(heads) == 2
    assert b"Cookie" not in others[0]


@pytest.mark.parametrize("contact", ["Jürgen, juergen@example.org", "https://例え.example/", "日本"])
def test_a_contact_beyond_ascii_is_sent(tmp_path: Path, contact: str) -> None:
    with server() as (port, heads):
        assert from_here(port, tmp_path, contact=contact)[0] == "ok"
    assert b"User-Agent: keepset/" in heads[0]
    heads[0].decode("ascii")


@pytest.mark.slow
def test_a_list_of_very_many_hosts_leaves_no_connection_open_to_each(tmp_path: Path) -> None:
    """Each host is asked for one picture: 300 of them within what 128 files allow."""
    code = (
        "import resource, sys; from pathlib import Path; from keepset.download import download\n"
        "from keepset.workspace import Workspace\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)); ws = Workspace.open(Path(sys.argv[1]))\n"
        "print(download(ws, ws.config()).message)"
    )
    with hostile_web("") as (base, asked):
        port = base.rpartition(":")[2]
        hosts = [f"127.1.{i // 100}.{i % 100 + 1}:{port}" for i in range(300)]
        urls = [f"http://{host}/good/{i}" for i, host in enumerate(hosts)]
        ws, _ = workspace(tmp_path, urls, allow_private=hosts, connections=16)
        done = ran(code, ws.root)
        few = code.replace("128", "24")
        (ws.journal / "download.sqlite").unlink()
        ws.downloads.unlink()
        refused = ran(few, ws.root, ends=1)
    assert "300 images, 1 failed" in done.stdout
    assert "ulimit -n" in refused.stderr  # said of the machine, and of no picture
    assert set(asked) == {f"/good/{i}" for i in range(300)}


# -- packed bodies ---------------------------------------------------------------------------------


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("gzip", gzip.compress(PICTURE), "ok"), ("x-gzip, identity", gzip.compress(PICTURE), "ok"),
        ("gzip", gzip.compress(PICTURE[:999]) + gzip.compress(PICTURE[999:]), "ok"),
        ("deflate", zlib.compress(PICTURE), "ok"), ("deflate", deflated(PICTURE), "ok"), ("identity", PICTURE, "ok"),
        ("gzip", gzip.compress(PICTURE)[:-20], "truncated"), ("gzip", PICTURE, "protocol_error"),
        ("br", PICTURE, "protocol_error"), ("gzip, gzip", PICTURE, "protocol_error"),
        ("gzip", gzip.compress(PICTURE + bytes(90_000_000)), "decompression_bomb"),
    ],
)  # fmt: skip
def test_packed_bodies_are_unpacked_or_refused(tmp_path: Path, coding: str, body: bytes, reason: str) -> None:
    with server(lambda _: answer(body, "200 OK", f"Content-Encoding: {coding}")) as (port, _):
        found, facts = from_here(port, tmp_path)
    assert found == reason
    assert reason != "ok" or (tmp_path / "parts" / "one.part").read_bytes() == PICTURE
    assert facts.bytes == (len(PICTURE) if reason == "ok" else None)


def test_headers_that_are_no_utf_8_are_kept_readable(tmp_path: Path) -> None:
    with server(lambda _: answer(PICTURE, "200 OK", 'ETag: "\xe4"', "Content-Type: image/jp\xe9g")) as (port, _):
        _, facts = from_here(port, tmp_path)
    assert facts.headers["content-type"] == "image/jp\ufffdg"
    "".join(facts.headers.values()).encode()


# -- URLs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["http://", "http:///x", "http://[::1/x", "http://[URL=x.jpg", "http://h:99999/", "http://h:x/", "http://a b/", "x",
     "ftp://h/x", "file:///etc/passwd", "http://h%2f/", "http://%31%32%37.0.0.1\ud83d/", "mailto:a@b", ""],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(BadUrl):
        Target.parse(text)


def test_one_host_has_one_name() -> None:
    names = ["http://Bär.example/", "HTTP://b%C3%A4r.EXAMPLE:80/x", "http://u:p@xn--br-via.example/"]
    assert {Target.parse(n).netloc for n in names} == {"xn--br-via.example"}
    assert Target.parse("https://[::FFFF:1.2.3.4]:443/").netloc == "[::ffff:102:304]"
    assert Target.parse("http://１２７.0.0.1/").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("//cdn.example/x?", "http://cdn.example/x?"), ("/a/../b%2F", "http://h:8/a/../b%2F"), ("c.jpg", "http://h:8/p/c.jpg"),
        ("?y", "http://h:8/p/q?y"), ("https://o.example", "https://o.example/"), ("../up", "http://h:8/up"),
    ],
)  # fmt: skip
def test_where_a_redirect_leads(location: str, leads: str) -> None:
    assert str(Target.parse("http://h:8/p/q?x").join(location)) == leads


# -- the way out -----------------------------------------------------------------------------------


def _piped(one: socket.socket, other: socket.socket) -> None:
    def pump(a: socket.socket, b: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := a.recv(65_536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "all", "no"):
        for case in (str.lower, str.upper):
            monkeypatch.delenv(case(f"{name}_proxy"), raising=False)
    return monkeypatch


def test_a_proxy_is_asked_by_name_with_its_login_and_only_for_what_may_be_asked(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    with server() as (port, heads), server() as (own, direct):
        no_proxies.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        no_proxies.setenv("NO_PROXY", ".internal.example")
        assert fetched("http://pictures.invalid/a%2Cb.jpg?x=%2B", tmp_path)[0] == "ok"
        for private in ("10.0.0.1", "169.254.169.254", "0x7f.1.1.1", "[fd00::1]", "127.0.0.2"):
            assert fetched(f"http://{private}/x.jpg", tmp_path)[0] == "blocked_address"
        assert fetched("http://x.internal.example/1.jpg", tmp_path)[0] == "dns_failure"
        assert fetched(f"http://127.0.0.1:{own}/x.jpg", tmp_path, allow_private=(f"127.0.0.1:{own}",))[0] == "ok"
    assert len(heads) == len(direct) == 1
    assert heads[0].startswith(b"GET http://pictures.invalid/a%2Cb.jpg?x=%2B HTTP/1.1\r\nHost: pictures.invalid\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss") in heads[0]


@pytest.mark.parametrize("refusal", ["407 Proxy Authentication Required", "403 Forbidden", ""])
def test_a_proxy_that_refuses_is_named_as_such(tmp_path: Path, no_proxies: pytest.MonkeyPatch, refusal: str) -> None:
    with server(lambda _: answer(b"", refusal)) as (port, _):
        no_proxies.setenv("https_proxy", f"127.0.0.1:{port if refusal else 9}")
        assert fetched("https://pictures.invalid/x.jpg", tmp_path)[0] == "proxy_failure"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://127.0.0.1:port", "http://", "ftp://u:secret@h:1"])
def test_a_proxy_that_cannot_be_used_stops_the_run_with_its_variable(
    no_proxies: pytest.MonkeyPatch, proxy: str
) -> None:
    no_proxies.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError) as caught:
        Proxies()
    assert "ALL_PROXY" in caught.value.remedy
    assert "secret" not in str(caught.value)


def test_networks_of_no_proxy_are_asked_directly(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTP_PROXY", "http://proxy.example:3128")
    no_proxies.setenv("NO_PROXY", "10.0.0.0/8, plain.example")
    found = {
        h: Proxies().of(Target.parse(f"http://{h}/")) for h in ("10.1.2.3", "11.1.2.3", "plain.example", "localhost")
    }
    assert {h for h, p in found.items() if p} == {"11.1.2.3"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of one's own for pictures.invalid, localhost and 127.0.0.1, as a company's proxy makes them."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("ca")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-subj", "/CN=company", "-addext", "subjectAltName=DNS:pictures.invalid,DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@contextlib.contextmanager
def tls_server(authority: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "ca.pem", authority / "key.pem")
    listening = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except ssl.SSLError:  # it was not trusted
                continue
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65_536)
                connection.sendall(answer())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1]
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_the_certificates_of_a_company_are_trusted_where_ssl_cert_file_names_them(
    tmp_path: Path, authority: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    no_proxies.delenv("SSL_CERT_FILE", raising=False)
    no_proxies.delenv("SSL_CERT_DIR", raising=False)
    with tls_server(authority) as port:
        url, here = f"https://localhost:{port}/x.jpg", (f"localhost:{port}",)
        assert fetched(url, tmp_path, allow_private=here)[0] == "tls_failure"
        no_proxies.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))  # what the remedy says
        assert fetched(url, tmp_path, allow_private=here)[0] == "ok"

        def tunnel(connection: socket.socket, head: bytes) -> None:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", port)) as there:
                _piped(connection, there)

        with server(handle=tunnel) as (proxy, heads):
            no_proxies.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
            assert fetched("https://pictures.invalid/x.jpg", tmp_path)[0] == "ok"
        assert heads[0].startswith(b"CONNECT pictures.invalid:443 HTTP/1.1\r\n")
    for wrong in (authority / "gone.pem", authority / "key.pem"):
        no_proxies.setenv("SSL_CERT_FILE", str(wrong))
        with pytest.raises(ConfigError, match="SSL_CERT_FILE") as caught:
            fetched("http://pictures.invalid/x.jpg", tmp_path)
        assert os.fspath(wrong) in caught.value.message


# -- robots.txt that is not to be had --------------------------------------------------------------


@pytest.mark.parametrize(
    ("robots", "reason"),
    [
        (answer(b"", "404 Not Found"), "ok"), (answer(b"", "403 Forbidden"), "ok"), (answer(b"", "503 Busy"), "http_server_error"),
        (answer(b"", "429 Too Many", "Retry-After: 7"), "rate_limited"), (b"nonsense\r\n\r\n", "protocol_error"),
        (answer(b"", "302 Found", "Location: /robots.txt"), "ok"), (b"", "truncated"),
        (answer(b"User-agent: *\nDisallow: /x%2Ejpg"), "robots_disallowed"), (answer(b"User-agent: *\nDisallow: /b\xc3\xa4"), "ok"),
    ],
)  # fmt: skip
def test_without_an_answer_on_robots_txt_nothing_is_fetched(tmp_path: Path, robots: bytes, reason: str) -> None:
    def reply(head: bytes) -> bytes:
        return robots if b"/robots.txt" in head else answer()

    with server(reply) as (port, heads):
        found, facts = from_here(port, tmp_path, robots=True)
    assert found == reason
    assert (b"GET /x.jpg" in b"".join(heads)) == (reason == "ok")
    assert facts.attempts == 1
