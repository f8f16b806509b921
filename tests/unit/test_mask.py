import time

import pytest

from execlave_server.datadog.mask import EDGE_CHARS, PASSES_MAX, WINDOW_CHARS, mask_name, mask_text
from execlave_server.model.sensitive_text import Kind

# Joined to their prefixes here only, so that no scanner of this repository takes them for leaked keys.
BODY = "Qm9vZ3V4MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3"
HEX_32 = "9f86d081884c7d659a2feaa0c55ad015"
AWS_40 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"

MASKED = [
    # Keys that name their issuer
    (f"key {PEM} is wrong", "key [masked:private_key] is wrong"),
    ("key -----BEGIN PRIVATE KEY-----\nMIIEow\nIBAAKC", "key [masked:private_key]"),
    (f"got eyJ{BODY}.eyJ{BODY}.{BODY}, expired", "got [masked:jwt], expired"),
    (f"key exe_prod_{BODY} unknown", "key [masked:execlave_key] unknown"),
    (f"key exe_agt_{BODY} unknown", "key [masked:execlave_key] unknown"),
    (f"key ag_{BODY} unknown", "key [masked:execlave_key] unknown"),
    (f"Incorrect API key provided: sk-proj-{BODY}.", "Incorrect API key provided: [masked:openai_key]."),
    (f"Incorrect API key provided: sk-{BODY}.", "Incorrect API key provided: [masked:openai_key]."),
    (f"stripe: sk_live_{BODY}", "stripe: [masked:stripe_key]"),
    (f"x-api-key sk-ant-api03-{BODY}", "x-api-key [masked:anthropic_key]"),
    ("user AKIAIOSFODNN7EXAMPLE may not", "user [masked:aws_key] may not"),
    (f"AWS secret key {AWS_40} is wrong", "AWS secret key [masked:aws_key] is wrong"),
    *((f"git: gh{letter}_{BODY}", "git: [masked:github_key]") for letter in "pousr"),
    (f"git: github_pat_{BODY}", "git: [masked:github_key]"),
    (f"git: glpat-{BODY}", "git: [masked:gitlab_key]"),
    (f"slack: xoxb-1234567890-{BODY}", "slack: [masked:slack_key]"),
    (f"maps: AIza{BODY}", "maps: [masked:google_key]"),
    (f"npm: npm_{BODY}", "npm: [masked:npm_key]"),
    (f"hub: hf_{BODY}", "hub: [masked:hugging_face_key]"),
    (f"DD {HEX_32} or {HEX_32}{HEX_32[:8]}.", "DD [masked:hex] or [masked:hex]."),
    # What the words before give away
    ("Authorization: Bearer abc.def", "Authorization: Bearer [masked:authorization]"),
    ("authorization: basic dXNlcjpwYXNz", "authorization: basic [masked:authorization]"),
    ("sent Bearer a1b2c3d4e5 twice", "sent Bearer [masked:authorization] twice"),
    ("postgres://app:hunter2@db:5432/x", "postgres://app:[masked:password]@db:5432/x"),
    ("redis://:p@ss/word@cache:6379", "redis://:[masked:password]@cache:6379"),
    ("password=hunter2 for bob", "password=[masked:password] for bob"),
    ("DB_PASSWD = 'hunter 2' for bob", "DB_PASSWD = '[masked:password]' for bob"),
    ('{"user":"bob","password":"hun\\"ter2","n":1}', '{"user":"bob","password":"[masked:password]","n":1}'),
    ('{\\"apiKey\\": \\"hunter2\\"}', '{\\"apiKey\\": \\"[masked:secret]\\"}'),
    ("{'client_secret': 'hunter2'}", "{'client_secret': '[masked:secret]'}"),
    ("?access_token=hunter2&user=bob", "?access_token=[masked:secret]&user=bob"),
    ("api key: hunter2", "api key: [masked:secret]"),
    ("(PrivateKey=hunter2)", "(PrivateKey=[masked:secret])"),
    ("Cookie: sid=hunter2; csrf=hunter3\nHost: x", "Cookie: [masked:secret]\nHost: x"),
    ("session_id=hunter2", "session_id=[masked:secret]"),
    ("secrets=['hunter2', 'hunter3'] end", "secrets=[masked:secret] end"),
    ("password={a}hunter2 for bob", "password=[masked:password] for bob"),
    ("mysql --password hunter2 -h db", "mysql --password [masked:password] -h db"),
    ("password=foo@example.com!!hunter2", "password=[masked:email]"),
    ("İİİİ password=hunter2 İ", "İİİİ password=[masked:password] İ"),
    ("password=[masked:email]hunter2", "password=[masked:password]"),
    # Personal data
    ("no user bob.b+x@mail.example.co.uk here", "no user [masked:email] here"),
    ("card 4111 1111 1111 1111 123 declined", "card [masked:card] 123 declined"),
    ("card 5500-0000-0000-0004 declined", "card [masked:card] declined"),
    ("card 378282246310005 declined", "card [masked:card] declined"),
    ("ssn 123-45-6789 unknown", "ssn [masked:ssn] unknown"),
    ("iban GB82 WEST 1234 5698 7654 32 is closed", "iban [masked:iban] is closed"),
    ("iban DE89370400440532013000 is closed", "iban [masked:iban] is closed"),
    ("call +1 (415) 555-2671 now", "call [masked:phone] now"),
    ("call +442071838750 now", "call [masked:phone] now"),
    ("call +49 30 123456 2024-05-15", "call [masked:phone] 2024-05-15"),
    ("call (415) 555-2671 now", "call [masked:phone] now"),
    ("call 415-555-2671 or 415.555.2671 now", "call [masked:phone] or [masked:phone] now"),
    ('{"phone_number": "4155552671"}', '{"phone_number": "[masked:phone]"}'),
]

UNTOUCHED = [
    # Tool, span and model names
    "get_reservation_details", "search_direct_flight", "book_reservation", "transfer_to_human_agents",
    "update_reservation_passengers", "tokenize_text", "count_tokens", "reset_password", "rotate-api-key",
    "session.create", "github.search_code", "mcp__slack__post_message", "vector_store.query", "exe_dev_x",
    "ag_news_topic_classifier", "gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929", "text-embedding-3-large",
    "desk-reservation-assistant-large", "agent:billing/v2.14.3", "half_open_circuit_breaker", "npm_install",
    # Error messages
    "Error: flight HAT001 not available on date 2024-05-15",
    "Error: not enough seats on flight HAT417",
    "Error: payment method certificate_7504069 not found",
    "Error: gift_card_5094406 does not cover 1203, but 833 was paid",
    "Error: amounts 250 300 1200 and 256, 512, 1024 do not add up",
    "Error: order 1715587200000 of user 4155552671 is 1715587200123456 us old",
    "2024-05-15T10:00:00.123456+02:00 ERROR worker 7 stopped",
    "2024-05-15 10:00:00,123 to 2024-05-16 11:30:00",
    "connect ECONNREFUSED 192.168.100.200:5432 after 30000 ms, pool 10/10",
    "Failed to reach https://api.example.com:8443/v1/users/42?page=2#top: 503",
    "https://api.example.com:8443/teams/@bob", "id 41111111111111110000 has 20 digits",
    "http://127.0.0.1:4000/health and http://[::1]:8080/x@y",
    "maximum context length is 8192 tokens, you asked for max_tokens=9001",
    "prompt_tokens: 8,192, completion_tokens: 512. Limit: tokens_per_minute=30000",
    "Invalid value for 'max_tokens': must be <= 4096",
    "SyntaxError: Unexpected token: punc (})",
    "KeyError: 'password'", "TypeError: login() missing 1 required positional argument: 'api_key'",
    "password: None, token=null, secret: <redacted>, api_key=****",
    "POST /oauth/token: 401 Unauthorized", "session: closed by peer", "token expired: sign in again",
    "Bearer authentication is required, Basic authentication is not",
    'WWW-Authenticate: Bearer error="invalid_token"',
    "trace tr_9f86d081884c7d65 span sp_0123456789012345 agent 550e8400-e29b-41d4-a716-446655440000",
    "trace tr_4111111111111111 span sp_5500000000000004",
    "id 12345678-1234-4123-8123-415555267155 is unknown",
    "git@github.com:acme/agents.git needs lodash@4.17.21 and @acme/tools@2.0.0",
    "score 0.4111111111111111 is under 0.5", "sum 00000000000000000000000000000000000000 is not a digest",
    "123-45-67890, 000-12-3456, 666-12-3456 and 900-12-3456 are no such numbers",
    "4111 1111 1111 1112 and GB83 WEST 1234 5698 7654 32 have wrong check digits",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nValueError: 'secret' not in list",
    "NUL \0, lone surrogate \ud800, 日本語のエラー, İstanbul, 🐨",
]  # fmt: skip

HOSTILE = [
    "a", "0", "4", "1-", "4-", "a.", "@a.", "a@b.", ":", "-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----\n", "key=",
    "password=", "password='", "password=a,", "cookie=a; ", "token_type=", "secret", "secret ", "--password ", "://a:",
    "://a:@", "eyJ", "sk-", "AKIA", "+1", "+1 ", "415-", "DE89 ", "tr_0", "123e4567-", "2024-", "bearer a", "phone: 1",
    "deadbeef0123456", "[masked:", "password=[masked:", "secret=[", "İ", "\0", "4111111111111111 ", "a@b.co ",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_masks(text, expected):
    """A secret or personal datum becomes its kind in brackets, and what stands around it stays."""
    masked = mask_text(text)

    assert masked == (expected, False, True)
    assert mask_text(expected) == (expected, False, False)


def test_masks_every_kind():
    """Every kind in the closed set has an example above."""
    seen = " ".join(expected for _, expected in MASKED)

    assert [kind for kind in Kind if f"[masked:{kind}]" not in seen] == []


@pytest.mark.parametrize("text", UNTOUCHED)
def test_leaves_what_is_neither_secret_nor_personal(text):
    """Names, dates, counts, identifiers, addresses of machines and check digits that do not add up stay as they are."""
    assert mask_text(text) == (text, False, False)


def test_cuts_a_long_text_inside_the_limit():
    """A text over the limit ends in an ellipsis at exactly the limit, and says that it was cut."""
    assert mask_text("a" * 1024) == ("a" * 1024, False, False)
    assert mask_text("a" * 1025) == ("a" * 1023 + "…", True, False)
    assert mask_text("abc", 1) == ("…", True, False)


def test_refuses_a_limit_without_room():
    """There is no result shorter than the ellipsis."""
    with pytest.raises(ValueError, match="at least 1"):
        mask_text("abc", 0)


def test_never_cuts_inside_a_marker():
    """A marker that does not fit goes as a whole, also when the limit leaves room for its first half."""
    text = f"call sk-proj-{BODY} now"

    assert mask_text(text, 10) == ("call …", True, True)
    assert mask_text(text, len("call [masked:openai_key]") + 1).text == "call [masked:openai_key]…"


@pytest.mark.parametrize("head", ["", f"-----BEGIN PRIVATE KEY-----\n{'TUlJ' * 3_700}\n-----END PRIVATE KEY----- "])
@pytest.mark.parametrize("secret", [f"sk-proj-{BODY}", "4111 1111 1111 1111", "bob.b@example.com", f"pwd='{BODY} x'"])
def test_no_part_of_a_secret_at_the_windows_edge_survives(secret, head):
    """Wherever a secret meets the end of what is looked at, none of it is left, also when a masked head shows it."""
    secrets = f"{secret} so " * 1_000

    for shift in range(len(secret) + 4):
        result = mask_text(f"{head}{'.' * shift} {secrets}", WINDOW_CHARS).text
        assert result.endswith("…")
        assert not any(part in result for part in (BODY[:8], BODY[-8:], "1111 1111", "bob.b@ex"))
        assert len(result) < WINDOW_CHARS - EDGE_CHARS or not head


def test_no_part_of_a_long_word_at_the_windows_edge_survives():
    """A token longer than the edge itself, which is known only by its end, is dropped from its start."""
    text = "so it goes " * 1_400 + "https://bob:" + "Zz9" * 900 + "@host"

    result = mask_text(text, WINDOW_CHARS)

    assert result.cut
    assert "Zz9" not in result.text


def test_shows_nothing_that_stands_behind_the_windows_edge():
    """A secret behind the edge does not bring back the words before it."""
    head = f"-----BEGIN PRIVATE KEY-----\n{'TUlJ' * 3_700}\n-----END PRIVATE KEY----- "
    text = head.ljust(WINDOW_CHARS - EDGE_CHARS + 1, ".") + f"behind sk-proj-{BODY} " + "." * WINDOW_CHARS

    assert "behind" not in mask_text(text, WINDOW_CHARS).text


def test_reads_no_further_than_the_window():
    """What lies behind the window changes neither the result nor the work."""
    assert mask_text("a" * 10_000_000) == mask_text("a" * (WINDOW_CHARS + 1))


def test_gives_up_on_a_text_that_never_settles():
    """Markers that lay bare ever more secrets end in one marker for the whole text, not in a half-masked one."""
    chain = "+49 30 1234567" * (PASSES_MAX + 1)

    assert mask_text(chain) == ("[masked:secret]", True, True)
    assert mask_text(chain, 5) == ("…", True, True)
    assert mask_text("[masked:secret]") == ("[masked:secret]", False, False)


@pytest.mark.parametrize("material", HOSTILE)
def test_takes_linear_time_on_hostile_text(material):
    """Twice the text takes about twice the work, and the largest text a tenth of a second at most."""
    # All the hints stand in front, so that every pattern runs.
    text = ("@ password PRIVATE KEY secret bearer phone 123456789 + " + material * WINDOW_CHARS)[:WINDOW_CHARS]

    half_s, whole_s = (min(_work_s(part) for _ in range(5)) for part in (text[: WINDOW_CHARS // 2], text))

    assert whole_s <= 3 * half_s + 0.001
    assert whole_s < 0.1


def test_remembers_short_names():
    """A name is masked like any text; only short ones are kept in memory."""
    assert mask_name("get_user") is mask_name("get_user")
    assert mask_name("user bob@example.com") == ("user [masked:email]", False, True)
    assert mask_name("n" * 2_000) == mask_text("n" * 2_000)
    assert mask_name("n" * 257) is not mask_name("n" * 257)


def _work_s(text: str) -> float:
    started_s = time.process_time()
    mask_text(text)
    return time.process_time() - started_s
