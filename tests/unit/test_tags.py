import pytest

from execlave_server.datadog.tags import normalize_tags, validate_service
from execlave_server.errors import ValidationFailedError


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        # The examples of the Datadog Agent's own normalizer
        ("#test_starting_hash", "test_starting_hash"),
        ("TestCAPSandSuch", "testcapsandsuch"),
        ("Test Conversion Of Weird !@#$%^&**() Characters", "test_conversion_of_weird_characters"),
        ("allowed:c0l0ns", "allowed:c0l0ns"),
        ("1love", "love"),
        ("ünicöde:metäl", "ünicöde:metäl"),
        ("Data🐨dog🐶 繋がっ⛰てて", "data_dog_繋がっ_てて"),
        (" #hashtag!@#spaces #__<>#  ", "hashtag_spaces"),
        ("contiguous_____underscores", "contiguous_underscores"),
        ("foo_", "foo"),
        ("™Ö™Ö™™Ö™", "ö_ö_ö"),
        ("fun:ky@@@tag/3", "fun:ky_tag/3"),
        ("---fun:k####y_ta@#g/1_@@#", "fun:k_y_ta_g/1"),
        ("a\ufffd\ufffdb", "a_b"),
        ("a" * 888, "a" * 200),
        # Ours
        ("env:prod", "env:prod"),
        ("Team:Pay ments", "team:pay_ments"),
        ("env:", "env"),
        ("env:_:", "env"),
        (":::12.:trim", "trim"),
        ("a" * 199 + ":b", "a" * 199),
        ("İ:ΔΣ", "i:δσ"),
        ("a\0b\nc", "a_b_c"),
    ],
)
def test_stores_a_tag_as_datadog_does(given, stored):
    """A tag starts with a letter and keeps letters, digits and `_-:./`; other runs become one underscore."""
    assert normalize_tags(given).text == stored


def test_says_what_it_changed():
    """Each tag that is stored otherwise than written has its note; blanks and empty places have none."""
    tags = normalize_tags(" env:prod, Team:A,,env:prod ,team:a, x:" + "y" * 300 + ",")

    assert tags.text == "env:prod,team:a,x:" + "y" * 198
    assert tags.changes == [
        "'Team:A' became 'team:a', as Datadog stores it",
        "'env:prod' was left out, because 'env:prod' is already there",
        "'team:a' was left out, because 'team:a' is already there",
        f"'x:{'y' * 57}…' became 'x:{'y' * 57}…', because Datadog stores at most 200 characters a tag",
    ]


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_takes_no_tags_for_no_tags(text):
    """Nothing between the commas is no tag and no mistake."""
    assert normalize_tags(text) == ("", [])


def test_keeps_a_hundred_tags():
    """A hundred different tags are kept in their order; the same ones twice are still a hundred."""
    text = ",".join(f"t{number}" for number in range(100))

    assert normalize_tags(text) == (text, [])
    assert normalize_tags(f"{text},{text}").text == text


def test_refuses_more_tags_than_datadog_keeps():
    """The 101st tag is refused here, because Datadog would ignore it without saying so."""
    with pytest.raises(ValidationFailedError, match=r"101 tags were given.*Remove 1\.") as caught:
        normalize_tags(",".join(f"t{number}" for number in range(101)))

    assert list(caught.value.fields) == ["ddtags"]


@pytest.mark.parametrize("piece", ["42", "!!!", "12:34", "_", ":", "🐨"])
def test_refuses_a_tag_of_which_nothing_remains(piece):
    """A tag without a letter is named, because dropping it silently would lose what was meant."""
    with pytest.raises(ValidationFailedError, match="starts with a letter") as caught:
        normalize_tags(f"env:prod,{piece}")

    assert repr(piece) in caught.value.fields["ddtags"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("billing-agents", "billing-agents"),
        (" Billing Agents ", "billing_agents"),
        ("127.0.0.1", "127.0.0.1"),
        ("🐨1animal-db🐶", "1animal-db"),
        ("bad$$service", "bad_service"),
        ("Über/süß", "über/süß"),
        ("x" * 100, "x" * 100),
    ],
)
def test_stores_a_service_name_as_datadog_does(given, stored):
    """A service name is lower-cased, keeps what a tag keeps, and may start with a digit."""
    assert validate_service(given) == stored


@pytest.mark.parametrize("text", ["", " \n", "---", "🐨", "x" * 101])
def test_refuses_a_service_name_datadog_cannot_keep(text):
    """An empty service name and one over 100 characters are refused, naming the field."""
    with pytest.raises(ValidationFailedError) as caught:
        validate_service(text)

    assert list(caught.value.fields) == ["service"]
