from itertools import permutations

import pytest
from msgspec.structs import replace

from execlave_server.model.agents import Agent, AgentStatus, most_restricted, resolve_agent

BOT = Agent(
    id="uuid-production",
    organization=1,
    agent_id="bot",
    environment="production",
    name="Bot",
    type="chatbot",
    platform="custom",
    status=AgentStatus.ACTIVE,
    status_reason=None,
    autonomy_level=None,
    idp_bound=False,
    profile="{}",
    created_at_us=1,
    updated_at_us=1,
    last_seen_at_us=None,
)
STAGING = replace(BOT, id="uuid-staging", environment="staging", created_at_us=2)
PAUSED = replace(BOT, id="uuid-paused", environment="development", created_at_us=3, status=AgentStatus.PAUSED)


@pytest.mark.parametrize(
    ("agents", "reference", "environment", "wanted"),
    [
        ([BOT, STAGING, PAUSED], "uuid-staging", "production", STAGING),
        ([BOT, STAGING, PAUSED], "uuid-staging", None, STAGING),
        ([BOT, STAGING, PAUSED], "bot", "staging", STAGING),
        ([BOT, STAGING, PAUSED], "bot", "development", PAUSED),
        ([BOT, STAGING, PAUSED], "bot", "production", BOT),
        ([BOT, STAGING], "bot", None, BOT),
        ([BOT, STAGING], "bot", "elsewhere", BOT),
        ([BOT, STAGING, PAUSED], "bot", "elsewhere", PAUSED),
        ([BOT, STAGING, PAUSED], "bot", None, PAUSED),
        ([BOT, STAGING, PAUSED], "ghost", "production", None),
        ([BOT], "Bot", "production", None),
        ([BOT], "", None, None),
        ([], "bot", "production", None),
    ],
)
def test_the_agent_that_is_meant(agents, reference, environment, wanted):
    """A UUID names one; an external id the one of its environment, or else the most restricted of all environments."""
    assert {resolve_agent(list(order), reference, environment) for order in permutations(agents)} == {wanted}


@pytest.mark.parametrize("status", AgentStatus)
def test_claiming_another_environment_does_not_free_an_agent(status):
    """An agent that is stopped in its only environment is stopped under whatever environment it claims."""
    stopped = replace(BOT, status=status)

    assert resolve_agent([stopped], "bot", "made-up") == stopped


def test_a_uuid_that_is_also_a_name_means_the_uuid():
    """Nobody takes another agent's place by registering under its UUID."""
    impostor = replace(STAGING, agent_id=BOT.id)

    assert resolve_agent([impostor, BOT], BOT.id, "staging") == BOT


@pytest.mark.parametrize(
    ("status", "stops"),
    [
        (AgentStatus.ACTIVE, False),
        (AgentStatus.ERROR, False),
        (AgentStatus.PAUSED, True),
        (AgentStatus.INACTIVE, True),
        (AgentStatus.ARCHIVED, True),
    ],
)
def test_which_statuses_stop_an_agent(status, stops):
    """Paused, inactive and archived agents act no more; a stopped one is judged by before any that is not."""
    late = replace(STAGING, status=status)

    assert status.stops_actions is stops
    assert most_restricted([BOT, late]) == (late if stops else BOT)


def test_of_equals_the_oldest_is_meant():
    """Among agents that are all stopped, or none, the one registered first decides."""
    older = replace(PAUSED, id="older", created_at_us=0)

    assert most_restricted([PAUSED, older, BOT]) == older
    assert most_restricted([STAGING, BOT]) == BOT
    assert most_restricted([]) is None
