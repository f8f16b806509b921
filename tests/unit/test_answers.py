import pytest

from execlave_server.datadog.answers import Answer, classify

# Datadog's documented answers, and for all others the rule: what may pass later is sent again, what needs a person
# holds the destination, so that nothing is lost either way.
DOCUMENTED = {
    202: Answer.ACCEPTED,
    400: Answer.REFUSED,
    401: Answer.HELD,
    403: Answer.HELD,
    408: Answer.RETRY,
    413: Answer.TOO_LARGE,
    429: Answer.RETRY,
    500: Answer.RETRY,
    503: Answer.RETRY,
}
BY_CLASS = {1: Answer.RETRY, 2: Answer.RETRY, 3: Answer.HELD, 4: Answer.HELD, 5: Answer.RETRY}
BODIES = [b"", b"{}", b"<html>Sign in</html>", b'{"errors":[{"status":"403","title":"Forbidden"}]}']


@pytest.mark.parametrize("status", [status for status in range(100, 600) if status != 200])
def test_every_status_has_one_meaning(status):
    """From 100 to 599 each status means what the table says, whatever the body."""
    meanings = {classify(status, body) for body in BODIES}

    assert meanings == {DOCUMENTED.get(status, BY_CLASS[status // 100])}


@pytest.mark.parametrize("body", [b"{}", b' {"status":"ok"}\n', b'{"errors":[]}'])
def test_200_with_an_object_is_accepted(body):
    """The legacy intake answers 200 and a JSON object."""
    assert classify(200, body) is Answer.ACCEPTED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"<!doctype html><title>Sign in to the network</title>",
        b"[]",
        b'"x"',
        b"null",
        b"true",
        b"1",
        b"OK",
        b"{",
        b"{} trailing",
        b'{"cut": "of',
        b"\xff\xfe{}",
        b'{"a":"\xff"}',
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_200_with_anything_else_delivered_nothing(body):
    """A captive proxy answers 200 with a page: the logs are sent again."""
    assert classify(200, body) is Answer.RETRY
