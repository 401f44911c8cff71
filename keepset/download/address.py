"""Which addresses may be connected to: public ones only, and the one that was checked is the one connected to."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Blocked", "Resolver", "Unresolved", "heard", "is_public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEPT_S, _MOST_KNOWN, _THREADS = 60.0, 10_000, 32
_NAT64 = [ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")]
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


class Blocked(Exception):
    """The name leads to an address that is not public."""


class Unresolved(Exception):
    """The name has no address."""


class Resolver:
    """Finds and checks the addresses of hosts. An answer is kept for a minute: it is the checked one that is used."""

    def __init__(self, allowed: Sequence[str]) -> None:
        """``allowed`` holds ``host:port`` that may be private."""
        self.allowed = frozenset(allowed)
        self.threads = ThreadPoolExecutor(_THREADS, "names")  # the loop's own few would all wait for a dead server
        self.known: OrderedDict[tuple[str, int], tuple[float, asyncio.Future[str]]] = OrderedDict()

    def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> str:
        """The address to connect to for ``host``; every address of the name must be public.

        ``getaddrinfo`` also reads decimal, octal and hex forms, so those are seen for what they are. Raises
        ``Blocked`` or ``Unresolved``.
        """
        loop = asyncio.get_running_loop()
        asked, answer = self.known.get((host, port), (0.0, None))
        if answer is None or loop.time() - asked > _KEPT_S:
            answer = asyncio.ensure_future(self._look_up(host, port))
            answer.add_done_callback(heard)
            self.known[host, port] = (loop.time(), answer)
            if len(self.known) > _MOST_KNOWN:
                self.known.popitem(last=False)
        return await asyncio.shield(answer)

    async def _look_up(self, host: str, port: int) -> str:
        ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self.threads, ask)
        except (OSError, UnicodeError) as e:
            raise Unresolved(f"{host}: {e}") from e
        addresses = [str(f[4][0]) for f in found]
        if f"{host}:{port}" not in self.allowed:
            bad = next((a for a in addresses if not is_public(a)), None)
            if bad is not None:
                what = host if host == bad else f"{host} ({bad})"
                raise Blocked(f"{what} is not a public address")
        return addresses[0]


def heard(answer: asyncio.Future[Any]) -> None:
    """Whoever asked may have given up by now, which is no reason for asyncio to log that nobody heard the answer."""
    if not answer.cancelled():
        answer.exception()


def is_public(text: str) -> bool:
    """False for private, loopback, link-local, multicast, reserved, and IPv6 forms that hide such an IPv4."""
    address = ipaddress.ip_address(text.split("%")[0])
    hidden = _hidden_ipv4(address)
    if hidden is not None:
        return is_public(str(hidden))
    return address.is_global and not address.is_multicast


def _hidden_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if any(address in n for n in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None
