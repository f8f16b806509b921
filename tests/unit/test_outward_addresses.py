"""Where a customer's validator may be: the public internet, and what the operator allows."""

import pytest

from execlave_server.policy.outward_addresses import AllowedAddresses, parse_allowed, refusal_of

NOBODY = AllowedAddresses()
REFUSED = {
    "a loopback address": [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
    "a link-local address": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.7.7", "febf::1"],
    "a private address": [
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fec0::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a00:1", "2002:a00:1::1", "::ffff:0:192.168.0.1", "2002:c0a8:101::"),
    ],
    "a unique local address": ["fc00::1", "fd12:3456::1"],
    "a multicast address": ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"],
    "an unspecified address": ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"],  # noqa: S104 - refused, not listened on
    "a cloud's metadata address": [
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"),
        *("fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"),
    ],
    "a reserved address": [
        *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8"),
        *("2001:db8::1", "2001::1", "64:ff9b:1::a00:1", "5f00::1", "4000::1", "3fff::1", "192.88.99.1"),
    ],
    "no address": ["", "localhost", "127.1", "0x7f000001", "2130706433"],
}
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
]


@pytest.mark.parametrize(("reason", "address"), [(why, each) for why, them in REFUSED.items() for each in them])
def test_what_is_not_public_is_refused_and_named(reason, address):
    """An address of a special class is refused under its class, in whatever IPv6 form it comes."""
    assert refusal_of("validator.example.com", address, NOBODY) == reason


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_asked(address):
    """A public address is taken, also one that stands in a translated form."""
    assert refusal_of("validator.example.com", address, NOBODY) is None


def test_an_allowed_network_is_asked():
    """The operator's networks and addresses are taken, and nothing beside them."""
    allowed = parse_allowed("10.1.0.0/16, 127.0.0.1, fd00::/8")

    assert refusal_of("a.example", "10.1.255.255", allowed) is None
    assert refusal_of("a.example", "127.0.0.1", allowed) is None
    assert refusal_of("a.example", "fd00::1", allowed) is None
    assert refusal_of("a.example", "10.2.0.0", allowed) == "a private address"
    assert refusal_of("a.example", "127.0.0.2", allowed) == "a loopback address"


def test_an_allowed_host_is_asked_wherever_it_is_but_at_metadata():
    """An allowed name may be at a private address; that of a metadata service needs its network."""
    allowed = parse_allowed("Validator.Internal")

    assert refusal_of("validator.internal.", "10.0.0.1", allowed) is None
    assert refusal_of("other.internal", "10.0.0.1", allowed) == "a private address"
    for metadata in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"):
        assert refusal_of("validator.internal", metadata, allowed) == "a cloud's metadata address"
        assert refusal_of("validator.internal", metadata, parse_allowed(f"{metadata}")) is None


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "https://a.example", "a b", "10.1", "*", "-a", "a/b"])
def test_what_cannot_be_meant_is_refused(text):
    """An entry that is neither network, address nor host name is an error that quotes it."""
    with pytest.raises(ValueError, match="is no network"):
        parse_allowed(f"10.0.0.0/8,{text}")
