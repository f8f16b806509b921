"""Test connection tells causes apart: each fault gives a finding of its own, at the step where it stands."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from harness import DATADOG_KEY, Installation, Sandbox, running
from stub_server import Received, StubServer

PATH = "/api/v1/integrations"
# Each of Datadog's sites stands for one fault here; the server is told other addresses for it.
SITES = {
    "no such name": "datadoghq.com",
    "nobody listens": "us3.datadoghq.com",
    "no TLS": "us5.datadoghq.com",
    "intake in trouble": "datadoghq.eu",
    "never answers": "ap1.datadoghq.com",
    "breaks off": "ap2.datadoghq.com",
    "says a page": "uk1.datadoghq.com",
    "sends elsewhere": "ddog-gov.com",
    "intake of another key": "us2.ddog-gov.com",
}
PAGE = "<html><body>Welcome to the hotel's network</body></html>"


def closed_port() -> int:
    """A port where nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def redirect(_request: Received) -> tuple[int, Any]:
    """A captive portal that wants to be visited first."""
    return 302, {"Location": "elsewhere"}


def page(request: Received) -> tuple[int, Any]:
    """A captive portal that answers everything with 200 and a page."""
    return 200, PAGE if request.path == "/api/v2/logs" else {"valid": True}


def refuse(request: Received) -> tuple[int, Any]:
    """An API host that knows the key and an intake that does not."""
    return (200, {"valid": True}) if request.path == "/api/v1/validate" else (403, {"errors": []})


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> Iterator[dict[str, Any]]:
    """What Test connection says of every fault. All are tested at once, since a timeout takes its ten seconds."""
    folder = tmp_path_factory.mktemp("connection")
    with (
        running(Sandbox(folder)) as sandbox,
        running(StubServer(redirect)) as portal,
        running(StubServer(page)) as captive,
        running(StubServer(refuse)) as refusing,
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        closing(socket.create_server(("127.0.0.1", 0))) as closing_early,
        ThreadPoolExecutor(len(SITES) + 1) as clients,
    ):
        clients.submit(break_off, closing_early)
        api = {
            "no such name": "http://datadog.invalid",
            "nobody listens": f"http://127.0.0.1:{closed_port()}",
            "no TLS": sandbox.url.replace("http:", "https:"),
            "intake in trouble": sandbox.url,
            "never answers": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "breaks off": f"http://127.0.0.1:{closing_early.getsockname()[1]}",
            "says a page": captive.url,
            "sends elsewhere": portal.url,
            "intake of another key": refusing.url,
        }
        intake = {**api, "intake in trouble": f"http://127.0.0.1:{closed_port()}"}
        installation = Installation(
            folder,
            datadog_sandbox_url=sandbox.url,
            datadog_api_urls=",".join(f"{SITES[fault]}={url}" for fault, url in api.items()),
            datadog_intake_urls=",".join(f"{SITES[fault]}={url}/api/v2/logs" for fault, url in intake.items()),
        )
        with running(installation.serve("--no-worker")) as server:

            def report(fault: str) -> Any:
                wanted = {"name": fault, "site": SITES[fault], "apiKey": DATADOG_KEY}
                return server.admin.post(f"{PATH}/{server.admin.post(PATH, wanted).data['id']}/test").data

            found = dict(zip(SITES, clients.map(report, SITES), strict=True))
            wanted = {"name": "sandbox", "site": "sandbox", "apiKey": DATADOG_KEY}
            made = server.admin.post(PATH, wanted).data["id"]
            for fault, rule in SANDBOX_FAULTS.items():
                sandbox.fail({"times": 1, **rule})
                found[fault] = server.admin.post(f"{PATH}/{made}/test").data
            sandbox.accept("another-key")
            found["wrong key"] = server.admin.post(f"{PATH}/{made}/test").data
            yield found
            silent.close()
            closing_early.shutdown(socket.SHUT_RDWR)


SANDBOX_FAULTS: dict[str, dict[str, Any]] = {
    "too often": {"path": "/api/v1/validate", "status": 429, "headers": {"Retry-After": "30"}},
    "broken": {"path": "/api/v1/validate", "status": 500},
    "a page for the key": {"path": "/api/v1/validate", "status": 200, "body": PAGE},
    "key not valid": {"path": "/api/v1/validate", "status": 200, "body": {"valid": False}},
    "reset": {"path": "/api/v1/validate", "action": "reset", "times": 2},  # a GET that broke off is tried once more
    "logs too often": {"path": "/api/v2/logs", "status": 429},
    "logs broken": {"path": "/api/v2/logs", "status": 503},
    "logs refused": {"path": "/api/v2/logs", "status": 401},
    "a page for the log": {"path": "/api/v2/logs", "status": 200, "body": PAGE},
    "logs reset": {"path": "/api/v2/logs", "action": "accept_then_reset"},
    "no fault": {"path": "/api/v2/none", "status": 500},
}


def break_off(listener: socket.socket) -> None:
    """Take connections and close each without an answer, until the listener is shut."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with closing(connection):
            connection.recv(100)


class TestFindings:
    @pytest.mark.parametrize(
        ("fault", "finding", "status"),
        [
            ("no such name", "DNS", None),
            ("nobody listens", "CONNECT", None),
            ("no TLS", "TLS", None),
            ("never answers", "TIMEOUT", None),
            ("breaks off", "BROKEN", None),
            ("reset", "BROKEN", None),
            ("wrong key", "KEY_OR_SITE", 403),
            ("too often", "RATE_LIMIT", 429),
            ("broken", "SERVER_ERROR", 500),
            ("sends elsewhere", "UNEXPECTED", 302),
            ("a page for the key", "UNEXPECTED", 200),
            ("key not valid", "UNEXPECTED", 200),
        ],
    )
    def test_a_fault_of_the_api_host_is_told_at_the_first_step(self, reports, fault, finding, status):
        """What keeps the key from being validated is the only step, and has a finding of its own."""
        report = reports[fault]

        assert report["passed"] is False
        (step,) = report["steps"]
        assert (step["step"], step["finding"], step["status"]) == ("validate", finding, status)

    @pytest.mark.parametrize(
        ("fault", "finding", "status"),
        [
            ("intake in trouble", "CONNECT", None),
            ("intake of another key", "KEY_OR_SITE", 403),
            ("logs refused", "KEY_OR_SITE", 401),
            ("logs too often", "RATE_LIMIT", 429),
            ("logs broken", "SERVER_ERROR", 503),
            ("logs reset", "BROKEN", None),
            ("says a page", "UNEXPECTED", 200),
            ("a page for the log", "UNEXPECTED", 200),
        ],
    )
    def test_a_fault_of_the_intake_is_told_at_the_second_step(self, reports, fault, finding, status):
        """The intake is another host: a key that is valid does not make up for an intake that takes no log."""
        report = reports[fault]

        assert report["passed"] is False
        first, second = report["steps"]
        assert (first["step"], first["finding"]) == ("validate", "OK")
        assert (second["step"], second["finding"], second["status"]) == ("canary", finding, status)

    def test_without_a_fault_it_passes(self, reports):
        """Where nothing is wrong both steps pass."""
        report = reports["no fault"]

        assert report["passed"] is True
        assert [(step["step"], step["finding"], step["status"]) for step in report["steps"]] == [
            ("validate", "OK", 200),
            ("canary", "OK", 202),
        ]

    def test_each_finding_says_what_to_do(self, reports):
        """Every finding's sentence names the site or host it is about, differs from the others', and holds no key."""
        steps = [step for report in reports.values() for step in report["steps"] if step["finding"] != "OK"]
        by_finding = {step["finding"]: step["message"] for step in steps}

        assert len(set(by_finding.values())) == len(by_finding) == 9
        assert all(len(step["message"]) > 60 for step in steps)
        assert not [step for step in steps if DATADOG_KEY in step["message"]]
        for fault in ("no such name", "nobody listens", "no TLS", "never answers", "breaks off"):
            assert SITES[fault] in reports[fault]["steps"][0]["message"]
