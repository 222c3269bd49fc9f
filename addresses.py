"""Addresses that users give: how they are read, and which of them lead into a private network."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from errors import InvalidInput, Refused

PORTS = {"https": 443, "http": 80}
MOST_CHARACTERS = 2000
Number = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL = ipaddress.IPv6Network("2000::/3")  # what is handed out; all else is of somebody's own
# Python calls them public: documentation, relays to 6to4, and where a cloud answers its own machines.
NEVER = tuple(ipaddress.ip_network(one) for one in ("3fff::/20", "192.88.99.0/24", "168.63.129.16/32"))
ISATAP = (0x0000_5EFE, 0x0200_5EFE)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts; `host` in ASCII. `is_own`: a place that the settings name, where private and http are fine."""

    url: str
    scheme: str
    host: str
    port: int
    is_own: bool = False

    @property
    def place(self) -> str:
        """host:port, as WEBHOOK_OWN_HOSTS has it."""
        return place_of(self.host, self.port)


def place_of(host: str, port: int) -> str:
    """host:port, with brackets around an address of IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def read_address(url: str, *, own: Collection[str] = ()) -> Address:
    """The parts of an https address; `own` are the places (host:port) that may also be private, and reached by http.

    Errors: InvalidInput (not an https address), Refused (it is one of a private network, as it is written).
    """
    if len(url) > MOST_CHARACTERS:
        raise InvalidInput(f"{url[:80]!r}...: an address has at most {MOST_CHARACTERS} characters")
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").encode("idna").decode()  # as name servers know it
    except ValueError:  # also when a name has no form that name servers know
        raise InvalidInput(f"{url[:80]!r} is not an address") from None
    is_own = place_of(host, port) in own
    is_served = parts.scheme == "https" or (is_own and parts.scheme == "http")
    if not is_served or not host or parts.username or parts.password or not url.isprintable():
        raise InvalidInput(f"{url[:80]!r}: give an https address without user and password")
    if not is_own and _number(host) is not None and not is_public(host):
        raise Refused(f"{host} leads into a private network")
    return Address(url, parts.scheme, host, port, is_own)


def is_public(address: str) -> bool:
    """Whether a number (of IPv4 or IPv6) stands for a machine of the open internet."""
    parsed = _number(address)
    if parsed is None or any(parsed in one for one in NEVER if one.version == parsed.version):
        return False
    inner = _inner(parsed)
    if inner is not None:
        return is_public(str(inner))
    if isinstance(parsed, ipaddress.IPv6Address) and parsed not in GLOBAL:
        return False
    return parsed.is_global and not parsed.is_multicast


def _inner(address: Number) -> ipaddress.IPv4Address | None:
    """The IPv4 address that one of IPv6 carries through a gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    low = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in NAT64 or int(address) >> 32 & 0xFFFF_FFFF in ISATAP:
        return low
    return address.ipv4_mapped or address.sixtofour


def _number(host: str) -> Number | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
