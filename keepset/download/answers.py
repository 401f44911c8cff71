"""What a server's answer means: a small document read whole, or why there is none, in our own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from keepset.reasons import DownloadReason as Reason

__all__ = ["Answer", "Trouble", "check_opt_out", "check_status", "is_foreign", "retry_after", "trouble_from"]

_TRANSIENT = {
    Reason.DNS, Reason.CONNECT, Reason.TIMEOUT, Reason.TOO_SLOW, Reason.TRUNCATED, Reason.PROTOCOL,
    Reason.RATE_LIMITED, Reason.HTTP_SERVER, Reason.EMPTY, Reason.CHECKSUM,
}  # fmt: skip
_LIBRARIES = {"httpx", "httpcore", "h11", "aiohttp", "yarl"}
_NUMERIC = re.compile(r"https?://[0-9a-fx.]+(?=[:/?#]|$)", re.IGNORECASE)


class Trouble(Exception):
    """Why this URL was not fetched, for its row."""

    def __init__(self, reason: Reason, detail: str, *, wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.wait_s = reason, detail, wait_s

    @property
    def transient(self) -> bool:
        """Whether asking again may help."""
        return self.reason in _TRANSIENT


@dataclass(frozen=True)
class Answer:
    """A small document, read whole: a page, an API's answer, a robots.txt."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


def is_foreign(e: Exception) -> bool:
    """Whether a library of ours raised it over what a server or a URL is; else it is our own defect."""
    return type(e).__module__.partition(".")[0] in _LIBRARIES or isinstance(e, UnicodeError)


def trouble_from(url: str, e: Exception) -> Trouble:
    """What httpx, or aiohttp under it, says went wrong."""
    said, cause = str(e), type(e.__cause__).__name__
    if isinstance(e, httpx.InvalidURL | httpx.UnsupportedProtocol | UnicodeError):
        odd = _NUMERIC.match(url) is not None  # octal and the like: an address in disguise, never a name
        return Trouble(Reason.BLOCKED_ADDRESS if odd else Reason.BAD_URL, said)
    if "SSL" in said or "certificate" in said:
        return Trouble(Reason.TLS, said)
    if cause in ("ServerDisconnectedError", "ClientOSError"):  # the transport calls them time-outs
        return Trouble(Reason.TRUNCATED, said or "connection lost")
    if isinstance(e, httpx.ConnectError) or cause.startswith("ClientConnector"):
        return Trouble(Reason.CONNECT, said or "refused")
    if isinstance(e, httpx.TimeoutException):
        return Trouble(Reason.TIMEOUT, said or f"nothing came ({type(e).__name__})")
    if isinstance(e, httpx.RemoteProtocolError | httpx.ReadError):
        cut = "ncomplete" in said or "without sending complete" in said or "not enough data" in said.lower()
        return Trouble(Reason.TRUNCATED if cut or not said else Reason.PROTOCOL, said or "connection lost")
    return Trouble(Reason.PROTOCOL, said or type(e).__name__)


def check_opt_out(response: httpx.Response) -> None:
    robots = response.headers.get("x-robots-tag", "").lower()
    if any(word in robots for word in ("noai", "noimageai", "noindex")):
        raise Trouble(Reason.OPTED_OUT, f"X-Robots-Tag: {robots[:100]}")


def check_status(response: httpx.Response) -> None:
    code = response.status_code
    if code < 300:
        return
    if code in (404, 410):
        raise Trouble(Reason.NOT_FOUND, f"HTTP {code}")
    if code in (401, 403, 451):
        raise Trouble(Reason.FORBIDDEN, f"HTTP {code}")
    if code == 429:
        raise Trouble(Reason.RATE_LIMITED, "HTTP 429", wait_s=retry_after(response.headers))
    if code >= 500:
        raise Trouble(Reason.HTTP_SERVER, f"HTTP {code}", wait_s=retry_after(response.headers))
    raise Trouble(Reason.HTTP_CLIENT, f"HTTP {code}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or an HTTP date."""
    value = headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
