"""Which addresses a customer's validator may have: the public internet, and what the operator allows."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")

# IANA's special-purpose registries, and where clouds hand out credentials.
_METADATA = (
    "169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32",  # AWS, GCP, Azure; AWS containers
    "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",  # Alibaba, Azure's host, Oracle
    "fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128",  # AWS, AWS containers, GCP
)  # fmt: skip
_REFUSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a cloud's metadata address", _METADATA),
    ("a loopback address", ("127.0.0.0/8", "::1/128")),
    ("a link-local address", ("169.254.0.0/16", "fe80::/10")),
    ("a private address", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fec0::/10")),
    ("a unique local address", ("fc00::/7",)),
    ("a multicast address", ("224.0.0.0/4", "ff00::/8")),
    ("an unspecified address", ("0.0.0.0/8", "::/128")),
    ("a reserved address", (
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20",
    )),
)  # fmt: skip
_CLASSES: list[tuple[str, Network]] = [
    (name, ip_network(network)) for name, networks in _REFUSED for network in networks
]
_METADATA_NETWORKS = tuple(ip_network(network) for network in _METADATA)
_GLOBAL_IPV6 = IPv6Network("2000::/3")
# IPv6 networks whose addresses hold an IPv4 address, and how far from the right it stands, in bits.
_HOLDERS = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
    (IPv6Network("::/96"), 0),  # IPv4-compatible
)


class AllowedAddresses(NamedTuple):
    """The operator's exceptions: networks, and host names whose addresses are taken as they come."""

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()


def parse_allowed(text: str) -> AllowedAddresses:
    """Comma-separated networks (`10.1.0.0/16`), addresses and host names. Raises ValueError for anything else."""
    networks: list[Network] = []
    hosts: set[str] = set()
    for entry in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            networks.append(ip_network(entry))
        except ValueError as error:
            if "/" in entry or not _HOST.fullmatch(entry) or entry.replace(".", "").isdigit():
                raise ValueError(f"{entry!r} is no network like 10.1.0.0/16, no address and no host name") from error
            hosts.add(_normal(entry))
    return AllowedAddresses(tuple(networks), frozenset(hosts))


def refusal_of(host: str, address: str, allowed: AllowedAddresses) -> str | None:
    """Why a host at this address is not asked, in a few words; None where it may be.

    A metadata address is allowed by its network only: a name may come to mean it at any time.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "no address"
    if any(found in network for network in allowed.networks):
        return None
    refused = _refused_class(found)
    if refused is None or (_normal(host) in allowed.hosts and not _is_metadata(found)):
        return None
    return refused


def _refused_class(address: Address) -> str | None:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "a link-local address"
        held = _held(address)
        if held is not None:
            return _class_of(address) if address in IPv6Network("::/127") else _refused_class(held)
    refused = _class_of(address)
    if refused is None and isinstance(address, IPv6Address) and address not in _GLOBAL_IPV6:
        return "a reserved address"
    return refused


def _class_of(address: Address) -> str | None:
    return next((name for name, network in _CLASSES if address in network), None)


def _held(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    for network, shift in _HOLDERS:
        if address in network:
            return IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    return None


def _is_metadata(address: Address) -> bool:
    held = _held(address) if isinstance(address, IPv6Address) else None
    return any(one in network for one in (address, held) if one is not None for network in _METADATA_NETWORKS)


def _normal(host: str) -> str:
    return host.rstrip(".").lower()
