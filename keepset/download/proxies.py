"""What the machine says of the way out: proxies and certificates, as curl and pip take them from the environment."""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from keepset.download.target import Target
from keepset.errors import ConfigError

__all__ = ["Proxies", "Proxy", "certificates", "tls"]


@dataclass(frozen=True)
class Proxy:
    """``url`` is without its ``login`` (user:password, as the variable has it), which is empty if it needs none."""

    url: str
    login: str = field(default="", repr=False)


class Proxies:
    """``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` (in either case), or the system's on macOS."""

    def __init__(self) -> None:
        """Raises ``ConfigError`` for a proxy that cannot be used."""
        found = getproxies()
        given = {s: found.get(s) or found.get("all") for s in ("http", "https")}
        self.by_scheme: Mapping[str, Proxy] = {s: _proxy(s, text) for s, text in given.items() if text}
        self.exempt = [e.strip() for e in found.get("no", "").split(",") if "/" in e]

    def of(self, target: Target) -> Proxy | None:
        """None: it is asked directly, as all of ``NO_PROXY`` are, and this machine itself."""
        proxy = self.by_scheme.get(target.scheme)
        if proxy is None or _is_here(target.host) or proxy_bypass(f"{target.host}:{target.port}"):
            return None
        return None if any(_within(target.host, network) for network in self.exempt) else proxy


def _proxy(scheme: str, text: str) -> Proxy:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise ConfigError(
            f"The proxy for {scheme}, {re.sub('//[^/]*@', '//', text)}, cannot be used: it must be http://HOST:PORT.",
            f"Correct {scheme.upper()}_PROXY (or ALL_PROXY), or unset it. SOCKS proxies are not supported.",
        )
    login, _, place = parts.netloc.rpartition("@")
    return Proxy(f"{parts.scheme}://{place}", login)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def certificates() -> tuple[str, str]:
    """``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; both empty: the certificates of the package certifi."""
    return os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")


def tls() -> ssl.SSLContext:
    """Whom to trust. Raises ``ConfigError`` if the environment names certificates that cannot be read."""
    return _tls(*certificates())


@functools.lru_cache(maxsize=4)
def _tls(file: str, folder: str) -> ssl.SSLContext:
    """20 ms: once a process, not once a picture that is predicted by its URL."""
    import certifi

    if folder and not Path(folder).is_dir():
        raise ConfigError(f"SSL_CERT_DIR is {folder}, which is not a folder.", _CERTIFICATES)
    try:
        return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder or None)
    except OSError as e:
        raise ConfigError(f"SSL_CERT_FILE is {file}, which cannot be used: {e}.", _CERTIFICATES) from e


_CERTIFICATES = "Set it to your certificates in PEM form, or unset it to use those of the package certifi."
