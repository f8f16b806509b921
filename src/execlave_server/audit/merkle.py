"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion proofs, and a tree that grows by one leaf at a time."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Frontier = tuple[bytes, ...]  # the roots of the perfect subtrees of a growing tree, largest first
RootOfRange = Callable[[int, int], bytes]  # of the leaves from the first index up to, not including, the second

LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"


def split_hashes(joined: bytes) -> list[bytes]:
    """Hashes that are stored end to end, one by one; the last is short where the bytes were cut."""
    return [joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES)]


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf, 32 bytes."""
    return sha256(LEAF_PREFIX + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, 32 bytes."""
    return sha256(NODE_PREFIX + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes. Joining neighbours level by level gives the RFC's tree, a last odd node moving up."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        pairs = iter(level)
        above = [sha256(NODE_PREFIX + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


def append(frontier: Frontier, size: int, leaf: bytes) -> Frontier:
    """The frontier of the tree of `size` leaves after one more leaf hash."""
    nodes = [*frontier, leaf]
    while size & 1:
        right = nodes.pop()
        nodes[-1] = node_hash(nodes[-1], right)
        size >>= 1
    return tuple(nodes)


def frontier_root(frontier: Frontier) -> bytes:
    """The root of the tree that a frontier stands for."""
    if not frontier:
        return EMPTY_ROOT
    joined = frontier[-1]
    for left in reversed(frontier[:-1]):
        joined = node_hash(left, joined)
    return joined


def stream_root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes that need not fit into memory."""
    frontier: Frontier = ()
    for size, leaf in enumerate(leaves):
        frontier = append(frontier, size, leaf)
    return frontier_root(frontier)


def sibling_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Which leaves (from, up to) each node of an inclusion proof stands for, from the leaf upwards.

    Raises ValueError for an index outside the tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} of a tree of {size} leaves")
    ranges, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + (1 << (stop - start - 1).bit_length() - 1)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def inclusion_path(index: int, size: int, root_of: RootOfRange) -> list[bytes]:
    """The inclusion proof of a leaf: one hash for each level, from the leaf upwards."""
    return [root_of(start, stop) for start, stop in sibling_ranges(index, size)]


def path_in(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of one of these leaf hashes."""
    return inclusion_path(index, len(leaves), lambda start, stop: root(leaves[start:stop]))


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to, or None when it is no proof for such a tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    at, last, joined = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            joined = node_hash(sibling, joined)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            joined = node_hash(joined, sibling)
        at, last = at >> 1, last >> 1
    return joined if last == 0 else None
