"""The largest log there can be, through a real intake that cuts silently what is beyond its limits."""

from typing import Any


def largest(letter: str) -> dict[str, Any]:
    """An item with as much as can be said in every field, of a letter that JSON makes long."""
    names = [
        "sessionId",
        "userId",
        "modelName",
        "environment",
        "errorType",
        "errorMessage",
        "parentTraceId",
        "spanType",
    ]
    return {
        **dict.fromkeys(names, letter * 2_000),
        "status": "error",
        "agentId": letter * 256,
        "totalTokens": 1 << 999,
        "tags": [letter * 500] * 150,
        "metadata": {"spanId": letter * 256, "parentSpanId": letter * 2_000, "spanName": letter * 2_000},
    }


async def test_the_largest_log_arrives_as_it_was_sent(rig) -> None:
    """Nothing is cut behind our back: what the intake keeps is what was sent, and it names what we cut."""
    for prefix, letter in (("control", "\x01"), ("astral", "😀"), ("plain", "x")):
        await rig.ingest(1, prefix=prefix, **largest(letter))

    async with rig.worker():
        counts = await rig.until(lambda counts: counts.waiting == 0)

    async with rig.session.get(f"{rig.sandbox_url}/sandbox/stats") as answer:
        stats = await answer.json()
    logs = await rig.logs()
    assert (counts.delivered, counts.parked, stats["truncated"], len(logs)) == (3, 0, 0, 3)
    for log in logs:
        assert {"session_id", "model", "error_message", "span_name", "execlave.tags", "execlave.parent_span_id"} <= set(
            log["execlave"]["truncated_fields"]
        )
