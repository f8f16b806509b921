"""Looking a trace up among many, newest first and in bounded looks."""

import pytest

from execlave_server.actions import read_trace_deliveries as lookup
from execlave_server.errors import NotFoundError

PAST_ONE_BUCKET = 16_400


async def test_a_trace_is_found_however_far_back(rig, monkeypatch) -> None:
    """Spans of one trace on both sides of a look's edge are all found, one far back is too, an unknown one is not."""
    monkeypatch.setattr(lookup, "BUCKETS_PER_LOOK", 1)
    await rig.ingest(1, prefix="far", metadata={"spanId": "only"})
    await rig.ingest(1, prefix="near", metadata={"spanId": "first"})
    await rig.ingest(PAST_ONE_BUCKET, prefix="many")
    await rig.ingest(1, prefix="near", metadata={"spanId": "second"})

    async def spans_of(trace_id: str, organization: int = rig.organization.number) -> list[str]:
        found = await lookup.read_trace_deliveries(rig.services, rig.organization.id, organization, trace_id)
        return [each.span_id for each in found]

    assert await spans_of("near0") == ["second", "first"]
    assert await spans_of("far0") == ["only"]
    for unknown, organization in (("nobody", 1), ("near0", rig.organization.number + 1), ("x" * 257, 1)):
        with pytest.raises(NotFoundError):
            await spans_of(unknown, organization)
