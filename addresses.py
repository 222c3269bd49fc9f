"""Addresses that users give: how they are read, and which of them lead into a private network."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from errors import InvalidInput, Refused

PORTS = {"https": 443, "http": 80}
MOST_CHARACTERS = 2000
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
Number = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts. `is_own`: somewhere that the settings name, where private and http are fine."""

    url: str
    scheme: str
    host: str
    port: int
    is_own: bool = False


def read_address(url: str, *, own: Collection[str] = ()) -> Address:
    """The parts of an https address; `own` are the places (host:port) that may also be private, and reached by http.

    Errors: InvalidInput (not an https address), Refused (it is one of a private network, as it is written).
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise InvalidInput(f"{url[:80]!r} is not an address") from None
    if len(url) > MOST_CHARACTERS:
        raise InvalidInput(f"{url[:80]!r}...: an address has at most {MOST_CHARACTERS} characters")
    is_own = f"{parts.hostname}:{port}" in own
    is_served = parts.scheme == "https" or (is_own and parts.scheme == "http")
    if not is_served or not parts.hostname or parts.username or parts.password or not url.isprintable():
        raise InvalidInput(f"{url[:80]!r}: give an https address without user and password")
    if not is_own and _is_number(parts.hostname) and not is_public(parts.hostname):
        raise Refused(f"{parts.hostname} leads into a private network")
    return Address(url, parts.scheme, parts.hostname, port, is_own)


def is_public(address: str) -> bool:
    """Whether a number (of IPv4 or IPv6) stands for a machine of the open internet."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner(parsed)
    if inner is not None:
        return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def _inner(address: Number) -> ipaddress.IPv4Address | None:
    """The IPv4 address that one of IPv6 carries through a gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
