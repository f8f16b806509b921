"""What a secret or a person's data looks like by its own form: the patterns, and the checks behind them.

Two rooms ask: `datadog.mask`, for what must not leave, and `policy.detect_pii`, for what an agent must not handle.
Every pattern is safe on hostile text: each repeat is bounded, or cannot be entered again once it failed.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple


class Kind(StrEnum):
    """What was found. Closed: the mask writes these names into a text and recognises them there."""

    PRIVATE_KEY = "private_key"
    JWT = "jwt"
    AUTHORIZATION = "authorization"
    PASSWORD = "password"  # noqa: S105  the word itself
    SECRET = "secret"  # noqa: S105  the word itself
    EXECLAVE_KEY = "execlave_key"
    OPENAI_KEY = "openai_key"
    ANTHROPIC_KEY = "anthropic_key"
    AWS_KEY = "aws_key"
    GITHUB_KEY = "github_key"
    GITLAB_KEY = "gitlab_key"
    SLACK_KEY = "slack_key"
    GOOGLE_KEY = "google_key"
    STRIPE_KEY = "stripe_key"
    NPM_KEY = "npm_key"
    HUGGING_FACE_KEY = "hugging_face_key"
    HEX = "hex"
    EMAIL = "email"
    CARD = "card"
    SSN = "ssn"
    IBAN = "iban"
    PHONE = "phone"


class Span(NamedTuple):
    """The characters from `start` up to `end` are of this kind."""

    start: int
    end: int
    kind: Kind


# One of these stands in every key that _KEYS finds: a substring search costs a hundredth of the pattern.
KEY_HINTS = (
    "eyJ", "exe_", "ag_", "sk-", "k_live_", "k_test_", "whsec_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_",
    "github_pat_", "glpat-", "xox", "xapp-", "AIza", "ya29.", "npm_", "hf_", "PRIVATE KEY",
)  # fmt: skip
# Keys that name their issuer. A group is named for its kind; `weak` ones also occur as words and must look random.
_KEYS = re.compile(
    r"(?P<private_key>-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"
    r"[\s\S]*?(?:-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{0,5}|\Z))"  # without an END, all that follows
    r"|(?P<jwt>eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4})"
    r"|(?P<execlave_key>exe_(?:prod|stg|dev|agt|lic)_[A-Za-z0-9._-]{6,})"
    r"|(?P<weak_execlave_key>(?<![A-Za-z0-9])(?:exe|ag)_[A-Za-z0-9_-]{12,})"
    r"|(?P<anthropic_key>sk-ant-[A-Za-z0-9_-]{8,})"
    r"|(?P<openai_key>sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{8,})"
    r"|(?P<weak_openai_key>(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{16,})"
    r"|(?P<stripe_key>[spr]k_(?:live|test)_[A-Za-z0-9]{8,}|whsec_[A-Za-z0-9+/=]{16,})"
    r"|(?P<aws_key>A[KS]IA[A-Z0-9]{16,})"
    r"|(?P<github_key>gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})"
    r"|(?P<gitlab_key>glpat-[A-Za-z0-9_.-]{16,})"
    r"|(?P<slack_key>xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})"
    r"|(?P<google_key>AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,})"
    r"|(?P<npm_key>npm_[A-Za-z0-9]{30,})"
    r"|(?P<hugging_face_key>hf_[A-Za-z0-9]{30,})"
)
_HEX = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f]{31,}")
HEX_DISTINCT_MIN = 8  # 32 random digits hold about 14 different ones; fewer is a filler such as zeros

# `scheme://user:password@host` up to the last `@`, where a port is no password; otherwise an e-mail address.
_AT_SIGNS = re.compile(
    r"""://[^\s/?#@:\[\]"'<>]{0,128}:(?![0-9]{1,5}(?:[/?#"'<>\s]|\Z))(?P<password>[^\s"'<>]{1,1024})@"""
    r"|(?P<email>[\w.%+~-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})"
)

# Nine digits close together, or a plus sign: without them there is no card, SSN, IBAN or phone number.
_MANY_DIGITS = re.compile(r"[0-9](?:[ \u00a0.()/-]{0,2}[0-9]){8}")
# Digits which are none of those: UUIDs, the SDK's trace and span ids, dates.
_IDENTIFIERS = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
    r"|(?<![A-Za-z0-9])(?:tr|sp)_[0-9a-f]{16}(?![A-Za-z0-9])"
    r"|(?<![0-9])(?<![0-9]-)(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?!-?[0-9])"
)
_DIGIT_GROUPS = re.compile(r"[0-9](?>[ \u00a0-]?[0-9]){12,}")
_CARD_BRANDS = re.compile(r"[346]|5[0-8]|2[2-7]|8[12]|9792")  # how issued card numbers start
CARD_DIGITS_MIN, CARD_DIGITS_MAX = 13, 19  # ISO/IEC 7812
# From here on a pattern starts with a digit or a sign, which the engine skips to, and looks back from there.
_SSN = re.compile(  # SSA: no area 000, 666 or 900-999, no group 00, no serial 0000
    r"[0-8](?<![0-9][0-8])(?<![0-9]-[0-8])[0-9]{2}(?<!000)(?<!666)-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?!-?[0-9])"
)
_PHONES = (
    re.compile(r"\+(?<![\w+]\+)[1-9](?:[ \u00a0.()/-]{0,2}[0-9]){7,14}(?![0-9])"),
    re.compile(r"\([2-9][0-9]{2}\) ?[0-9]{3}[ .-]?[0-9]{4}(?![0-9])"),
    re.compile(
        r"[2-9](?<![0-9][2-9])(?<![02-9][.-][2-9])[0-9]{2}(?P<dash>[.-])[0-9]{3}(?P=dash)[0-9]{4}(?![0-9])"  # 1- before
    ),
)
_IBAN = re.compile(
    r"[0-9](?<=[A-Za-z]{2}[0-9])(?<![A-Za-z0-9][A-Za-z]{2}[0-9])(?=[0-9](?:[ \u00a0]?[A-Za-z0-9]){11,30}(?P<end>))"
)
_IBAN_COUNTRIES = (  # each with the length the registry gives it
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30 "
)
_IBAN_CHARS = {entry[:2]: int(entry[2:]) for entry in _IBAN_COUNTRIES.split()}


def find_keys(text: str) -> Iterator[Span]:
    """Keys and tokens that name their issuer, JWTs and PEM private keys."""
    for match in _KEYS.finditer(text):
        name = match.lastgroup or ""
        if not name.startswith("weak_"):
            yield Span(match.start(), match.end(), Kind(name))
        elif looks_random(match[0][3:]):
            yield Span(match.start(), match.end(), Kind(name.removeprefix("weak_")))


def find_hex(text: str) -> Iterator[Span]:
    """Runs of 32 hexadecimal digits or more: API keys, digests, signatures."""
    for match in _HEX.finditer(text):
        if len(set(match[0])) >= HEX_DISTINCT_MIN:
            yield Span(match.start(), match.end(), Kind.HEX)


def find_at_signs(text: str) -> Iterator[Span]:
    """Passwords inside URLs, and e-mail addresses, but not the `git@` of a repository's address."""
    for match in _AT_SIGNS.finditer(text):
        kind = Kind(match.lastgroup or "")
        if not match[0].startswith("git@"):
            yield Span(*match.span(kind), kind)


def find_numbers(text: str) -> Iterator[Span]:
    """Payment cards, social security numbers, IBANs and phone numbers."""
    if "+" not in text and not _MANY_DIGITS.search(text):
        return
    if "-" in text or "_" in text:
        text = _IDENTIFIERS.sub(lambda match: "#" * len(match[0]), text)
    for match in _DIGIT_GROUPS.finditer(text):
        yield from _find_cards(text, match.start(), match.end())
    for match in _SSN.finditer(text):
        yield Span(match.start(), match.end(), Kind.SSN)
    for pattern in _PHONES:
        for match in pattern.finditer(text):
            yield Span(match.start(), match.end(), Kind.PHONE)
    for match in _IBAN.finditer(text):
        start = match.start() - 2
        chars = _iban_chars(text[start : match.end("end")])
        if chars:
            yield Span(start, start + chars, Kind.IBAN)


def looks_random(text: str) -> bool:
    """Whether the text holds a digit, or a capital after a small letter, as keys do and words do not."""
    return any(character.isdigit() for character in text) or not (text.islower() or text.isupper() or text.istitle())


def _find_cards(text: str, start: int, end: int) -> Iterator[Span]:
    """Card numbers among groups of digits; one starts and ends where a group does. O(1) for each candidate."""
    at = [index for index in range(start, end) if text[index].isdigit()]
    digits = "".join(text[index] for index in at)
    # Luhn's sum of any stretch is a difference of two prefix sums; which one depends on where the stretch ends.
    single = [int(digit) for digit in digits]
    double = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in single]  # noqa: PLR2004  Luhn: 5..9 carry
    sums = [
        list(accumulate((single if index % 2 == parity else double)[index] for index in range(len(digits))))
        for parity in (0, 1)
    ]
    ends_group = [index + 1 == len(at) or at[index + 1] > at[index] + 1 for index in range(len(at))]
    for first in range(len(at) - CARD_DIGITS_MIN + 1):
        starts_group = first == 0 or ends_group[first - 1]
        if not starts_group or not _CARD_BRANDS.match(digits, first) or _is_fraction(text, at[first]):
            continue
        for last in range(min(first + CARD_DIGITS_MAX, len(at)) - 1, first + CARD_DIGITS_MIN - 2, -1):
            luhn = sums[last % 2]
            if ends_group[last] and (luhn[last] - (luhn[first - 1] if first else 0)) % 10 == 0:
                yield Span(at[first], at[last] + 1, Kind.CARD)
                break


def _is_fraction(text: str, start: int) -> bool:
    return start > 1 and text[start - 1] == "." and text[start - 2].isdigit()


def _iban_chars(candidate: str) -> int:
    """How many characters of the candidate are an IBAN, its blanks included; 0 if it is none (ISO 7064, mod 97)."""
    wanted = _IBAN_CHARS.get(candidate[:2].upper(), 0)
    compact = "".join(candidate.split())
    if not wanted or len(compact) < wanted:
        return 0
    number = "".join(str(int(character, 36)) for character in compact[4:wanted] + compact[:4])
    if int(number) % 97 != 1:
        return 0
    seen = 0
    for index, character in enumerate(candidate):
        seen += not character.isspace()
        if seen == wanted:
            return index + 1
    return 0
