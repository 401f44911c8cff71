"""The connections: one pool for all hosts, to addresses that were checked, or through the machine's proxy.

aiohttp has half the CPU time a request of httpx, whose pool looks at every connection for each queued request.
"""

from __future__ import annotations

from typing import Any

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
        own = {"Host": target.netloc} | _ALWAYS | _login(target) | headers
        more: dict[str, Any] = {}
        if proxy is not None:
            auth = aiohttp.BasicAuth(proxy.user, proxy.password, "utf-8") if proxy.user else None
            more = {"proxy": URL(proxy.url, encoded=True), "proxy_auth": auth}
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


def _login(target: Target) -> dict[str, str]:
    """RFC 7617, for a URL that holds user and password."""
    if not target.login:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    user, _, password = target.login.partition(":")
    raw = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return {"Authorization": f"Basic {b64encode(raw).decode('ascii')}"}
