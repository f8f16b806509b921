"""Tags and service names as Datadog will store them, so that what is configured is what can be searched.

Source: Datadog's "Getting started with tags", and NormalizeTag and NormalizeService of the Datadog Agent
(pkg/trace/traceutil/normalize).
"""

from functools import lru_cache
from typing import NamedTuple

from execlave_server.errors import ValidationFailedError

TAG_CHARS_MAX = 200  # Datadog cuts a longer tag
TAGS_MAX = 100  # per log; Datadog ignores the rest without saying so
SERVICE_CHARS_MAX = 100  # Datadog cuts a longer service name
TEXTS_REMEMBERED = 128  # the logs of one sender have the same tags
GIVEN_SHOWN_CHARS_MAX = 60  # in notes and errors: enough to recognise a tag, too little to flood a page

_MARKS = frozenset("-:./")  # allowed after the first letter, besides letters, digits and single underscores


class NormalizedTags(NamedTuple):
    """The tags joined by commas, and one sentence for each tag that is not stored as it was written."""

    text: str
    changes: list[str]


def normalize_tags(text: str) -> NormalizedTags:
    """Comma-separated tags by Datadog's rules: at most 100, each at most 200 characters, without duplicates.

    Blanks around a tag and empty places between commas go without a note. Raises ValidationFailedError, with the
    field `ddtags`, for more than 100 tags and for a tag of which nothing remains.
    """
    tags: dict[str, None] = {}
    changes: list[str] = []
    for piece in text.split(","):
        given = piece.strip()
        if not given:
            continue
        tag = _normalize_tag(given)
        if not tag:
            message = (
                f"The tag {_shown(given)} holds nothing Datadog can store, because a tag starts with a letter. "
                "Write it as key:value, for example team:payments."
            )
            raise ValidationFailedError(message, fields={"ddtags": message})
        if tag != given:
            changes.append(_describe_change(given, tag))
        if tag in tags:
            changes.append(f"{_shown(given)} was left out, because {_shown(tag)} is already there")
        tags[tag] = None
    if len(tags) > TAGS_MAX:
        message = (
            f"{len(tags)} tags were given and Datadog keeps {TAGS_MAX} a log, ignoring the rest. "
            f"Remove {len(tags) - TAGS_MAX}."
        )
        raise ValidationFailedError(message, fields={"ddtags": message})
    return NormalizedTags(",".join(tags), changes)


@lru_cache(TEXTS_REMEMBERED)
def stored_tags(text: str) -> tuple[str, ...]:
    """Comma-separated tags as Datadog stores them, whatever was sent: what it ignores is left out without a word."""
    tags = dict.fromkeys(_normalize_tag(piece.strip()) for piece in text.split(","))
    return tuple(tag for tag in tags if tag)[:TAGS_MAX]


def validate_service(text: str) -> str:
    """A service name as Datadog stores it: lower-cased, characters it does not allow turned into single underscores.

    Unlike a tag it may start with a digit. Raises ValidationFailedError, with the field `service`, when nothing
    remains or more than 100 characters do.
    """
    service = _collapse(text).strip("_:")
    if not any(character.isalnum() for character in service):
        message = (
            f"The service name {_shown(text.strip())} holds no letter or digit, and Datadog needs one. "
            "Give a name such as billing-agents."
        )
        raise ValidationFailedError(message, fields={"service": message})
    if len(service) > SERVICE_CHARS_MAX:
        message = (
            f"The service name has {len(service)} characters and Datadog cuts it at {SERVICE_CHARS_MAX}. "
            "Give a shorter one."
        )
        raise ValidationFailedError(message, fields={"service": message})
    return service


@lru_cache(maxsize=4_096)  # the same few tags stand in every log
def _normalize_tag(given: str) -> str:
    collapsed = _collapse(given)
    for start, character in enumerate(collapsed):
        if character.isalpha():
            return collapsed[start : start + TAG_CHARS_MAX].rstrip("_:")
    return ""


def _collapse(text: str) -> str:
    """Lower-cased, with each run of underscores and characters that are not allowed turned into one underscore."""
    kept: list[str] = []
    for character in (one.lower()[0] for one in text):  # [0]: one letter stays one, as in the Agent
        if character.isalpha() or character.isdecimal() or character in _MARKS:
            kept.append(character)
        elif not kept or kept[-1] != "_":
            kept.append("_")
    return "".join(kept)


def _describe_change(given: str, tag: str) -> str:
    if len(given) > TAG_CHARS_MAX:
        return f"{_shown(given)} became {_shown(tag)}, because Datadog stores at most {TAG_CHARS_MAX} characters a tag"
    return f"{_shown(given)} became {_shown(tag)}, as Datadog stores it"


def _shown(text: str) -> str:
    return repr(text if len(text) <= GIVEN_SHOWN_CHARS_MAX else text[: GIVEN_SHOWN_CHARS_MAX - 1] + "…")
