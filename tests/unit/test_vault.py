import stat

import pytest
import tink
from tink import mac, secret_key_access

from execlave_server.errors import SecretError
from execlave_server.model.secret import Secret
from execlave_server.vault.envelope import Vault, api_key_of
from execlave_server.vault.key_encryption_key import create_key_file, default_key_file, open_key_file

TEXT = "0123456789abcdef0123456789abcdef"
PLACE = api_key_of("org_acme", "dst_1")


@pytest.fixture
def key_file(tmp_path):
    """A new key-encryption key."""
    path = tmp_path / "data.kek"
    create_key_file(path)
    return path


@pytest.fixture
def vault(key_file) -> Vault:
    """A vault under it."""
    return Vault(open_key_file(key_file))


@pytest.mark.parametrize("text", [TEXT, "", "ü😀\n", "x" * 100_000], ids=["key", "empty", "unicode", "long"])
def test_what_is_sealed_opens_again(vault, text):
    """A secret comes back whole, in the place it was sealed for."""
    assert vault.open(vault.seal(Secret(text), bound_to=PLACE), bound_to=PLACE).reveal() == text


def test_the_sealed_form_hides_the_secret(vault):
    """The sealed bytes hold neither the secret nor a pattern of it: sealing twice gives other bytes."""
    one, other = (vault.seal(Secret(TEXT), bound_to=PLACE) for _ in range(2))

    assert TEXT.encode() not in one
    assert one != other


@pytest.mark.parametrize(
    "elsewhere",
    [
        api_key_of("org_acme", "dst_2"),
        api_key_of("org_globex", "dst_1"),
        api_key_of("org_acme/dst_1", ""),
        "installation/apiKeyPepper",
        "",
    ],
)
def test_a_secret_opens_only_where_it_belongs(vault, elsewhere):
    """A sealed key copied to another destination or organization does not open there, and the error names the place."""
    sealed = vault.seal(Secret(TEXT), bound_to=PLACE)

    with pytest.raises(SecretError, match="cannot be opened"):
        vault.open(sealed, bound_to=elsewhere)


def test_another_key_does_not_open_it(vault, tmp_path):
    """Under another key-encryption key nothing opens."""
    create_key_file(tmp_path / "other.kek")
    other = Vault(open_key_file(tmp_path / "other.kek"))

    with pytest.raises(SecretError, match="another key-encryption key"):
        other.open(vault.seal(Secret(TEXT), bound_to=PLACE), bound_to=PLACE)


def test_the_same_key_file_opens_it_later(vault, key_file):
    """A vault opened again from the same file, by a later process, opens what was sealed before."""
    sealed = vault.seal(Secret(TEXT), bound_to=PLACE)

    assert Vault(open_key_file(key_file)).open(sealed, bound_to=PLACE).reveal() == TEXT


def test_a_changed_byte_is_noticed(vault):
    """Sealed bytes that were changed anywhere, cut or lengthened do not open."""
    sealed = vault.seal(Secret(TEXT), bound_to=PLACE)
    flipped = [bytes([*sealed[:at], sealed[at] ^ 1, *sealed[at + 1 :]]) for at in range(len(sealed))]

    for broken in [*flipped, sealed[:-1], sealed[1:], sealed + b"x", sealed[:4], b"", b"garbage"]:
        with pytest.raises(SecretError):
            vault.open(broken, bound_to=PLACE)


def test_an_error_does_not_show_the_secret(vault):
    """What failed to open is named by its place alone."""
    sealed = vault.seal(Secret(TEXT), bound_to=PLACE)

    with pytest.raises(SecretError) as caught:
        vault.open(sealed, bound_to="elsewhere")

    assert TEXT not in str(caught.value) + repr(caught.value.__cause__)


def test_a_key_file_is_the_owners_alone(key_file):
    """The key-encryption key is made with mode 0600."""
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_key_file_is_made_with_its_folder(tmp_path):
    """Folders on the way to the key file are made."""
    create_key_file(tmp_path / "a" / "b" / "key")

    assert open_key_file(tmp_path / "a" / "b" / "key")


def test_a_key_file_is_never_replaced(key_file):
    """An existing key may open another data directory: it is left as it is."""
    before = key_file.read_bytes()

    with pytest.raises(SecretError, match="exists already"):
        create_key_file(key_file)
    assert key_file.read_bytes() == before


def test_a_key_file_needs_a_folder(key_file):
    """Where the folder cannot be made the error names the file."""
    with pytest.raises(SecretError, match="cannot be written"):
        create_key_file(key_file / "inside a file")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610, 0o602, 0o777])
def test_a_key_file_that_others_may_use_is_refused(key_file, mode):
    """A key readable, writable or executable by anybody else is not used; the error says how to mend it."""
    key_file.chmod(mode)

    with pytest.raises(SecretError, match=f"mode {mode:04o}.*chmod 600"):
        open_key_file(key_file)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_the_owner_is_taken(key_file, mode):
    """Readable by the owner alone, writable or not."""
    key_file.chmod(mode)

    assert open_key_file(key_file)


def test_a_missing_key_file_is_named(tmp_path):
    """The error names the file and how to name another."""
    with pytest.raises(SecretError, match=r"absent\.kek is missing.*EXECLAVE_SERVER_KEK"):
        open_key_file(tmp_path / "absent.kek")


def test_a_folder_is_no_key_file(tmp_path):
    """A folder where the key should be cannot be read."""
    with pytest.raises(SecretError, match="cannot be read"):
        open_key_file(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"5", b"key", b'{"primaryKeyId":1,"key":[]}', b"\xff\xfe\x00", bytes(range(256))],
    ids=["empty", "object", "list", "null", "number", "text", "no key", "not UTF-8", "every byte"],
)
def test_a_file_that_is_no_key_is_refused(tmp_path, content):
    """Whatever else is in the file, the error names it and sends to the backup."""
    path = tmp_path / "data.kek"
    path.touch(mode=0o600)
    path.write_bytes(content)

    with pytest.raises(SecretError, match=r"data\.kek is not a Tink keyset"):
        open_key_file(path)


def test_a_keyset_of_another_kind_is_refused(tmp_path):
    """A Tink keyset that authenticates but does not encrypt is no key-encryption key."""
    mac.register()
    handle = tink.new_keyset_handle(mac.mac_key_templates.HMAC_SHA256_128BITTAG)
    path = tmp_path / "data.kek"
    path.touch(mode=0o600)
    path.write_text(tink.json_proto_keyset_format.serialize(handle, secret_key_access.TOKEN))

    with pytest.raises(SecretError, match=r"data\.kek is not a Tink keyset"):
        open_key_file(path)


def test_the_key_lies_beside_the_data(tmp_path):
    """By default the key file is beside the data directory: a copy of the data alone opens nothing."""
    assert default_key_file(tmp_path / "data") == tmp_path / "data.kek"
    assert not default_key_file(tmp_path / "data").is_relative_to(tmp_path / "data")
