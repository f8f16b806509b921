import json
import time
from pathlib import Path

import pytest

from execlave_server.policy.detect_pii import PiiFinding, PiiKind, find_pii, mask_pii

TAU_BENCH = Path(__file__).parents[2].parent / "shared" / "trajectories" / "tau-bench" / "gpt-4o-airline.json"
ALL = frozenset(PiiKind)
# Joined to their prefixes here only, so that no scanner of this repository takes them for leaked keys.
BODY = "Qm9vZ3V4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3"
HEX_32 = "9f86d081884c7d659a2feaa0c55ad015"
AWS_40 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

FOUND = [
    ("email", "email", "bob.b+x@mail.example.co.uk"),
    ("email", "email", "jörg@bücher.example"),
    ("phone", "phone", "+14155552671"),
    ("phone", "phone", "+44 20 7183 8750"),
    ("phone", "phone", "(415) 555-2671"),
    ("phone", "phone", "415-555-2671"),
    ("phone", "national_phone", "020 7183 8750"),
    ("phone", "national_phone", "06 12 34 56 78"),
    ("phone", "national_phone", "030/12345678"),
    ("phone", "national_phone", "0171 1234567"),
    ("credit_card", "credit_card", "4111 1111 1111 1111"),
    ("credit_card", "credit_card", "378282246310005"),
    ("ssn", "ssn", "123-45-6789"),
    ("iban", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("iban", "iban", "DE89370400440532013000"),
    ("api_key", "execlave_key", f"exe_prod_{BODY}"),
    ("api_key", "anthropic_key", f"sk-ant-api03-{BODY}"),
    ("api_key", "openai_key", f"sk-proj-{BODY}"),
    ("api_key", "stripe_key", f"sk_live_{BODY}"),
    ("api_key", "aws_key", "AKIAIOSFODNN7EXAMPLE"),
    ("api_key", "github_key", f"ghp_{BODY}"),
    ("api_key", "gitlab_key", f"glpat-{BODY}"),
    ("api_key", "slack_key", f"xoxb-1234567890-{BODY}"),
    ("api_key", "google_key", f"AIza{BODY}"),
    ("api_key", "npm_key", f"npm_{BODY}"),
    ("api_key", "hugging_face_key", f"hf_{BODY}"),
    ("api_key", "jwt", f"eyJ{BODY}.eyJ{BODY}.{BODY}"),
    ("api_key", "private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"),
    ("ip_address", "ip_v4", "8.8.4.4"),
    ("ip_address", "ip_v6", "2606:4700:4700::1111"),
]
AFTER_A_NAME = [
    ("phone", "named_phone", '{"phone_number": "%s"}', "4155552671"),
    ("phone", "named_phone", "Tel.: %s", "30 1234567"),
    ("api_key", "datadog_key", "DD_API_KEY=%s", HEX_32),
    ("api_key", "datadog_key", "dd-application-key: %s", HEX_32 + HEX_32[:8]),
    ("api_key", "aws_secret_key", "aws_secret_access_key = %s", AWS_40),
    ("api_key", "url_password", "postgres://app:%s@db:5432/x", "hunter2"),
]
NOT_FOUND = [
    "flight HAT001 on 2024-05-15 at 06:00, reservation NO6JO3, seat 12A",
    "order 1715587200000 of user 4155552671 is 1715587200123456 us old",
    "credit_card_4421486, gift_card_5094406, certificate_7504069",
    "01.02.2024 10:30 to 05/12/2024 11, price 1,203.50 or 0.4111111111111111",
    "4111 1111 1111 1112, GB83 WEST 1234 5698 7654 32 and 000-12-3456 do not add up",
    "trace tr_9f86d081884c7d65, id 550e8400-e29b-41d4-a716-446655440000, sha 9f86d081884c7d659a2feaa0c55ad015",
    "aws commit 9f86d081884c7d659a2feaa0c55ad0159a2feaa0",
    "192.168.100.200, 127.0.0.1, 10.0.0.1, ::1, 999.8.4.4, 8.8.4.4.1, v8.8.4.4, 12:34:56",
    "token_count, secret_name, sk-learn, npm_install, git@github.com:acme/agents.git",
    "\ud800 日本語 \0",
    "",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "rule_id", "value"), FOUND, ids=[value[:24] for *_, value in FOUND])
def test_finds_what_shows_by_its_own_form(kind, rule_id, value):
    """A value is found at its exact place, by its rule, and only when its kind is asked for."""
    text = f"It is {value}, and again {value} they say"

    assert find_pii(text, ALL) == [
        PiiFinding(PiiKind(kind), 6, 6 + len(value), rule_id),
        PiiFinding(PiiKind(kind), 18 + len(value), 18 + 2 * len(value), rule_id),
    ]
    assert find_pii(text, frozenset({PiiKind(kind)})) == find_pii(text, ALL)
    assert find_pii(text, ALL - {PiiKind(kind)}) == []


@pytest.mark.parametrize(("kind", "rule_id", "form", "value"), AFTER_A_NAME)
def test_finds_what_its_name_gives_away(kind, rule_id, form, value):
    """A plain number is a phone number, and 32 digits are a key, where they are called so."""
    text = form % value

    (finding,) = find_pii(text, ALL)

    assert (finding.kind, finding.rule_id, text[finding.start : finding.end]) == (kind, rule_id, value)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_leaves_what_is_not_personal(text):
    """Order numbers, prices, dates, identifiers, digests, private addresses and wrong check digits are not personal."""
    assert find_pii(text, ALL) == []


def test_every_kind_is_found():
    """Every kind in the closed set has an example above; the SDK's name for phones is understood."""
    assert {kind for kind, *_ in FOUND} == set(PiiKind)
    assert PiiKind("phone_us") is PiiKind.PHONE
    with pytest.raises(ValueError, match="blood_type"):
        PiiKind("blood_type")


def test_masks_with_the_kind_alone():
    """Each value becomes its kind in brackets, the text around it stays, and nothing is found in what is left."""
    text = f"Mail bob@example.com or call 415-555-2671; card 4111 1111 1111 1111, key ghp_{BODY}."

    masked = mask_pii(text, find_pii(text, ALL))

    assert masked == "Mail [EMAIL] or call [PHONE]; card [CREDIT_CARD], key [API_KEY]."
    assert find_pii(masked, ALL) == []
    assert mask_pii(text, []) == text


def test_masks_overlapping_findings_as_one():
    """Findings that overlap become one marker, of the first and longest; no character of any of them is left."""
    findings = [
        PiiFinding(PiiKind.PHONE, 4, 9, "b"), PiiFinding(PiiKind.EMAIL, 2, 6, "a"), PiiFinding(PiiKind.SSN, 2, 4, "c"),
        PiiFinding(PiiKind.IBAN, 9, 10, "d"),
    ]  # fmt: skip

    assert mask_pii("0123456789ab", findings) == "01[EMAIL][IBAN]ab"


@pytest.mark.parametrize("piece", [
    "4", "41", "4111 ", "4111111111111111 ", "4-", "+1 ", "415-", "DE89 ", "01 ", "01/", "0", "1.", "8.8.4.4 ", "a:",
    "::", "f:", "phone: 1", "phone: ", "secret ", "secret a", "aws", "dd_api_key=", "a@", "a@b.", "://a:",
    "-----BEGIN PRIVATE KEY-----\n", "eyJ", "x ", "é", "2024-",
])  # fmt: skip
def test_hostile_repeats_take_linear_time(piece):
    """256 kB made of nothing but the start of a rule are read in less than two seconds."""
    text = (piece * 262_144)[:262_144]
    started = time.thread_time()

    mask_pii(text, find_pii(text, ALL))

    assert time.thread_time() - started < 2.0


def test_finds_nothing_but_mail_in_recorded_runs():
    """In 200 recorded conversations about flights the only personal data of a known form are e-mail addresses."""
    if not TAU_BENCH.exists():
        pytest.skip(f"the recorded runs are not here: {TAU_BENCH}")
    texts = set()
    for run in json.loads(TAU_BENCH.read_text()):
        for message in run["traj"]:
            texts.add(message["content"] or "")
            texts.update(call["function"]["arguments"] for call in message.get("tool_calls") or ())

    found = {finding.rule_id for text in texts for finding in find_pii(text, ALL)}

    assert found == {"email"}
