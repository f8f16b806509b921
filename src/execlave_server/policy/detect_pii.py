"""Finds personal data and credentials in a text, and masks them."""

import ipaddress
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import re2

from execlave_server.model.sensitive_text import (
    KEY_HINTS,
    Kind,
    find_at_signs,
    find_keys,
    find_numbers,
    looks_random,
)


class PiiKind(StrEnum):
    """What a policy can deny."""

    EMAIL = "email"
    PHONE = "phone"
    CREDIT_CARD = "credit_card"
    SSN = "ssn"
    IBAN = "iban"
    API_KEY = "api_key"
    IP_ADDRESS = "ip_address"

    @classmethod
    def _missing_(cls, value: object) -> "PiiKind | None":
        return cls.PHONE if value == "phone_us" else None  # the SDK's name for it


class PiiFinding(NamedTuple):
    """The characters from `start` up to `end` are of this kind, by this rule."""

    kind: PiiKind
    start: int
    end: int
    rule_id: str


_KINDS = {Kind.EMAIL: PiiKind.EMAIL, Kind.CARD: PiiKind.CREDIT_CARD, Kind.SSN: PiiKind.SSN, Kind.IBAN: PiiKind.IBAN}
_KINDS[Kind.PHONE] = PiiKind.PHONE  # every other kind is a key
_RULE_IDS = {Kind.PASSWORD: "url_password", Kind.CARD: "credit_card"}
_NUMBER_KINDS = frozenset({PiiKind.PHONE, PiiKind.CREDIT_CARD, PiiKind.SSN, PiiKind.IBAN})

# National writings begin with a 0 and are written in groups; a plain number is one only where it is called so.
_NATIONAL_PHONE = re2.compile(r"(?:^|[^\w.,:+/#-])\(?(0[1-9][0-9]{0,4}\)?(?:[ ./-][0-9]{2,8}){1,5})\b")
_NAMED_PHONE = re2.compile(
    r"(?i)(?:phone|mobile|telephone|\btel|\bfax|whatsapp|\bcell)[a-z_ ]{0,12}[\\\"'.]{0,4} ?[:=] ?[\\\"']{0,4}"
    r"([0-9(][0-9 ().-]{5,18}[0-9])"
)
PHONE_DIGITS_MIN, PHONE_DIGITS_MAX = 9, 12  # with the leading 0; shorter ones are dates
_DATE = re2.compile(r"[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}(?:$|[^0-9])")
_DATADOG_KEY = re2.compile(
    r"(?i)(?:\bdd|datadog)[ _-]?(?:client|api|app|application)?[ _-]?(?:key|token"
    r"|secret)?[^0-9a-z\n]{1,8}([0-9a-f]{32}(?:[0-9a-f]{8})?)\b"
)
_AWS_SECRET = re2.compile(r"(?i)(?:secret|aws)[^\n]{0,40}?[^a-z0-9/+=]([a-z0-9/+]{40})")
_HEX_ONLY = re2.compile(r"(?i)^[0-9a-f]+$")
_IP_V4 = re2.compile(r"(?:^|[^\w.-])((?:[0-9]{1,3}\.){3}[0-9]{1,3})\b")
_IP_V6 = re2.compile(r"(?i)(?:^|[^\w:.])((?:[0-9a-f]{1,4}:{1,2}){3,7}[0-9a-f]{1,4})\b")
# A number or a key that goes on after the match is another one. The engine looks neither ahead nor back.
_GOES_ON = re2.compile(r"\w|[-+=/:.]\w|[-+=/]$")


def find_pii(text: str, kinds: frozenset[PiiKind]) -> list[PiiFinding]:
    """Everything of these kinds, by its place in the text. Time is linear in the text's length."""
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate has no UTF-8; it becomes one `?`
    found = {finding for finding in _find(text, kinds) if finding.kind in kinds}
    return sorted(found, key=lambda finding: (finding.start, -finding.end, finding.rule_id))


def mask_pii(text: str, findings: list[PiiFinding]) -> str:
    """The text with `[EMAIL]` and the like for each finding; those that overlap become one, of the first one's kind."""
    pieces: list[str] = []
    done = 0
    for finding in sorted(findings, key=lambda finding: (finding.start, -finding.end)):
        if finding.start >= done:
            pieces += text[done : finding.start], f"[{finding.kind.upper()}]"
        done = max(done, finding.end)
    return "".join((*pieces, text[done:]))


def _find(text: str, kinds: frozenset[PiiKind]) -> Iterator[PiiFinding]:
    if "@" in text and kinds & {PiiKind.EMAIL, PiiKind.API_KEY}:
        yield from map(_from_span, find_at_signs(text))
    if kinds & _NUMBER_KINDS:
        yield from map(_from_span, find_numbers(text))
    if PiiKind.PHONE in kinds:
        yield from _find_groups(text, _NATIONAL_PHONE, PiiKind.PHONE, "national_phone", _is_national_phone)
        yield from _find_groups(text, _NAMED_PHONE, PiiKind.PHONE, "named_phone")
    if PiiKind.API_KEY in kinds:
        if any(hint in text for hint in KEY_HINTS):
            yield from map(_from_span, find_keys(text))
        yield from _find_groups(text, _DATADOG_KEY, PiiKind.API_KEY, "datadog_key")
        yield from _find_groups(text, _AWS_SECRET, PiiKind.API_KEY, "aws_secret_key", _is_aws_secret)
    if PiiKind.IP_ADDRESS in kinds:
        yield from _find_groups(text, _IP_V4, PiiKind.IP_ADDRESS, "ip_v4", _is_public_ip)
        yield from _find_groups(text, _IP_V6, PiiKind.IP_ADDRESS, "ip_v6", _is_public_ip)


def _from_span(span: tuple[int, int, Kind]) -> PiiFinding:
    start, end, kind = span
    return PiiFinding(_KINDS.get(kind, PiiKind.API_KEY), start, end, _RULE_IDS.get(kind, kind.value))


def _find_groups(
    text: str, pattern: "re2._Regexp", kind: PiiKind, rule_id: str, check: Callable[[str], bool] = bool
) -> Iterator[PiiFinding]:
    """The pattern's only group, where the check holds and the word ends there."""
    for match in pattern.finditer(text):
        start, end = match.span(1)
        if not _GOES_ON.match(text[end : end + 2]) and check(text[start:end]):
            yield PiiFinding(kind, start, end, rule_id)


def _is_national_phone(written: str) -> bool:
    digits = sum(character.isdigit() for character in written)
    return PHONE_DIGITS_MIN <= digits <= PHONE_DIGITS_MAX and not _DATE.match(written)


def _is_aws_secret(written: str) -> bool:
    return looks_random(written) and not _HEX_ONLY.match(written)


def _is_public_ip(written: str) -> bool:
    try:
        return ipaddress.ip_address(written).is_global
    except ValueError:
        return False
