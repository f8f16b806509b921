"""Runs the scripted agents, each on its own thread with its own SDK client."""

import random
import threading

import structlog
from execlave import AgentPausedError, Execlave, ExeclaveError, PolicyBlockedError

from execlave_server.demo.agents import FLEET, Run, ScriptedAgent, ToolFailedError, start_root

RUN_EVERY_S = 0.7  # for each agent
FLUSH_EVERY_S = 1
JOIN_WITHIN_S = 15.0

log = structlog.get_logger()


class Fleet:
    """The agents at work. `stop` lets each finish its run and flush its traces."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(agent,), name=agent.agent_id, daemon=True) for agent in FLEET
        ]

    def start(self) -> None:
        """Put the agents to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End their work. Blocks."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(JOIN_WITHIN_S)

    def _work(self, agent: ScriptedAgent) -> None:
        exe = Execlave(
            api_key=self._api_key,
            base_url=self._base_url,
            flush_interval_seconds=FLUSH_EVERY_S,
        )
        chance = random.Random(agent.agent_id)  # noqa: S311 - the same script at each start
        try:
            if agent.autonomy_level:
                exe.register_agent(agent.agent_id, agent.name, autonomy_level=agent.autonomy_level)
            while not self._stopping.wait(RUN_EVERY_S):
                _run_once(exe, agent, chance)
        except ExeclaveError as error:
            log.warning("demo.agent_ended", agent=agent.agent_id, error=str(error))
        finally:
            exe.shutdown()


def _run_once(exe: Execlave, agent: ScriptedAgent, chance: random.Random) -> None:
    try:
        root = start_root(exe, agent)
    except AgentPausedError:
        return  # the kill switch has reached this client; it acts again when the agent is resumed
    try:
        agent.script(Run(exe, root, chance))
    except PolicyBlockedError as blocked:
        root.finish("policy_blocked", str(blocked), "PolicyBlockedError")
    except ToolFailedError as failed:
        root.finish("error", str(failed), "ToolFailedError")
    else:
        root.finish()
