"""A signed head: how far a chain was at some time, to be kept where whoever runs the server cannot change it.

The signature is plain Ed25519 (RFC 8032). A shared secret would not do: whoever checks could then also sign.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from execlave_server.audit.canonical import RecordKind, ordered_json
from execlave_server.audit.chain import Head

FORMAT = "execlave-head"

Signer = Callable[[bytes], bytes]  # from a message to its 64-byte signature
SignatureCheck = Callable[[bytes, bytes], bool]  # of a message and its signature


class HeadRecord(Struct, frozen=True):
    """What a signature is made over, in sorted order."""

    at_us: int
    hash: str
    organization: str
    seq: int


class SignedHead(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a head file. Hashes, key and signature are hexadecimal; `key` is the server's public key."""

    at_us: int
    format: str
    hash: str
    key: str
    organization: str
    seq: int
    signature: str
    version: int = 1


def signed_bytes(at_us: int, organization: str, seq: int, hash_hex: str) -> bytes:
    """The message that a head's signature is made over."""
    return RecordKind.HEAD.header + ordered_json(HeadRecord(at_us, hash_hex, organization, seq))


def sign_head(head: Head, at_us: int, public_key: bytes, sign: Signer) -> SignedHead:
    """The head as it is now, signed."""
    hash_hex = head.hash.hex()
    signature = sign(signed_bytes(at_us, head.organization, head.seq, hash_hex))
    return SignedHead(
        at_us=at_us,
        format=FORMAT,
        hash=hash_hex,
        key=public_key.hex(),
        organization=head.organization,
        seq=head.seq,
        signature=signature.hex(),
    )


def is_signed(head: SignedHead, check: SignatureCheck) -> bool:
    """True when the signature is the server's; the caller's check holds the server's public key."""
    try:
        signature = bytes.fromhex(head.signature)
    except ValueError:
        return False
    return check(signed_bytes(head.at_us, head.organization, head.seq, head.hash), signature)


def read_heads(lines: bytes) -> list[SignedHead]:
    """The heads of a head file, one JSON object a line. Raises msgspec.MsgspecError when a line is none."""
    return [msgspec.json.decode(line, type=SignedHead) for line in lines.splitlines() if line.strip()]


def head_line(head: SignedHead) -> bytes:
    """A head as a line to append to a head file."""
    return ordered_json(head) + b"\n"
