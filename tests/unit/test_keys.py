import hashlib
import hmac

import pytest

from execlave_server.actions.identify_caller import SIGNATURE_WINDOW_S, verify_signature
from execlave_server.clock import SystemClock
from execlave_server.errors import BadSignatureError
from execlave_server.model.keys import KEY_PATTERN, compose_key, hash_key, signature_of
from execlave_server.model.organizations import KeyEnvironment

NOW_S = 1_765_449_600
KEY = "exe_prod_" + "k" * 43
BODY = b'{"agentId":"support-bot","input":"hi"}'


@pytest.mark.parametrize(
    ("environment", "prefix", "agent_environment"),
    [
        (KeyEnvironment.PRODUCTION, "exe_prod_", "production"),
        (KeyEnvironment.STAGING, "exe_stg_", "staging"),
        (KeyEnvironment.DEVELOPMENT, "exe_dev_", "development"),
    ],
)
def test_a_new_key_shows_its_environment(environment, prefix, agent_environment):
    """A key begins with its environment, ends in 256 random bits, and is recognised as one."""
    key = compose_key(environment, SystemClock().token())

    assert key.startswith(prefix)
    assert len(key) == len(prefix) + 43
    assert KEY_PATTERN.fullmatch(key)
    assert environment.agent_environment == agent_environment


def test_no_two_keys_are_alike():
    """Each key has its own random bits."""
    clock = SystemClock()

    assert len({compose_key(KeyEnvironment.PRODUCTION, clock.token()) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exe_prod_",
        "exe_prod_" + "k" * 42,
        "exe_prod_" + "k" * 44,
        "exe_test_" + "k" * 43,
        "exe_agt_" + "k" * 43,
        "EXE_PROD_" + "k" * 43,
        "exe_prod_" + "k" * 42 + "!",
        "exe_prod_" + "k" * 42 + "ü",
        KEY + "\n",
        " " + KEY,
    ],
)
def test_what_is_no_key_is_not_recognised(text):
    """Only the exact form passes, to the last character."""
    assert KEY_PATTERN.fullmatch(text) is None


def test_a_key_is_stored_as_a_keyed_hash():
    """The hash is HMAC-SHA256 under the installation's pepper: without the pepper a key cannot be guessed from it."""
    expected = hmac.new(b"pepper", KEY.encode(), hashlib.sha256).digest()

    assert hash_key(b"pepper", KEY) == expected
    assert len({hash_key(b"pepper", KEY), hash_key(b"other", KEY), hash_key(b"pepper", KEY[:-1] + "l")}) == 3


def test_the_signature_is_the_sdks():
    """The SDK signs `timestamp.body` with the API key; an empty body signs `timestamp.`."""
    expected = hmac.new(KEY.encode(), b"1765449600." + BODY, hashlib.sha256).hexdigest()

    assert signature_of(KEY, "1765449600", BODY) == f"sha256={expected}"
    assert signature_of("k", "1", b"") == "sha256=" + hmac.new(b"k", b"1.", hashlib.sha256).hexdigest()


def verify(timestamp, signature, *, key=KEY, body=BODY):
    """Verify at the fixed time."""
    verify_signature(key, timestamp, signature, body, NOW_S * 1_000_000)


@pytest.mark.parametrize("off_s", [0, 1, -1, SIGNATURE_WINDOW_S, -SIGNATURE_WINDOW_S])
def test_a_right_signature_is_taken(off_s):
    """A signature over the raw body verifies within five minutes either side."""
    timestamp = str(NOW_S + off_s)

    verify(timestamp, signature_of(KEY, timestamp, BODY))


@pytest.mark.parametrize("timestamp", [None, "1", str(NOW_S)])
def test_a_request_need_not_be_signed(timestamp):
    """Without a signature nothing is verified: some of the SDK's requests never carry one."""
    verify(timestamp, None)


@pytest.mark.parametrize("off_s", [SIGNATURE_WINDOW_S + 1, -SIGNATURE_WINDOW_S - 1, 10**9])
def test_an_old_signature_is_refused(off_s):
    """A request recorded once cannot be sent again more than five minutes later."""
    timestamp = str(NOW_S + off_s)

    with pytest.raises(BadSignatureError, match="clock"):
        verify(timestamp, signature_of(KEY, timestamp, BODY))


@pytest.mark.parametrize("timestamp", [None, "", "now", "-1", "1.5", "1765449600 ", "²", "9" * 5_000])
def test_a_timestamp_that_is_no_number_is_refused(timestamp):
    """Whatever stands where the time should be is an invalid signature, not another error."""
    with pytest.raises(BadSignatureError):
        verify(timestamp, signature_of(KEY, timestamp or "", BODY))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        signature_of(KEY, str(NOW_S), BODY).removeprefix("sha256="),
        signature_of(KEY, str(NOW_S), BODY).upper(),
        signature_of(KEY, str(NOW_S), BODY) + " ",
        signature_of(KEY, str(NOW_S), BODY + b" "),
        signature_of(KEY, str(NOW_S + 1), BODY),
        signature_of(KEY + "x", str(NOW_S), BODY),
        "sha256=ü",
    ],
)
def test_a_wrong_signature_is_refused(signature):
    """Another body, time or key, and whatever is no signature at all."""
    with pytest.raises(BadSignatureError, match="does not match"):
        verify(str(NOW_S), signature)
