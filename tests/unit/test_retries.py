import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.export.retries import BACKOFF_MAX_US, backoff_us, told_wait_us

NOW_US = 1_765_449_600_000_000
LONGEST_S = [1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_in_the_upper_half(attempts, fraction):
    """The wait doubles from 1 s to 120 s, and chance spreads it over its upper half."""
    longest_us = LONGEST_S[min(attempts, 9)] * 1_000_000

    assert longest_us // 2 <= backoff_us(attempts, fraction) < longest_us


@given(st.integers(0, 50), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_waits_grow(attempts, one, other):
    """The same chance never waits shorter after more attempts, and more chance never waits shorter."""
    assert backoff_us(attempts, one) <= backoff_us(attempts + 1, one)
    assert backoff_us(attempts, min(one, other)) <= backoff_us(attempts, max(one, other))


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "86400"}, 120),
        ({"X-RateLimit-Reset": "9"}, 9),
        ({"X-RateLimit-Reset": "1765449630"}, 30),
        ({"X-RateLimit-Reset": "1765449500"}, 0),
        ({"X-RateLimit-Reset": "1765999999"}, 120),
        ({"Retry-After": "3", "X-RateLimit-Reset": "60"}, 3),
        ({"Retry-After": "Fri, 12 Dec 2025 10:00:00 GMT", "X-RateLimit-Reset": "60"}, 60),
        ({"Retry-After": "Fri, 12 Dec 2025 10:00:00 GMT"}, 0),
        ({"Retry-After": ""}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1.5"}, 0),
        ({"Retry-After": "²"}, 0),
        ({"Retry-After": "٣"}, 0),
    ],
)
def test_the_wait_datadog_asks_for(headers, wait_s):
    """Both headers may say seconds, and the second an epoch time; at most 120 s are waited, and nonsense is none."""
    assert told_wait_us(headers, NOW_US) == wait_s * 1_000_000


@given(st.dictionaries(st.sampled_from(["Retry-After", "X-RateLimit-Reset"]), st.text(max_size=30)))
def test_no_header_breaks_the_wait(headers):
    """Whatever a header holds, the wait is between none and the longest."""
    assert 0 <= told_wait_us(headers, NOW_US) <= BACKOFF_MAX_US


def test_a_number_beyond_measure_waits_longest():
    """A header as long as HTTP allows is a long wait, and not an error."""
    assert told_wait_us({"Retry-After": "9" * 8_000}, NOW_US) == BACKOFF_MAX_US
