"""The demo from start to end: everything is started as a user would start it, watched, and ended."""

import json
import os
import secrets
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from execlave_server.datadog.apply_resources import Account
from execlave_server.demo.agents import FLEET
from execlave_server.demo.alerts import TRIGGERED, Alerts, Notification
from execlave_server.demo.fleet import Fleet
from execlave_server.demo.interrupts import Interrupts, interrupts
from execlave_server.demo.parts import DemoError, fetch, free_port, part, run_command, wait_for
from execlave_server.model.secret import Secret

SERVER_PORT, SANDBOX_PORT = 4000, 8126  # where they are free
OWNER = "owner@demo.example"
LOOK_EVERY_S = 1.0
EVALUATE_EVERY_S = 3.0  # Datadog and the sandbox do it each minute
COUNTS_EVERY_S = 10.0  # on what is no terminal
DRAIN_WITHIN_S = 5.0
PAUSE_AFTER_S, RESUME_AFTER_S = 10.0, 25.0  # the kill switch is shown once in each minute after the alerts
KILL_SWITCH_CYCLE_S = 60.0


class Demo:
    """A sandbox with the three monitors, a server with its worker, a destination, a person, and the fleet."""

    def __init__(self, data_dir: Path, console: Console) -> None:
        self._data_dir = data_dir
        self._console = console
        self._server_url = f"http://127.0.0.1:{free_port(SERVER_PORT)}"
        self._sandbox_url = f"http://127.0.0.1:{free_port(SANDBOX_PORT)}"
        self._environment = os.environ | {
            "EXECLAVE_SERVER_DATA_DIR": str(data_dir),
            "EXECLAVE_SERVER_DATADOG_SANDBOX_URL": self._sandbox_url,
            "EXECLAVE_SERVER_PUBLIC_URL": self._server_url,  # where each log's link back leads
        }
        self._sandbox_key, self._password = secrets.token_hex(16), secrets.token_urlsafe(12)
        self._agent_key = self._admin_key = ""
        self._alerts = Alerts(self._sandbox_url)
        self._asked_before: set[str] = set()
        self._paused = self._waiting_shown = False
        self._is_new = not (data_dir / "execlave.db").exists()
        self._began = time.monotonic()
        self._all_fired_at: float | None = None

    def run(self, seconds: float | None) -> None:
        """Show it until Ctrl-C, or for some seconds."""
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with interrupts() as interrupted, ExitStack() as running:
            self._say("Starting a local stand-in for Datadog (the sandbox), the server and its worker ...")
            try:
                self._start(running)
                interrupted.wait_for_us()
            except KeyboardInterrupt:
                self._say("Ending before everything has started.")
                return
            fleet = Fleet(self._server_url, self._agent_key)
            running.callback(fleet.stop)
            fleet.start()
            self._watch(interrupted, None if seconds is None else time.monotonic() + seconds)
            self._say("Ending: the agents flush their last traces, then everything stops.")
            fleet.stop()
            self._drain()
        self._say(f"Ended. The data is kept in {self._data_dir}; the next demo goes on with it.")

    def _start(self, running: ExitStack) -> None:
        keys = {"EXECLAVE_SANDBOX_API_KEYS": self._sandbox_key}
        self._run_part(running, "sandbox", self._sandbox_url, keys)
        self._make_keys()
        self._make_owner()
        self._run_part(running, "serve", self._server_url)
        wait_for(f"{self._sandbox_url}/sandbox/stats", self._log_file("sandbox"))
        made = self._alerts.set_up(
            Account(self._sandbox_url, Secret(self._sandbox_key), Secret(secrets.token_hex(20)))  # any key will do
        )
        wait_for(f"{self._server_url}/ready", self._log_file("serve"))
        self._connect()
        self._asked_before = {each["id"] for each in self._approvals()}
        self._say(f"Created in the sandbox with Datadog's official client: {len(made) - 1} monitors, the log pipeline.")
        self._say("")
        self._say(f"Dashboard   {self._server_url}   sign in as {OWNER}, password {self._password}")
        self._say(f"Logs        {self._sandbox_url}/logs   what Datadog would have")
        self._say(f"Monitors    {self._sandbox_url}/monitors")
        self._say(f"Data        {self._data_dir}")
        self._say("")
        self._say(
            "Five agents go to work; three of them will get into trouble. Datadog evaluates monitors each minute; here "
            f"the sandbox is asked to do it every {EVALUATE_EVERY_S:.0f} s, so that you need not wait."
        )

    def _run_part(self, running: ExitStack, name: str, url: str, more: dict[str, str] | None = None) -> None:
        environment = self._environment | (more or {})
        running.enter_context(part(environment, self._log_file(name), name, "--port", url.rpartition(":")[2]))

    def _log_file(self, name: str) -> Path:
        return self._data_dir / f"{name}.log"

    def _make_keys(self) -> None:
        if self._is_new:
            made = self._command("init", "--json")
            self._agent_key, self._admin_key = made["apiKey"], made["adminKey"]
            return
        self._agent_key = self._command("key", "create", "--name", "demo", "--json")["apiKey"]
        self._admin_key = self._command("key", "create", "--name", "demo", "--role", "admin", "--json")["apiKey"]

    def _make_owner(self) -> None:
        """Somebody to sign in as; who is left of an earlier demo gets a new password, which ends his sessions."""
        people = [] if self._is_new else self._command("user", "list", "--json")
        if any(person["email"] == OWNER for person in people):
            run_command(self._environment, "user", "password", OWNER, stdin=self._password)
        else:
            added = ("user", "add", OWNER, "--role", "owner", "--name", "Demo owner")
            run_command(self._environment, *added, stdin=self._password)

    def _connect(self) -> None:
        """Add the sandbox as a destination, or give the one of an earlier demo this sandbox's key."""
        there = [found for found in self._call("GET", "/integrations") if found["site"] == "sandbox"]
        wanted = {
            "site": "sandbox",
            "apiKey": self._sandbox_key,
            "service": "agents-demo",
            "ddtags": "env:demo,team:platform",
        }
        if there:
            destination = self._call("PATCH", f"/integrations/{there[0]['id']}", wanted)
        else:
            destination = self._call("POST", "/integrations", wanted | {"name": "Datadog sandbox"})
        report = self._call("POST", f"/integrations/{destination['id']}/test")
        for step in report["steps"]:
            self._say(f"Test connection, {step['step']}: {step['message']}")
        if not report["passed"]:
            raise DemoError("The sandbox did not pass Test connection; see the lines above.")
        self._call("POST", f"/integrations/{destination['id']}/enable")

    def _watch(self, interrupted: Interrupts, end_at: float | None) -> None:
        evaluate_at = counts_at = time.monotonic()
        with Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else nullcontext() as live:
            while not interrupted.came and (end_at is None or time.monotonic() < end_at):
                line = self._counts()
                if live is not None:
                    live.update(Text(line, style="bold"))
                elif time.monotonic() >= counts_at:
                    counts_at = time.monotonic() + COUNTS_EVERY_S
                    self._say(line)
                if time.monotonic() >= evaluate_at:
                    evaluate_at = time.monotonic() + EVALUATE_EVERY_S
                    self._show_alerts()
                    self._show_approval()
                self._show_kill_switch()
                time.sleep(LOOK_EVERY_S)

    def _drain(self) -> None:
        """Give the worker a moment for the last traces; what it does not deliver now waits for the next start."""
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while (line := self._counts()) and not line.endswith("waiting 0") and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S / 4)
        self._say(line)

    def _counts(self) -> str:
        counts = self._call("GET", "/deliveries")
        delivered = sum(each["delivered"] for each in counts["destinations"])
        waiting = sum(each["waiting"] for each in counts["destinations"])
        return f"traces committed {counts['committed']:,}   delivered {delivered:,}   waiting {waiting:,}"

    def _show_alerts(self) -> None:
        for told in self._alerts.evaluate():
            self._show_alert(told)
        if self._alerts.all_fired and self._all_fired_at is None:
            self._all_fired_at = time.monotonic()
            self._say(
                f"\nAll three monitors have fired, {self._all_fired_at - self._began:.0f} s after the start. Open the "
                "links under Evidence: what the agent did, which policy decided, and the proof of both.",
                style="bold",
            )

    def _show_alert(self, told: Notification) -> None:
        told_at = f"\nMonitor, {time.monotonic() - self._began:.0f} s: {told.title}"
        if told.transition != TRIGGERED:
            self._say(told_at, "yellow")
            return
        self._say(told_at, "bold red")
        for line in (told.body or "").splitlines():
            self._say(f"  {line}")
        self._say(f"  Monitor: {self._sandbox_url}/monitors/{told.monitor_id}")

    def _show_approval(self) -> None:
        asked = (
            [] if self._waiting_shown else [each for each in self._approvals() if each["id"] not in self._asked_before]
        )
        if not asked:
            return
        self._waiting_shown = True
        agent = next(agent for agent in FLEET if agent.waits_for_people)
        self._say(f"\nAn approval waits for a person: {agent.agent_id} stands still until you decide.", "bold")
        self._say(f"  Approve or deny: {self._server_url}/approvals/{asked[0]['id']}")

    def _approvals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/approvals?status=pending")
        return found

    def _show_kill_switch(self) -> None:
        if self._all_fired_at is None:
            return
        elapsed_s = time.monotonic() - self._all_fired_at
        paused = PAUSE_AFTER_S <= elapsed_s % KILL_SWITCH_CYCLE_S < RESUME_AFTER_S
        if paused == self._paused:
            return
        self._paused = paused
        verb = "pause" if paused else "resume"
        self._call("PATCH", f"/agents/billing-agent/{verb}", {"reason": "demo of the kill switch"})
        told = "each of its actions is now refused" if paused else "it may act again"
        self._say(f"Kill switch: billing-agent {verb}d, {told}.")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._admin_key}"}
        return fetch(f"{self._server_url}/api/v1{path}", method, body, headers)["data"]

    def _command(self, *arguments: str) -> Any:
        return json.loads(run_command(self._environment, *arguments))

    def _say(self, text: str, style: str | None = None) -> None:
        """A line as it is: links are not broken, brackets are no markup."""
        self._console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
