import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.export.leases import Lease
from execlave_server.export.payloads import (
    LOGS_PER_PAYLOAD_MAX,
    PAYLOAD_BYTES_GOAL,
    compress_payload,
    group_leases,
    is_full,
    split_payload,
)

INTAKE_LOGS_MAX = 1_000  # Datadog's own limits, which ours must keep within
INTAKE_BYTES_MAX = 5_000_000
COUNTS = st.one_of(st.integers(1, 30), st.sampled_from([499, 500, 501, 999, 1_000, 1_001]))
SIZES = st.one_of(st.integers(0, 2_000), st.sampled_from([1_000_000, 2_125_000, 4_249_999, 4_250_000, 4_250_001]))
BYTES_PER_LOG = st.sampled_from([0, 1, 120, 450])


def lease(batch: int, log_count: int = 1, log_bytes: int = 100) -> Lease:
    """A lease of a batch of that many logs and bytes."""
    return Lease(batch, 1, 0, log_count, 0, log_bytes, 0, 0, 0, "live", 0)


def weigh(leases: list[Lease], bytes_per_log: int) -> tuple[int, int]:
    """Logs and bytes of some batches as they will be sent."""
    logs = sum(lease.log_count for lease in leases)
    return logs, sum(lease.log_bytes for lease in leases) + logs * bytes_per_log


def fits(weight: tuple[int, int]) -> bool:
    """Whether one payload takes it."""
    return weight[0] <= LOGS_PER_PAYLOAD_MAX and weight[1] <= PAYLOAD_BYTES_GOAL


def test_our_limits_are_within_the_intakes():
    """What we fill a payload to leaves room under what the intake takes."""
    assert LOGS_PER_PAYLOAD_MAX <= INTAKE_LOGS_MAX
    assert PAYLOAD_BYTES_GOAL < INTAKE_BYTES_MAX


@given(st.lists(st.tuples(COUNTS, SIZES), max_size=40), BYTES_PER_LOG)
def test_groups_hold_every_batch_once_and_in_order(batches, bytes_per_log):
    """Grouping loses, doubles and reorders nothing, and makes no empty group."""
    leases = [lease(number, count, size) for number, (count, size) in enumerate(batches)]

    groups = list(group_leases(leases, bytes_per_log))

    assert [lease for group in groups for lease in group] == leases
    assert all(groups)


@given(st.lists(st.tuples(COUNTS, SIZES), max_size=40), BYTES_PER_LOG)
def test_groups_are_as_full_as_the_limits_allow(batches, bytes_per_log):
    """A group keeps within the limits unless it is one batch alone, and ends only where the next would break them."""
    leases = [lease(number, count, size) for number, (count, size) in enumerate(batches)]

    groups = list(group_leases(leases, bytes_per_log))

    assert all(fits(weigh(group, bytes_per_log)) or len(group) == 1 for group in groups)
    assert not any(fits(weigh([*group, after[0]], bytes_per_log)) for group, after in pairwise(groups))


@pytest.mark.parametrize(
    ("leases", "bytes_per_log", "sizes"),
    [
        ([lease(1, 400), lease(2, 600)], 0, [2]),
        ([lease(1, 400), lease(2, 601)], 0, [1, 1]),
        ([lease(1, 1_001), lease(2, 1)], 0, [1, 1]),
        ([lease(1, 1, 2_125_000), lease(2, 1, 2_125_000)], 0, [2]),
        ([lease(1, 1, 2_125_000), lease(2, 1, 2_125_001)], 0, [1, 1]),
        ([lease(1, 10, 2_124_000), lease(2, 10, 2_124_000)], 100, [2]),
        ([lease(1, 10, 2_124_000), lease(2, 10, 2_124_001)], 100, [1, 1]),
    ],
)
def test_groups_at_the_limits(leases, bytes_per_log, sizes):
    """A thousand logs and 4.25 MB still fit together; one log or one byte more does not."""
    assert [len(group) for group in group_leases(leases, bytes_per_log)] == sizes


@pytest.mark.parametrize(
    ("leases", "bytes_per_log", "full"),
    [
        ([], 0, False),
        ([lease(1, 999)], 0, False),
        ([lease(1, 1_000)], 0, True),
        ([lease(1, 600), lease(2, 400)], 0, True),
        ([lease(1, 600), lease(2, 399)], 0, False),
        ([lease(1, 1, 4_249_999)], 0, False),
        ([lease(1, 1, 4_250_000)], 0, True),
        ([lease(1, 1, 4_249_999)], 1, True),
        ([lease(1, 10, 4_000_000), lease(2, 10, 240_000)], 500, True),
        ([lease(1, 10, 4_000_000), lease(2, 10, 239_999)], 500, False),
    ],
)
def test_full_is_what_gains_nothing_by_waiting(leases, bytes_per_log, full):
    """A group is full at a thousand logs, or at 4.25 MB with what the destination adds to each log."""
    assert is_full(leases, bytes_per_log) is full


@given(st.lists(st.tuples(COUNTS, SIZES), min_size=1, max_size=40), BYTES_PER_LOG)
def test_a_full_group_takes_nothing_more(batches, bytes_per_log):
    """A group that is called full would not have taken the smallest batch there is."""
    leases = [lease(number, count, size) for number, (count, size) in enumerate(batches)]
    group = next(group_leases(leases, bytes_per_log))

    grown = next(group_leases([*group, lease(-1, 1, 1)], bytes_per_log))

    assert not (is_full(group, bytes_per_log) and len(grown) > len(group))


LOGS = {
    size: b'"%b"' % (b"x" * (size - 2)) for size in (2, 3, 100, 500_000, 1_500_000, 4_249_998, 4_249_999, 4_300_000)
}


@given(st.lists(st.sampled_from(sorted(LOGS)), max_size=25))
def test_pieces_hold_every_log_once_and_in_order(sizes):
    """Splitting loses, doubles and reorders nothing; a piece breaks the goal only as one log alone, and none early."""
    logs = [LOGS[size] for size in sizes]

    pieces = [logs[start:end] for start, end in split_payload(logs)]

    assert [log for piece in pieces for log in piece] == logs
    assert all(pieces)
    weights = [sum(len(log) + 1 for log in piece) for piece in pieces]
    assert all(weight <= PAYLOAD_BYTES_GOAL or len(piece) == 1 for piece, weight in zip(pieces, weights, strict=True))
    firsts = [len(piece[0]) + 1 for piece in pieces[1:]]
    assert all(weight + first > PAYLOAD_BYTES_GOAL for weight, first in zip(weights, firsts, strict=False))


@pytest.mark.parametrize(
    ("count", "pieces"), [(0, []), (1, [1]), (1_000, [1_000]), (1_001, [1_000, 1]), (2_500, [1_000, 1_000, 500])]
)
def test_a_piece_has_at_most_a_thousand_logs(count, pieces):
    """The intake takes a thousand logs a request."""
    assert [end - start for start, end in split_payload([b"{}"] * count)] == pieces


@pytest.mark.parametrize(("second", "pieces"), [(2_124_999, [2]), (2_125_000, [1, 1])])
def test_a_piece_at_the_limit_of_bytes(second, pieces):
    """Logs and a separator each make 4.25 MB at the most."""
    logs = [b"x" * 2_124_999, b"x" * second]

    assert [end - start for start, end in split_payload(logs)] == pieces


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=50), max_size=3), max_size=30))
def test_a_payload_is_a_gzipped_array(documents):
    """What is sent, once unpacked by the standard library, is one JSON array of the logs."""
    logs = [json.dumps(document).encode() for document in documents]

    assert json.loads(gzip.decompress(compress_payload(logs))) == documents


@given(st.lists(st.sampled_from([100, 500_000, 1_500_000]), min_size=1, max_size=12))
def test_a_payload_is_within_the_intakes_limits(sizes):
    """Each piece, framed as an array and before compression, is under the 5 MB the intake takes."""
    logs = [LOGS[size] for size in sizes]
    for start, end in split_payload(logs):
        piece = logs[start:end]
        body = gzip.decompress(compress_payload(piece))

        assert len(body) <= PAYLOAD_BYTES_GOAL + 1 < INTAKE_BYTES_MAX
        assert len(json.loads(body)) == len(piece)
