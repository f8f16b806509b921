"""What became known of a trace later: appended, read back in order, never changed."""

from urllib.parse import quote

from execlave_server.actions import resolve_trace


async def test_resolutions_are_appended_and_read_back(node):
    """Each is kept with what was said and when; the first stands before the second."""
    path = "/traces/tr_1/resolutions"
    first = await node.ask("POST", path, {"resolvedStatus": "error", "basis": "callback"})
    second = await node.ask(
        "POST",
        path,
        {
            "resolvedStatus": "success",
            "basis": "read_back",
            "effectRef": "order/7",
            "acknowledgementId": "ack-1",
            "detail": "seen in the ledger",
            "observedAt": "2026-09-21T10:00:00.250Z",
        },
    )
    read = await node.ask("GET", path)

    assert (first.status, second.status) == (201, 201)
    assert read.data == [first.data, second.data]
    assert read.json["meta"] == {"total": 2}
    assert second.data["observedAt"] == "2026-09-21T10:00:00.250Z"
    assert (second.data["effectRef"], second.data["acknowledgementId"]) == ("order/7", "ack-1")
    assert first.data["observedAt"] == first.data["recordedAt"]


async def test_a_trace_that_has_not_arrived_may_be_resolved(node):
    """The SDK sends traces every ten seconds and resolves at once: the resolution waits for its trace."""
    assert (
        await node.ask("POST", "/traces/tr_later/resolutions", {"resolvedStatus": "success", "basis": "manual"})
    ).status == 201
    assert (await node.ask("GET", "/traces/tr_never/resolutions")).json == {"data": [], "meta": {"total": 0}}


async def test_any_trace_id_is_one(node):
    """Trace ids are the caller's, quoted in the path."""
    for trace_id in ("a/b", "with space", "100%", "ünï-😀", "a?b#c", "x" * 256, "ingest"):
        path = f"/traces/{quote(trace_id, safe='')}/resolutions"
        made = await node.ask("POST", path, {"resolvedStatus": "timeout", "basis": "reconciliation"})
        read = await node.ask("GET", path)

        assert made.data["traceId"] == trace_id
        assert read.data == [made.data]


async def test_what_is_not_valid_is_refused(node):
    """Each wrong value is a 400 and leaves nothing."""
    good = {"resolvedStatus": "success", "basis": "manual"}
    for body in (
        {},
        {**good, "resolvedStatus": "policy_blocked"},
        {**good, "basis": "hunch"},
        {**good, "observedAt": "soon"},
        {**good, "observedAt": "9999-12-31T23:59:59.999-14:00"},
        {**good, "observedAt": "0001-01-01T00:00:00+14:00"},
        {**good, "detail": "x" * 4_001},
        {**good, "effectRef": "x" * 1_025},
    ):
        answer = await node.ask("POST", "/traces/tr_bad/resolutions", body)
        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR"), body
    too_long = await node.ask("POST", f"/traces/{'x' * 257}/resolutions", good)

    assert too_long.status == 400
    assert (await node.ask("GET", "/traces/tr_bad/resolutions")).data == []


async def test_a_trace_has_so_many_resolutions_and_no_more(node, monkeypatch):
    """Past the limit the answer says so."""
    monkeypatch.setattr(resolve_trace, "RESOLUTIONS_PER_TRACE_MAX", 2)
    body = {"resolvedStatus": "success", "basis": "manual"}
    answers = [await node.ask("POST", "/traces/tr_many/resolutions", body) for _ in range(3)]

    assert [answer.status for answer in answers] == [201, 201, 409]


async def test_another_organization_sees_its_own(node):
    """The same trace id elsewhere is another trace."""
    other = await node.other_organization()
    await node.ask("POST", "/traces/tr_1/resolutions", {"resolvedStatus": "success", "basis": "manual"})

    assert (await node.ask("GET", "/traces/tr_1/resolutions", key=other)).data == []
