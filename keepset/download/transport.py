"""The connections: one narrow interface, httpx's own or aiohttp's faster one under it.

httpx's pool rescans every connection for each queued request (encode/httpx issue 3215), so it gets one small pool a
host. With the extra ``fast`` (httpx-aiohttp) one pool serves all hosts, for half the CPU time a request. Requests go
to the transports directly: redirects, cookies and retries are not a client's business here, and cost time.
"""

from __future__ import annotations

import functools
import importlib.util
import ssl
from collections import OrderedDict
from typing import Any

import httpx

from keepset.errors import ConfigError

__all__ = ["Connections"]


_ALWAYS = {"Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}
_PIECE = 262_144  # bytes of a body taken at a time, if they are there


@functools.cache
def _tls() -> ssl.SSLContext:
    """20 ms: once a process, not once a host, nor once a picture that is predicted by its URL."""
    return httpx.create_ssl_context(trust_env=False)


class Connections:
    """Sends requests to addresses that were checked; idle pools are closed when there are too many."""

    def __init__(self, *, total: int, per_host: int, read_s: float, transport: str = "auto") -> None:
        """``transport``: auto, httpx or aiohttp. Raises ``ConfigError`` for aiohttp without the extra."""
        self.total, self.per_host = total, per_host
        self.timeout = httpx.Timeout(read_s, connect=min(read_s, 15.0), pool=None).as_dict()
        self.transports: OrderedDict[str, httpx.AsyncBaseTransport] = OrderedDict()
        self.busy: dict[str, int] = {}
        have = importlib.util.find_spec("httpx_aiohttp") is not None
        if transport == "aiohttp" and not have:
            raise ConfigError("The transport aiohttp is not installed.", "pip install 'keepset[fast]'")
        self.shared = transport == "aiohttp" or (transport == "auto" and have)

    async def send(self, url: httpx.URL, address: str, headers: dict[str, str]) -> tuple[httpx.Response, str]:
        """GET ``url`` from ``address``; the body is not read yet. ``release`` must follow, with the key returned."""
        key = "all" if self.shared else f"{url.scheme}://{url.netloc.decode('ascii')}"
        transport = await self._transport(key)
        request = httpx.Request(
            "GET", url.copy_with(host=address), headers={"Host": url.netloc.decode("ascii")} | _ALWAYS | headers,
            extensions={"sni_hostname": url.host, "timeout": self.timeout},
        )  # fmt: skip
        self.busy[key] = self.busy.get(key, 0) + 1
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            self._let_go(key)
            raise
        response.request = request
        if self.shared:
            response.stream.CHUNK_SIZE = _PIECE  # type: ignore[union-attr]  # of the library: 16 kB, one turn each
        return response, key

    async def release(self, response: httpx.Response, key: str) -> None:
        self._let_go(key)
        await response.aclose()

    def _let_go(self, key: str) -> None:
        self.busy[key] -= 1
        if not self.busy[key]:
            del self.busy[key]

    async def close(self) -> None:
        for transport in self.transports.values():
            await transport.aclose()

    async def _transport(self, key: str) -> httpx.AsyncBaseTransport:
        if key in self.transports:
            self.transports.move_to_end(key)
            return self.transports[key]
        self.transports[key] = made = self._made()
        idle = [k for k in self.transports if k not in self.busy and k != key]
        for old in idle[: max(0, len(self.transports) - 2 * self.total)]:
            await self.transports.pop(old).aclose()
        return made

    def _made(self) -> httpx.AsyncBaseTransport:
        most = self.total if self.shared else self.per_host
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=15.0)
        if not self.shared:
            return httpx.AsyncHTTPTransport(verify=_tls(), limits=limits, trust_env=False)
        import aiohttp
        from httpx_aiohttp import AiohttpTransport

        def session() -> Any:
            return aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=most, ssl=_tls(), keepalive_timeout=15.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                requote_redirect_url=False,
            )

        return AiohttpTransport(verify=_tls(), limits=limits, client=session)
