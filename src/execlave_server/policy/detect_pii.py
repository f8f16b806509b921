"""A stand-in, to be replaced by the detector: e-mail addresses and US social security numbers."""

from enum import StrEnum
from typing import NamedTuple

import re2  # type: ignore[import-untyped, unused-ignore]


class PiiKind(StrEnum):
    """Personal data and credentials."""

    EMAIL = "email"
    PHONE = "phone"
    CREDIT_CARD = "credit_card"
    SSN = "ssn"
    IBAN = "iban"
    API_KEY = "api_key"


class PiiFinding(NamedTuple):
    """Where a text holds one."""

    rule_id: str
    start: int
    end: int
    severity: str


_PATTERNS = {
    PiiKind.EMAIL: re2.compile(r"[\w.+-]+@[\w-]+\.\w+"),
    PiiKind.SSN: re2.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
}


def find_pii(text: str, kinds: frozenset[PiiKind]) -> list[PiiFinding]:
    """Every one of these kinds."""
    return [
        PiiFinding(f"pii.{kind}", at.start(), at.end(), "high")
        for kind, pattern in _PATTERNS.items()
        if kind in kinds
        for at in pattern.finditer(text)
    ]


def mask_pii(text: str, findings: list[PiiFinding]) -> str:
    """The text without them."""
    for found in sorted(findings, key=lambda found: found.start, reverse=True):
        text = f"{text[: found.start]}[masked]{text[found.end :]}"
    return text
