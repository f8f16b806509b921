import pytest

from execlave_server.audit import merkle

# The leaves and roots of Certificate Transparency's reference implementation, for trees of one to eight leaves.
CT_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in CT_LEAVES]


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size):
    """The roots are those of Certificate Transparency, by every way of making them."""
    leaves = LEAVES[:size]

    assert merkle.root(leaves).hex() == CT_ROOTS[size - 1]
    assert merkle.stream_root(leaves).hex() == CT_ROOTS[size - 1]


def test_the_empty_tree():
    """A tree without leaves has the hash of nothing."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert merkle.root([]).hex() == merkle.stream_root([]).hex() == empty


def test_the_rfc_s_example_paths():
    """RFC 6962, 2.1.3: in the tree of seven leaves the path of d0 is [b, h, l], of d6 [i, k]."""
    b = LEAVES[1]
    h = merkle.node_hash(LEAVES[2], LEAVES[3])
    i, j = merkle.node_hash(LEAVES[4], LEAVES[5]), LEAVES[6]
    k = merkle.node_hash(merkle.node_hash(LEAVES[0], LEAVES[1]), h)

    assert merkle.path_in(LEAVES[:7], 0) == [b, h, merkle.node_hash(i, j)]
    assert merkle.path_in(LEAVES[:7], 6) == [i, k]


def test_a_path_of_another_tree_proves_nothing():
    """A proof that is too long, too short, or for a leaf that the tree does not have leads to no root."""
    path = merkle.path_in(LEAVES, 3)

    assert merkle.root_from_path(LEAVES[3], 3, 8, path) == merkle.root(LEAVES)
    assert merkle.root_from_path(LEAVES[3], 3, 8, path[:-1]) is None
    assert merkle.root_from_path(LEAVES[3], 3, 8, [*path, path[0]]) is None
    assert merkle.root_from_path(LEAVES[3], 8, 8, path) is None
    assert merkle.root_from_path(LEAVES[3], -1, 8, path) is None
    with pytest.raises(ValueError, match="leaf 8 of a tree of 8"):
        merkle.path_in(LEAVES, 8)
