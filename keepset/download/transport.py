"""The connections: one pool for all hosts, to addresses that were checked, or through the machine's proxy.

aiohttp has half the CPU time a request of httpx, whose pool looks at every connection for each queued request.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import unquote_to_bytes

import aiohttp
from yarl import URL

from keepset.download.proxies import Proxies, Proxy, tls
from keepset.download.target import Target

__all__ = ["Connections"]

_ALWAYS = {"Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}
_LONGEST_HEADER = 65_536  # content security policies are long


class Connections:
    """Sends requests as they are given: no redirects, cookies or retries; bodies stay packed."""

    def __init__(self, *, total: int, read_s: float) -> None:
        """Raises ``ConfigError`` for proxies or certificates of the environment that cannot be used."""
        self.proxies, self.tls, self.total = Proxies(), tls(), total
        self.timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(read_s, 15.0), sock_read=read_s)
        self.session: aiohttp.ClientSession | None = None

    async def send(
        self, target: Target, address: str, headers: dict[str, str], proxy: Proxy | None = None
    ) -> aiohttp.ClientResponse:
        """GET ``target`` from ``address``, or by its name from ``proxy``. The body is not read yet; ``release`` it."""
        own = {"Host": target.netloc} | _ALWAYS | _login("Authorization", target.login) | headers
        more: dict[str, Any] = {}
        if proxy is not None:
            login = _login("Proxy-Authorization", proxy.login)
            more = {"proxy": URL(proxy.url, encoded=True)}
            if target.scheme == "http":
                own |= login
            else:  # the tunnel's, never the server's
                more["proxy_headers"] = login
        elif target.scheme == "https":
            more = {"server_hostname": target.host.rstrip(".")}
        host = target.host if proxy is not None else address
        # The query stays in the path: yarl would drop an empty one.
        url = URL.build(
            scheme=target.scheme, host=f"[{host}]" if ":" in host else host, port=target.port, path=target.path, encoded=True
        )  # fmt: skip
        return await self._session().get(url, headers=own, allow_redirects=False, **more)

    async def close(self) -> None:
        if self.session is not None:
            await self.session.close()

    def _session(self) -> aiohttp.ClientSession:
        if self.session is None:  # it wants the running loop
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.total, ssl=self.tls, keepalive_timeout=15.0),
                cookie_jar=aiohttp.DummyCookieJar(), timeout=self.timeout, auto_decompress=False,
                max_line_size=_LONGEST_HEADER, max_field_size=_LONGEST_HEADER,
            )  # fmt: skip
        return self.session


def _login(header: str, login: str) -> dict[str, str]:
    """RFC 7617, for user:password as a URL holds it."""
    if not login:
        return {}
    user, _, password = login.partition(":")
    raw = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {header: f"Basic {b64encode(raw).decode('ascii')}"}
