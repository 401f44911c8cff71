"""Which addresses may be connected to: public ones only, and the one that was checked is the one connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

__all__ = ["Blocked", "Unresolved", "resolve"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = [ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48")]
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


class Blocked(Exception):
    """The name leads to an address that is not public."""


class Unresolved(Exception):
    """The name has no address."""


async def resolve(host: str, port: int, allowed: Sequence[str]) -> str:
    """The address to connect to for ``host``; every address of the name must be public.

    ``getaddrinfo`` also reads decimal, octal and hex forms, so those are seen for what they are. ``allowed`` holds
    ``host:port`` that may be private. Raises ``Blocked`` or ``Unresolved``.
    """
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise Unresolved(f"{host}: {e}") from e
    addresses = [str(f[4][0]) for f in found]
    if f"{host}:{port}" not in allowed:
        bad = next((a for a in addresses if not is_public(a)), None)
        if bad is not None:
            raise Blocked(f"{host} is {bad}, which is not a public address")
    return addresses[0]


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
