"""An agent's credential: issued to it, verified on the traces it stamps, and never kept."""

import asyncio
import json
from datetime import datetime
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from execlave_server.actions.agent_credentials import PREFIX
from execlave_server.actions.signing_key import SIGNING_KEY, BadTokenError, SigningKey, TokenKind, signing_key
from execlave_server.model.traces import unpack_item
from nodes import Node


async def credential_of(node: Node, agent: dict, key: str | None = None) -> str:
    """A new credential of an agent."""
    answer = await node.ask("POST", f"/agents/{agent['id']}/credential", key=key)
    return answer.data["credential"]


async def mark_of(node: Node, agent: dict, credential: object, **more: object) -> str | None:
    """What the log says of the credential on a trace of this agent."""
    item = {
        "traceId": f"tr-{node.services.clock.uuid()}",
        "status": "success",
        "agentId": agent["agentId"],
        "environment": agent["environment"],
        "agentCredential": credential,
        **more,
    }
    answer = await node.ask("POST", "/traces/ingest", {"traces": [item]})
    assert (answer.status, answer.json["accepted"]) == (202, 1), answer.json
    return (await stored(node, item["traceId"]))[0]["execlave"].get("credential")


async def stored(node: Node, trace_id: str) -> tuple[dict, bytes]:
    """The log and the item of a trace as the store has them."""
    rows = await node.read("select trace_id, log, item from traces")
    ((log, item),) = [(log, item) for name, log, item in rows if name == trace_id]
    return json.loads(b"{" + bytes(log) + b"}}"), unpack_item(bytes(item))


async def test_a_credential_says_who_and_until_when(node):
    """Fifteen minutes, signed, with the key's id; its claims name the agent and its organization."""
    agent = await node.register()
    answer = await node.ask("POST", f"/agents/{agent['agentId']}/credential")
    told = answer.data
    key = await signing_key(node.services)
    claims = key.read(TokenKind.AGENT_CREDENTIAL, told["credential"].removeprefix(PREFIX))

    assert told.keys() == {"credential", "expiresAt", "kid"}
    assert told["credential"].startswith("exe_agt_")
    assert (claims["sub"], claims["agent_id"], claims["org"]) == (
        agent["id"],
        agent["agentId"],
        node.organization.id,
    )
    assert claims["exp"] - claims["iat"] == 900
    assert datetime.fromisoformat(told["expiresAt"]).timestamp() == claims["exp"]
    assert told["kid"] == key.kid


async def test_a_stamped_trace_is_marked_verified_and_holds_no_credential(node, tmp_path):
    """The log says verified; nothing on disk, and no log, has the credential."""
    agent = await node.register()
    credential = await credential_of(node, agent)
    item = {"traceId": "tr_s", "status": "success", "agentId": agent["agentId"], "agentCredential": credential}
    spaced = json.dumps({**item, "big": 10**30, "metadata": {"agentCredential": "mine"}}).encode()
    answer = await node.ask("POST", "/traces/ingest", b'{"traces":[' + spaced + b"]}")
    log, kept = await stored(node, "tr_s")

    assert answer.status == 202
    assert log["execlave"]["credential"] == "verified"
    assert json.loads(kept) == {
        "traceId": "tr_s",
        "status": "success",
        "agentId": agent["agentId"],
        "big": 10**30,
        "metadata": {"agentCredential": "mine"},
    }
    assert not holds(tmp_path, credential.encode())


async def test_a_retry_with_a_newer_credential_is_the_same_trace(node):
    """The credential is no part of the trace: the same item under another one is a duplicate."""
    agent = await node.register()
    item = {"traceId": "tr_r", "status": "success", "agentId": agent["agentId"], "metadata": {"spanId": "s"}}
    for _ in range(2):
        credential = await credential_of(node, agent)
        answer = await node.ask("POST", "/traces/ingest", {"traces": [{**item, "agentCredential": credential}]})

    assert answer.json == {"accepted": 1, "failed": 0, "errors": [], "duplicates": 1}


async def test_what_is_not_verified_is_kept_and_marked(node):
    """Of another agent, expired, forged, of another organization, no credential at all: each says what it is."""
    agent, other = await node.register(), await node.register()
    unregistered = {"agentId": "nobody", "environment": "production"}
    stranger = await node.other_organization()
    await node.ask("POST", "/agents", {"agentId": agent["agentId"], "name": "Bot"}, key=stranger)
    good = await credential_of(node, agent)
    foreign = await credential_of(node, {"id": agent["agentId"]}, key=stranger)
    forged = PREFIX + SigningKey(OKPKey.generate_key("Ed25519")).sign(TokenKind.AGENT_CREDENTIAL, {"sub": agent["id"]})
    key = await signing_key(node.services)
    certificate = PREFIX + key.sign(
        TokenKind.APPROVAL_CERTIFICATE, {"sub": agent["id"], "org": node.organization.id, "exp": 1 << 40}
    )

    assert await mark_of(node, agent, good) == "verified"
    assert await mark_of(node, other, good) == "other_agent"
    assert await mark_of(node, unregistered, good) == "other_agent"
    for bad in (foreign, forged, certificate, good[:-4] + "AAAA", PREFIX, "text", "", 7, {"a": [1]}, "x" * 100_000):
        assert await mark_of(node, agent, bad) == "invalid", bad
    assert await mark_of(node, agent, None) is None
    node.clock.pushed_us = 961 * 1_000_000
    assert await mark_of(node, agent, good) == "expired"


async def test_an_agent_that_may_not_act_gets_none(node):
    """A paused agent is refused, an unknown one not found."""
    agent = await node.register()
    await node.admin("PATCH", f"/agents/{agent['id']}/pause", {})
    paused = await node.ask("POST", f"/agents/{agent['id']}/credential")
    unknown = await node.ask("POST", "/agents/nobody/credential")

    assert (paused.status, paused.code) == (409, "CONFLICT")
    assert (unknown.status, unknown.code) == (404, "NOT_FOUND")


async def test_the_signing_key_is_made_once_and_sealed(node):
    """However many ask for it first, there is one; in the database it is not in clear."""
    keys = await asyncio.gather(*(signing_key(node.services) for _ in range(8)))
    ((sealed,),) = await node.services.store.rows("find_secret", {"name": SIGNING_KEY})

    assert len({key.kid for key in keys}) == 1
    assert isinstance(sealed, bytes)
    assert b'"d"' not in sealed
    assert "d" not in keys[0].public()


async def test_two_servers_share_the_signing_key(start_node):
    """What one server issued, another verifies, also when both make the key at the same moment."""
    here, there = await start_node(), await start_node()
    keys = await asyncio.gather(signing_key(here.services), signing_key(there.services))
    agent = await here.register()

    assert keys[0].kid == keys[1].kid
    assert await mark_of(there, agent, await credential_of(here, agent)) == "verified"


@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_token_is_read_for_its_own_purpose_alone(kind):
    """Of one kind, under one key; without a signature, or under another algorithm's name, never."""
    pair = OKPKey.generate_key("Ed25519")
    key = SigningKey(pair)
    token = key.sign(kind, {"a": 1})
    other = next(each for each in TokenKind if each is not kind)
    unsigned = "eyJhbGciOiJub25lIn0." + token.split(".")[1] + "."
    legacy = jwt.encode({"alg": "HS256", "typ": kind.value, "kid": key.kid}, {"a": 1}, _hmac_key(pair))

    assert key.read(kind, token) == {"a": 1}
    for wrong, bad in ((other, token), (kind, unsigned), (kind, legacy), (kind, ""), (kind, "é.é.é")):
        with pytest.raises(BadTokenError):
            key.read(wrong, bad)


def holds(folder: Path, text: bytes) -> bool:
    """Whether any file below a folder has a text."""
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def _hmac_key(pair: OKPKey):
    """The public half, misused as a shared secret."""
    from joserfc.jwk import OctKey  # noqa: PLC0415 - for this misuse alone

    return OctKey.import_key(json.dumps(pair.as_dict(private=False)))
