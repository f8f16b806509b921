"""Runs the scripted agents, each on its own thread with its own SDK client."""

import logging
import threading

import structlog
from execlave import (
    AgentPausedError,
    ApprovalTimeoutError,
    Execlave,
    ExeclaveError,
    PolicyBlockedError,
    PolicyDeniedError,
)

from execlave_server.demo.agents import FLEET, Script, ScriptedAgent, chance_of
from execlave_server.demo.runs import Run, ToolFailedError, start_run

RUN_EVERY_S = 0.7  # for each agent
FLUSH_EVERY_S = 1
JOIN_WITHIN_S = 15.0

log = structlog.get_logger()
# It says for each client that there is no WebSocket transport; polling does as well, and a demo's output is short.
logging.getLogger("engineio.client").setLevel(logging.ERROR)


class Fleet:
    """The agents at work. `stop` lets each finish its run and flush its traces."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._stopping = threading.Event()
        self._threads = {
            agent: threading.Thread(target=self._work, args=(agent,), name=agent.agent_id, daemon=True)
            for agent in FLEET
        }

    def start(self) -> None:
        """Put the agents to work."""
        for thread in self._threads.values():
            thread.start()

    def stop(self) -> None:
        """End their work. Blocks. One that waits for a person is left waiting: it ends with this process."""
        self._stopping.set()
        for agent, thread in self._threads.items():
            if not agent.waits_for_people:
                thread.join(JOIN_WITHIN_S)

    def _work(self, agent: ScriptedAgent) -> None:
        exe = Execlave(
            api_key=self._api_key,
            base_url=self._base_url,
            flush_interval_seconds=FLUSH_EVERY_S,
        )
        chance = chance_of(agent)
        run_number = 0
        try:
            if agent.autonomy_level:
                exe.register_agent(agent.agent_id, agent.name, autonomy_level=agent.autonomy_level)
            while not self._stopping.wait(RUN_EVERY_S):
                try:
                    run = start_run(exe, agent.agent_id, chance)
                except AgentPausedError:
                    continue  # the kill switch has reached this client; it acts again when the agent is resumed
                run_number += 1
                _follow(agent.script_of(run_number), run)
        except ExeclaveError as error:
            if not self._stopping.is_set():  # else the server has gone before an agent that waited for a person
                log.warning("demo.agent_ended", agent=agent.agent_id, error=str(error))
        finally:
            exe.shutdown()


def _follow(script: Script, run: Run) -> None:
    try:
        script(run)
    except PolicyBlockedError as blocked:
        run.root.finish("policy_blocked", str(blocked), "PolicyBlockedError")
    except (PolicyDeniedError, ApprovalTimeoutError) as unapproved:
        run.root.finish("policy_blocked", str(unapproved), type(unapproved).__name__)
    except ToolFailedError as failed:
        run.root.finish("error", str(failed), "ToolFailedError")
    else:
        run.root.finish()
