"""The tool descriptors an agent was reviewed with, which `tool_integrity` policies compare presented ones to."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from execlave_server.actions.record_change import settings_changed
from execlave_server.actions.services import Services
from execlave_server.actions.version_agent import hold_agent
from execlave_server.errors import NotFoundError
from execlave_server.model.agents import Agent
from execlave_server.model.organizations import ApiKey
from execlave_server.store.protocol import Call, Parameters, StaleError, Write, find_one, integer

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256 over the tool's canonical JSON, by the SDK


class Pin(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A tool as it was reviewed."""

    server: Name
    tool: Name
    descriptor_hash: Hash
    description_hash: Hash | None = None


class Baseline(Struct, frozen=True):
    """The set of pins that holds. `descriptors` is JSON; `number` counts the sets an agent has had."""

    number: int
    descriptors: str
    reason: str
    pinned_at_us: int

    @property
    def pins(self) -> list[Pin]:
        """The tools."""
        return msgspec.json.decode(self.descriptors, type=list[Pin])


async def pin_tools(
    services: Services, key: ApiKey, reference: str, pins: Sequence[Pin], reason: str
) -> tuple[Agent, Baseline]:
    """Put a reviewed set of tools in place of the one before; each set is kept. Raises NotFoundError."""
    agent = await services.agents.find_fresh(key, reference)
    now_us = services.clock.now_us()
    descriptors = msgspec.json.encode(pins).decode()
    row: Parameters = {
        "organization": key.organization,
        "agent": agent.id,
        "descriptors": descriptors,
        "reason": reason,
        "api_key": key.id,
        "now_us": now_us,
    }
    change = settings_changed(key, f"agent:{agent.id}", now_us, {"toolBaseline": msgspec.to_builtins(pins)})
    write = Write(charges=[hold_agent(agent)], calls=[Call("insert_tool_baseline", row)], events=[change])
    try:
        written = await services.store.commit(write)
    except StaleError as error:
        raise NotFoundError(f"There is no agent {reference!r} any more.") from error
    return agent, Baseline(integer(written.rows[0][0][0]), descriptors, reason, now_us)


async def find_baseline(services: Services, organization: int, agent: str) -> Baseline | None:
    """The set of pins that holds for an agent (by UUID), or None where none was ever reported."""
    return await find_one(services.store, Baseline, "tool_baseline", {"organization": organization, "agent": agent})


async def baseline_of(services: Services, organization: int, agent: str | None) -> Mapping[tuple[str, str], str]:
    """What `policy.action.Facts.baseline` takes: descriptor hashes by (server, tool). Empty where none was reported."""
    found = await find_baseline(services, organization, agent) if agent else None
    return {(pin.server, pin.tool): pin.descriptor_hash for pin in found.pins} if found else {}
