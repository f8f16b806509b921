import re
import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st

from execlave_server.datadog.tags import normalize_tags, validate_service
from execlave_server.errors import ValidationFailedError

# Datadog's published rules, written once more: a letter first, no double underscore, no underscore or colon last.
VALID_TAG = re.compile(r"(?!.*__)(?!.*[_:]\Z)[^\W\d_][\w\-:./]{0,199}")
VALID_SERVICE = re.compile(r"(?!.*__)(?!.*[_:]\Z)(?![_:])[\w\-:./]{1,100}")

TEXTS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="aZß9İΣ_-:./, 🐨\0\n", max_size=300),
    st.lists(st.text(alphabet="abC:_ 1", min_size=1, max_size=8), max_size=120).map(",".join),
)


def holds_only_stored_characters(text: str) -> bool:
    """Letters without a capital among them, decimal digits and the five marks."""
    return text == "".join(character.lower()[0] for character in text) and all(
        unicodedata.category(character)[0] == "L" or unicodedata.category(character) == "Nd" or character in "_-:./"
        for character in text
    )


@given(TEXTS)
def test_tags_are_always_valid_and_stay_as_they_are(text):
    """Whatever was written, each stored tag is one Datadog stores unchanged, once, and normalizing again is idle."""
    try:
        stored = normalize_tags(text)
    except ValidationFailedError:
        assume(False)

    tags = stored.text.split(",") if stored.text else []

    assert [tag for tag in tags if not VALID_TAG.fullmatch(tag) or not holds_only_stored_characters(tag)] == []
    assert len(tags) == len(set(tags)) <= 100
    assert normalize_tags(stored.text) == (stored.text, [])


@given(TEXTS)
def test_only_a_tag_without_letters_or_too_many_are_refused(text):
    """A list is refused exactly when a piece holds no letter, or more than a hundred different tags remain."""
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    has_letterless = any(not any(character.isalpha() for character in piece) for piece in pieces)

    try:
        normalize_tags(text)
        refused = False
    except ValidationFailedError:
        refused = True

    assert refused == (has_letterless or len({normalize_tags(piece).text for piece in pieces}) > 100)


@given(st.one_of(st.text(max_size=150), st.text(alphabet="aZß9İ_-:./ 🐨", max_size=150)))
def test_a_service_name_is_always_valid_and_stays_as_it_is(text):
    """Whatever was written, the stored service name is one Datadog stores unchanged."""
    try:
        service = validate_service(text)
    except ValidationFailedError:
        assume(False)

    assert VALID_SERVICE.fullmatch(service)
    assert holds_only_stored_characters(service)
    assert validate_service(service) == service
