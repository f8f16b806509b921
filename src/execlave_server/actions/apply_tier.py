"""An agent's autonomy level brings its policies; what a person made of them stays, and departures are recorded."""

from collections.abc import Iterable

import msgspec

from execlave_server.actions.edit_policy import creation, deletion, new_policy_id
from execlave_server.actions.read_policies import StoredPolicy, list_policies
from execlave_server.actions.record_overrides import override_event
from execlave_server.actions.services import Services
from execlave_server.audit.event_logs import EventContext
from execlave_server.model.agents import AutonomyLevel
from execlave_server.model.policies import Policy
from execlave_server.policy.tiers import BUNDLES, is_of_tier, policy_of_tier, tier_override
from execlave_server.store.protocol import Call, ChangeEvent, NewEvent, Write


async def tier_change(
    services: Services, organization: int, actor: str, level: AutonomyLevel, *, agent: str, agent_name: str
) -> Write:
    """What gives an agent (its UUID) the bundle of another level; to be committed with the agent itself.

    Policies of the level before go, but for those that a person changed: they stay in the place of the new level's.
    """
    stored = await list_policies(services.store, organization)
    brought = [one for one in stored if agent in one.body and _is_brought(one.policy, agent)]
    kept = [one for one in brought if _is_changed(one)]
    fitted, taken = {one.policy.policy_type for one in kept}, {one.policy.name for one in kept}
    writes = [deletion(services, organization, actor, one) for one in brought if not _is_changed(one)]
    for each in BUNDLES[level]:
        if each.policy_type in fitted:
            continue
        policy = policy_of_tier(each, level, agent, new_policy_id(services), agent_name=agent_name)
        if policy.name in taken:  # by one that a person made another type of
            policy = msgspec.structs.replace(policy, name=f"{policy.name}, {policy.id[-8:]}")
        writes.append(creation(services, organization, actor, policy))
    departures = [
        override_event(
            services,
            organization,
            actor,
            one.policy,
            agent=agent,
            level=level,
            context=EventContext(agent_id=agent_name),
        )
        for one in kept
        if tier_override(level, one.policy)
    ]
    return _joined(writes, departures)


def _is_brought(policy: Policy, agent: str) -> bool:
    return is_of_tier(policy) and policy.applies_to_agents == (agent,)


def _is_changed(stored: StoredPolicy) -> bool:
    """A tier saves version 1, and only a person another."""
    return stored.version > 1


def _joined(writes: Iterable[Write], events: Iterable[NewEvent]) -> Write:
    calls: list[Call] = []
    joined: list[NewEvent | ChangeEvent] = []
    for write in writes:
        calls += write.calls
        joined += write.events  # a policy's name none of its calls, whose places are others now
    return Write(calls=calls, events=[*joined, *events])
