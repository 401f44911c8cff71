"""A URL in the parts that a request needs. What a list says goes over the wire byte for byte: nothing is quoted again.

Only what no request line may hold (spaces, control characters, everything beyond ASCII) is percent-encoded, as UTF-8.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

import idna

__all__ = ["BadUrl", "ForeignScheme", "Target"]

_URL = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#]*))?([^#]*)", re.IGNORECASE)  # RFC 3986, appendix B
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9._-]+")
_PORTS = {"http": 80, "https": 443}


class BadUrl(ValueError):
    """It cannot be asked for."""


class ForeignScheme(BadUrl):
    """It is a URL, but of neither http nor https."""


@dataclass(frozen=True)
class Target:
    """``path`` holds the query too, and is what the request line says; ``login`` is user:password, or empty.

    ``host`` is lower case, IDNA-encoded and without brackets.
    """

    scheme: str
    host: str
    port: int
    path: str
    login: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises ``BadUrl``."""
        found = _URL.fullmatch(_sendable(text.strip()).partition("#")[0])
        if not found:
            raise BadUrl("not a URL")
        scheme, authority, path = found[1].lower(), found[2] or "", found[3]
        if scheme not in _PORTS:
            raise ForeignScheme(f"{scheme}: only http and https are fetched")
        login, _, place = authority.rpartition("@")
        host, port = _place(place, scheme)
        return cls(scheme, host, port, path if path.startswith("/") else f"/{path}", login)

    def join(self, location: str) -> Target:
        """Where a redirect leads. The login goes along only to the same origin. Raises ``BadUrl``."""
        text = _sendable(location.strip())
        if not _SCHEME.match(text):
            if text.startswith("//"):
                text = f"{self.scheme}:{text}"
            elif text.startswith("/"):
                text = f"{self.origin}{text}"
            else:
                text = urljoin(str(self), text)
        found = Target.parse(text)
        return replace(found, login=found.login or self.login) if found.origin == self.origin else found

    @property
    def netloc(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    def __str__(self) -> str:
        """Without the login: this is what manifests and messages show."""
        return f"{self.origin}{self.path}"


def _sendable(text: str) -> str:
    """Bytes that were no UTF-8 (surrogate escapes, as in headers and file names) are sent as they were."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise BadUrl("half of a character") from e
    return "".join(chr(b) if 0x21 <= b <= 0x7E else f"%{b:02X}" for b in raw)


def _place(text: str, scheme: str) -> tuple[str, int]:
    """Host and port."""
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", text)
    if not found or not found[1]:
        raise BadUrl(f"not a host and port: {text[:100]!r}" if text else "no host")
    port = int(found[2] or _PORTS[scheme])
    if not 0 < port < 65_536:
        raise BadUrl(f"no such port: {port}")
    return _host(found[1]), port


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError as e:
            raise BadUrl(str(e)) from e
        # Python 3.13 writes the last 32 bits of these as IPv4: one URL would have two names.
        low = int(address) & 0xFFFFFFFF
        return f"::ffff:{low >> 16:x}:{low & 0xFFFF:x}" if address.ipv4_mapped else str(address)
    name = text.lower()
    if "%" in name:
        name = _international(name)
    if not _HOST.fullmatch(name):
        raise BadUrl(f"not a host name: {text[:100]!r}")
    return name


def _international(name: str) -> str:
    """RFC 5891, after the mapping of UTS 46; ``name`` is percent-encoded UTF-8 by now."""
    from urllib.parse import unquote

    try:
        return idna.encode(unquote(name, errors="strict"), uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as e:
        raise BadUrl(f"not a host name: {e}") from e
