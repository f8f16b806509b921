import base64
import hashlib
import string

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from execlave_server.datadog.mask import EDGE_CHARS, WINDOW_CHARS, mask_name, mask_text

PIECE_CHARS = 8  # so much of a secret must not be left anywhere
ALPHANUMERIC = string.ascii_letters + string.digits
LIMIT_CHARS = 1024
FILLERS = ("so it goes ", "so/it/goes/", "voilà, 日本 🐨\n", '{"at": "so", "it": [null, "goes"]}, ')
FRAGMENTS = [
    *"=:'\"\\@/.,;&…[](){}+-_ \n\0é", "password", "tokens", "--token ", "Cookie", "api key", "authorization", "Bearer ",
    "secret", "phone: ", "://", "user", "[masked:", "[masked:secret]", "[masked:email]", "a@b.co", "+49 30 1234567",
    "4111 1111 1111 1111", "4111111111111111", "415-555-2671", "123-45-6789", "DE89 3704 0044 0532 0130 00", "İ",
    "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "AKIAIOSFODNN7EXAMPLE", "sk-",
    "ghp_", "0123456789abcdef", "hf_", "exe_prod_", "ag_", "tr_0123456789abcdef", "2024-05-13", "x" * 20, "a" * 500,
]  # fmt: skip


def random_body(seed: bytes, alphabet: str, chars: int) -> str:
    """As random as a real key, and the same for the same seed."""
    digest = b"".join(hashlib.sha512(seed + bytes([block])).digest() for block in range(chars // 64 + 1))
    return "".join(alphabet[byte % len(alphabet)] for byte in digest[:chars])


def with_luhn_digit(digits: str) -> str:
    """The digits and the one that makes them pass, by trying all ten."""
    for last in string.digits:
        doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits + last))]
        if sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0:
            return digits + last
    raise AssertionError("one of ten digits always passes")


def with_iban_digits(country: str, account: str) -> str:
    """The account with the check digits ISO 13616 computes for it."""
    number = int("".join(str(int(character, 36)) for character in f"{account}{country}00"))
    return f"{country}{98 - number % 97:02}{account}"


def grouped(text: str, separator: str) -> str:
    """The text in groups of four."""
    return separator.join(text[start : start + 4] for start in range(0, len(text), 4))


@st.composite
def secrets(draw: st.DrawFn) -> tuple[str, str]:
    """A secret as it is written, and that part of it of which no piece may be left."""
    seed = draw(st.binary(min_size=8, max_size=8))
    body = random_body(seed, ALPHANUMERIC, draw(st.integers(36, 90)))
    lower_hex = random_body(seed, "0123456789abcdef", draw(st.sampled_from([32, 40, 64])))
    digits = random_body(seed, string.digits, 18)
    separator = draw(st.sampled_from(["", " ", "-"]))
    pem = base64.encodebytes(hashlib.sha512(seed).digest() * 12).decode()
    key = draw(st.sampled_from([
        "password", "DB_PASSWD", "pwd", "client_secret", "refreshToken", "x-api-key", "APIKEY", "private_key",
        "AWS_SECRET_ACCESS_KEY", "accessKey", "Authorization", "Cookie", "JSESSIONID", "session_id",
    ]))  # fmt: skip
    prefix = draw(st.sampled_from([
        "exe_prod_", "exe_stg_", "exe_dev_", "exe_agt_", "exe_lic_", "ag_", "ag_test_", "sk-", "sk-proj-", "sk_live_",
        "rk_test_", "whsec_", "sk-ant-api03-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xoxb-",
        "xoxp-", "AIza", "npm_", "hf_", "Bearer ", "Authorization: Basic ",
    ]))  # fmt: skip
    card = with_luhn_digit("4" + digits[: draw(st.sampled_from([11, 14, 17]))])
    iban = with_iban_digits("DE", digits)
    return draw(st.sampled_from([
        (prefix + body, body),
        ("AKIA" + body[:16].upper(), body[:16].upper()),
        (f"secret key {body[:36]}/+Z9", body[:36]),
        (f"eyJhbGciOiJIUzI1NiJ9.eyJ{body}.{body[::-1]}", body),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{pem}-----END RSA PRIVATE KEY-----", pem),
        (f"{key}={body}", body),
        (f"{key}: {body}", body),
        (f'"{key}": "{body[:20]} {body[20:]}"', body),
        (f"'{key}': '{body}'", body),
        (f'\\"{key}\\":\\"{body}\\"', body),
        (f"postgres://app:{body}@db.internal:5432/app", body),
        (lower_hex, lower_hex),
        (f"{body[:12]}@{body[12:30]}.example.com", body[:30]),
        (grouped(card, separator), grouped(card, separator)),
        (grouped(iban, separator.strip("-")), grouped(iban, separator.strip("-"))),
        (f"+49 {digits[:3]} {digits[3:10]}", digits[3:10]),
        (f"{int(digits[0]) % 8 + 1:03}-45-6789", "45-6789"),
    ]))  # fmt: skip


def assert_gone(secret: str, text: str) -> None:
    """No piece of the secret stands in the text."""
    pieces = (secret[start : start + PIECE_CHARS] for start in range(max(1, len(secret) - PIECE_CHARS + 1)))
    assert [piece for piece in pieces if piece in text] == []


@settings(max_examples=1_500, deadline=None)
@given(
    secret=secrets(),
    filler=st.sampled_from(FILLERS),
    before=st.one_of(
        st.integers(0, 100),
        st.integers(LIMIT_CHARS - 120, LIMIT_CHARS + 5),
        st.integers(WINDOW_CHARS - 2 * EDGE_CHARS, WINDOW_CHARS + 5),
    ),
    after=st.sampled_from([0, 40, 2_000]),
    limit_chars=st.sampled_from([LIMIT_CHARS, WINDOW_CHARS]),
)
def test_no_piece_of_a_planted_secret_survives(secret, filler, before, after, limit_chars):
    """Whatever the secret and wherever it stands, across both cuts too, no eight characters of it are left."""
    written, body = secret
    around = filler * (WINDOW_CHARS // 4)

    masked = mask_text(f"{around[:before]} {written} {around[:after]}", limit_chars)

    assert_gone(body, masked.text)
    assert len(masked.text) <= limit_chars
    assert mask_text(masked.text, limit_chars) == (masked.text, False, False)


@settings(max_examples=300, deadline=None)
@given(secret=secrets(), before=st.integers(WINDOW_CHARS - 2 * EDGE_CHARS, WINDOW_CHARS + 5))
def test_what_a_masked_head_brings_into_view_is_masked_too(secret, before):
    """Where a long secret shrinks to a marker, the window's end comes into view, and shows no piece of a secret."""
    written, body = secret
    head = f"-----BEGIN PRIVATE KEY-----\n{'TUlJ' * 3_700}\n-----END PRIVATE KEY-----"
    assume(len(head) < before)

    masked = mask_text(f"{head}{'so it goes ' * 1_000}"[:before] + f" {written} and so on" * 2)

    assert_gone(body, masked.text.removeprefix("[masked:private_key]"))


@settings(max_examples=1_000, deadline=None)
@given(
    pieces=st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=8)), max_size=60),
    limit_chars=st.sampled_from([1, 5, 20, 60, 200, LIMIT_CHARS, 2 * WINDOW_CHARS]),
)
def test_masking_twice_is_masking_once(pieces, limit_chars):
    """A masked text stays as it is, fits the limit, and one that needed nothing comes back unchanged."""
    text = "".join(pieces)

    masked = mask_text(text, limit_chars)

    assert mask_text(masked.text, limit_chars) == (masked.text, False, False)
    assert len(masked.text) <= limit_chars
    assert masked.cut or masked.masked or masked.text == text


@given(st.text(max_size=400))
def test_a_remembered_name_is_masked_like_any_text(text):
    """Remembering names changes nothing but the time it takes."""
    assert mask_name(text) == mask_name(text) == mask_text(text)
