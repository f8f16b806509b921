"""`demo`, as somebody runs it who has just come by: three alerts, each with the way back to its trace."""

import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness import Caller, Program, clean_environment, is_running, running, wait_for

from execlave_server.datadog.as_code.monitors import AUTONOMOUS_TOOL_BLOCKED, COST_RUNAWAY, POLICY_BURST
from visitor import Visitor

FIRED_WITHIN_S = 240.0  # under a minute on two idle cores; tests share theirs


class Demo(Program):
    """The command, and what it printed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            ["demo", "--data-dir", str(folder / "data"), "--headless"],
            folder / f"demo-{len(list(folder.glob('demo-*')))}.log",
            clean_environment(),
        )

    def wait_until_fired(self) -> None:
        """Until it says that all three have."""
        wait_for(lambda: "All three monitors have fired" in self.log, f"three alerts in: {self.log}", FIRED_WITHIN_S)

    def told(self, name: str) -> str:
        """The notification of a monitor that fired."""
        found = re.search(
            rf"^Monitor, \d+ s: \[Triggered [^\n]*{re.escape(name)}\n(?:  [^\n]*\n)+", self.log, re.MULTILINE
        )
        assert found, self.log
        return found[0]

    def after(self, word: str) -> str:
        """The word that follows another at the beginning of a line."""
        return self.wait_for_line(rf"(?m)^\s*{word} +(\S+)")[1]

    def processes(self) -> list[int]:
        """The pids of everything below it."""
        listed = subprocess.run(["ps", "-A", "-o", "pid=", "-o", "ppid="], capture_output=True, text=True, check=True)
        parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.stdout.splitlines())}
        found = [self.process.pid]
        for above in found:
            found += [pid for pid, parent in parents.items() if parent == above]
        return found[1:]


@dataclass(frozen=True)
class Seen:
    """A demo in which all three monitors have fired."""

    demo: Demo
    folder: Path
    dashboard: str
    sandbox: Caller

    def owner(self, next_path: str) -> Visitor:
        """The owner, signed in with what the demo printed."""
        password = self.demo.wait_for_line(r"sign in as owner@demo\.example, password (\S+)")[1]
        visitor = Visitor(self.dashboard)
        signed_in = visitor.sign_in("owner@demo.example", password, next_path)
        assert (signed_in.status, signed_in.headers["location"]) == (303, next_path), signed_in.said
        return visitor


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Iterator[Seen]:
    """It runs until the module's tests are over."""
    folder = tmp_path_factory.mktemp("demo")
    with running(Demo(folder)) as demo:
        demo.wait_until_fired()
        logs = urlsplit(demo.after("Logs"))
        yield Seen(demo, folder, demo.after("Dashboard"), Caller(f"http://{logs.netloc}"))


@pytest.mark.parametrize(
    ("monitor", "agent", "said"),
    [
        (POLICY_BURST, "support-bot", "actions stopped or flagged in 15 minutes, more than 10."),
        (COST_RUNAWAY, "research-assistant", "US dollars in an hour, more than 5."),
        (AUTONOMOUS_TOOL_BLOCKED, "billing-agent", "Tool: drop_table_invoices. Policies: access_control"),
    ],
    ids=lambda each: getattr(each, "key", ""),
)
def test_each_monitor_fires_with_its_text_and_a_link_back(seen, monitor, agent, said):
    """It is told for whom, why, and where to look: at the trace on the demo's own server, and at the monitor."""
    told = seen.demo.told(monitor.definition.name)

    assert agent in told
    assert said in told
    assert f"Evidence: {seen.dashboard}/traces/tr_" in told
    link = re.search(r"Monitor: (\S+)", told)
    assert link
    assert monitor.definition.name in Caller(seen.sandbox.url).get(urlsplit(link[1]).path).body.decode()


def test_the_link_leads_the_owner_to_the_blocked_trace(seen):
    """Who follows it without a session signs in first, and then sees what was blocked, why, and that it verifies."""
    link = re.search(r"Evidence: (\S+)", seen.demo.told(AUTONOMOUS_TOOL_BLOCKED.definition.name))
    assert link
    path = link[1].removeprefix(seen.dashboard)

    stranger = Visitor(seen.dashboard).get(path)
    page = seen.owner(path).get(path)

    assert stranger.status == 303
    assert stranger.headers["location"].startswith("/sign-in?next=")
    assert page.status == 200
    for text in ("billing-agent", "drop_table_invoices", "policy blocked", "Policy decision", "Audit evidence"):
        assert text in page.said, page.said
    assert "does not verify" not in page.said


def test_an_approval_waits_for_a_person(seen):
    """The page that the demo names shows the action that somebody has to decide."""
    path = seen.demo.wait_for_line(r"Approve or deny: http://[^/]+(/approvals/\S+)")[1]

    page = seen.owner(path).get(path)

    assert page.status == 200
    assert "issue_refund" in page.said


def test_the_sandbox_shows_logs_and_monitors(seen):
    """The pages that the demo names answer, with the blocked logs and the three monitors in Alert."""
    logs = seen.sandbox.get("/logs?query=%40execlave.status%3Apolicy_blocked")
    monitors = seen.sandbox.get("/monitors")

    assert (logs.status, monitors.status) == (200, 200)
    assert b"drop_table_invoices" in logs.body
    for monitor in (POLICY_BURST, COST_RUNAWAY, AUTONOMOUS_TOOL_BLOCKED):
        assert monitor.definition.name.encode() in monitors.body


def test_ctrl_c_during_the_start_leaves_nothing_running(tmp_path):
    """Whoever changes his mind at once waits for no part to start."""
    with running(Demo(tmp_path)) as demo:
        wait_for(demo.processes, "the first part")
        parts = demo.processes()

        assert demo.stop(signal.SIGINT) == 0
        assert not [pid for pid in parts if is_running(pid)]
        assert "Ending before everything has started." in demo.log


def test_ctrl_c_leaves_nothing_running_and_the_next_demo_goes_on(seen):
    """The last of this module's tests: it ends the demo that the others looked at, and starts it again."""
    parts = seen.demo.processes()

    assert seen.demo.stop(signal.SIGINT) == 0
    assert parts
    assert not [pid for pid in parts if is_running(pid)]
    assert "Traceback" not in seen.demo.log
    committed = int(re.findall(r"traces committed ([\d,]+)", seen.demo.log)[-1].replace(",", ""))
    with running(Demo(seen.folder)) as again:
        first = again.wait_for_line(r"traces committed ([\d,]+)")
        assert int(first[1].replace(",", "")) >= committed
        assert again.stop(signal.SIGTERM) == 0
