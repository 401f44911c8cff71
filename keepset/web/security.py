"""What keeps other web pages and other people out of the gallery.

The gallery changes data sets, runs beside a browser that visits other pages, and shows bytes from strangers. So:

* a Host header that is not ours is refused (DNS rebinding would make us same-origin with an attacker's page);
* a write from another site is refused, by Sec-Fetch-Site, or by Origin where a browser does not send that;
* with a token, every page needs its cookie: HttpOnly, SameSite=Strict; ``?token=`` is exchanged for it once, by a
  redirect, so that it does not stay in the address bar or leave in a Referer;
* everything carries a Content-Security-Policy that allows our own style, script and pictures, and nothing inline;
* bodies are capped.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepset.web.refusals import refusal

__all__ = ["COOKIE", "Guard"]

COOKIE = "keepset_token"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_OPEN = {"/healthz"}
_UPLOADS = {"/predict", "/api/predict", "/correct", "/api/corrections"}
_SAFE = {"GET", "HEAD", "OPTIONS"}


class Guard:
    """ASGI middleware with all of the above. ``hosts`` are names without port; empty allows any."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        hosts: frozenset[str] = frozenset(),
        max_body: int = 4_000_000,
        max_upload: int = 64_000_000,
    ) -> None:
        self.app, self.token, self.hosts = app, token, hosts
        self.max_body, self.max_upload = max_body, max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, _hardened(send))
            return
        await self.app(scope, _Capped(receive, self._limit(scope["path"])), _hardened(send))

    def _limit(self, path: str) -> int:
        return self.max_upload if path in _UPLOADS else self.max_body

    def _refusal(self, request: Request) -> Response | None:
        headers = request.headers
        if self.hosts and _host(headers.get("host", "")) not in self.hosts:
            return refusal(request, 421, "wrong_host", "This host name is not served here.")
        if request.method not in _SAFE and not _same_site(headers, request):
            return refusal(request, 403, "other_site", "Writes from other sites are refused.")
        if int(headers.get("content-length") or 0) > self._limit(request.url.path):
            return refusal(request, 413, "too_large", "The body is too large.")
        return self._login(request) if self.token and request.url.path not in _OPEN else None

    def _login(self, request: Request) -> Response | None:
        given = request.query_params.get("token")
        if given is not None and request.method == "GET":
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return refusal(request, 401, "wrong_token", "Wrong token.")
            left = request.url.remove_query_params("token")
            answer = RedirectResponse(left.path + (f"?{left.query}" if left.query else ""), 303)
            answer.set_cookie(
                COOKIE, self.token, httponly=True, samesite="strict", secure=request.url.scheme == "https"
            )
            return answer
        header = request.headers.get("authorization", "").removeprefix("Bearer ")
        for candidate in (request.cookies.get(COOKIE, ""), header):
            if hmac.compare_digest(candidate.encode(), self.token.encode()):
                return None
        return refusal(
            request, 401, "token_needed", "A token is needed: open the address with ?token=... once.",
            "Programs send it as Authorization: Bearer.", {"www-authenticate": "Bearer"},
        )  # fmt: skip


def _host(value: str) -> str:
    return (urlsplit(f"//{value}").hostname or "").lower()


def _same_site(headers: Headers, request: Request) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host", "")


def _hardened(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("content-security-policy", POLICY)
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "same-origin"  # with no-referrer, forms send Origin: null
            headers["x-frame-options"] = "DENY"
            headers["cross-origin-resource-policy"] = "same-origin"
        await send(message)

    return wrapped


class _Capped:
    """Stops reading a body that is longer than allowed, whatever its Content-Length said."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.left = receive, limit

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            return {"type": "http.disconnect"}
        return message
