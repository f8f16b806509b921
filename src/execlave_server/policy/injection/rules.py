"""What a rule is, and how its patterns are written.

They see folded text (`disguises.fold_text`): lower case, without accents. A blank stands for any run of blanks and
signs, `<n>` for up to n words and the blank behind each. The same pattern, without its blanks, reads text whose words
were run together, spaced out or written in leet.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How sure a rule's finding means harm, and how much."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named reason to distrust a text. `compact` says that its patterns also mean it without word boundaries."""

    id: str
    severity: Severity
    why: str
    patterns: tuple[str, ...]
    compact: bool = True
