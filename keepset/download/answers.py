"""What a server's answer means: a small document read whole, or why there is none, in our own words."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from keepset.errors import StageError
from keepset.files import TOO_MANY_FILES
from keepset.reasons import DownloadReason as Reason
from keepset.sources import hint

__all__ = ["SmallResponse", "Trouble", "check_opt_out", "check_status", "retry_after", "told", "trouble_from"]

_TRANSIENT = {
    Reason.DNS, Reason.CONNECT, Reason.PROXY, Reason.TIMEOUT, Reason.TRUNCATED, Reason.PROTOCOL,
    Reason.RATE_LIMITED, Reason.HTTP_SERVER, Reason.EMPTY, Reason.CHECKSUM,
}  # fmt: skip


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
class SmallResponse:
    """A small document, read whole: a page, an API's answer, a robots.txt."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes


def trouble_from(e: aiohttp.ClientError | OSError) -> Trouble:
    """What aiohttp, or a socket under it, says went wrong. Raises ``StageError`` if it is this process."""
    if getattr(e, "errno", None) in (errno.EMFILE, errno.ENFILE):
        raise StageError("Too many connections are open at once.", TOO_MANY_FILES) from e
    said = str(e) or type(e).__name__
    if isinstance(e, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return Trouble(Reason.PROXY, said)
    if isinstance(e, aiohttp.ClientSSLError | ssl.SSLError):
        return Trouble(Reason.TLS, said)
    if isinstance(e, aiohttp.ServerTimeoutError):
        return Trouble(Reason.TIMEOUT, said)
    if isinstance(e, aiohttp.ClientConnectorError):
        return Trouble(Reason.CONNECT, said)
    if isinstance(e, aiohttp.ClientResponseError):
        return Trouble(Reason.PROTOCOL, e.message)
    if isinstance(e, aiohttp.ClientPayloadError):
        return Trouble(Reason.TRUNCATED if "not completed" in said else Reason.PROTOCOL, said)
    if isinstance(e, OSError | aiohttp.ClientConnectionError):
        return Trouble(Reason.TRUNCATED, said)
    return Trouble(Reason.PROTOCOL, said)


def told(response: aiohttp.ClientResponse) -> dict[str, str]:
    """The headers, names in lower case, those of one name together. What is no UTF-8 in them is replaced."""
    found: dict[str, str] = {}
    for name, value in response.headers.items():
        clean = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        found[name.lower()] = f"{found[name.lower()]}, {clean}" if name.lower() in found else clean
    return found


def check_opt_out(headers: Mapping[str, str]) -> None:
    robots = headers.get("x-robots-tag", "").lower()
    if any(word in robots for word in ("noai", "noimageai", "noindex")):
        raise Trouble(Reason.OPTED_OUT, f"X-Robots-Tag: {robots[:100]}")


def check_status(code: int, headers: Mapping[str, str], url: str = "") -> None:
    if code < 300:
        return
    if advice := hint(url, code):
        raise Trouble(Reason.HTTP_CLIENT, f"HTTP {code}: {advice}")
    if code in (404, 410):
        raise Trouble(Reason.NOT_FOUND, f"HTTP {code}")
    if code == 407:
        raise Trouble(Reason.PROXY, "HTTP 407: it wants a login")
    if code in (401, 403, 451):
        raise Trouble(Reason.FORBIDDEN, f"HTTP {code}")
    if code == 429:
        raise Trouble(Reason.RATE_LIMITED, "HTTP 429", wait_s=retry_after(headers))
    if code >= 500:
        raise Trouble(Reason.HTTP_SERVER, f"HTTP {code}", wait_s=retry_after(headers))
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
