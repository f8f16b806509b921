"""What pages and lists of traces take with a million traces stored.

Example: python bench/pages.py --stored 1000000
"""

import argparse
import http.client
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from ingest import INGEST_PATH, TRACES_PER_REQUEST, drive
from report import Target, medians, publish
from rig import Client, Product, noise_of, percentile, require_cores, scratch, sink

P50_MS_MAX = 100.0
RARE = 200  # blocked traces of one agent, all among the oldest
ASKED = 40  # times each, one after the other
PAGES_OF_CURSOR = 20
EMAIL, PASSWORD = "bench@pages.example", "correct horse battery"
METHOD = f"""
One SQLite data directory with a million traces from the generator of `ingest.py` (5% errors, four agents), behind
{RARE} blocked traces of an agent of their own, so that whoever looks for those finds none on the first pages. The
server runs alone on core 0, the asking client on core 1; each address is asked {ASKED} times on one connection, after
three that are not counted. p50, p95: whole answers, seen by the client.

list_*: `GET /api/v1/traces` by a filter, 50 a page. list_deep: {PAGES_OF_CURSOR} pages along the cursor, each counted.
list_rare, list_query_nowhere: nothing is found, so that a page looks at as many as it may (50,000 entries, 4,000 logs).
timeline: `GET /api/v1/traces/ID` of a trace in the middle. page_*: the pages of the dashboard, signed in.
"""


def fill(product: Product, stored: int) -> None:
    """The rare ones first, then everything else."""
    with product.serving() as (port, _server):
        client = Client(port, product.key)
        items = [
            {
                "traceId": f"rare-{number}",
                "agentId": "rare-agent",
                "status": "policy_blocked",
                "environment": "staging",
                "metadata": {"spanId": f"s{number}", "spanName": "wipe_disk"},
            }
            for number in range(RARE)
        ]
        client.json("POST", INGEST_PATH, {"traces": items})
        requests = itertools.count()
        drive(port, product.key, lambda: next(requests) < stored // TRACES_PER_REQUEST, seed=3)


def add_person(product: Product) -> None:
    command = [sys.executable, "-m", "execlave_server", "user", "add", EMAIL, "--role", "owner"]
    command += ["--data-dir", str(product.data_dir)]
    done = subprocess.run(command, input=PASSWORD, env=product.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


class Visitor:
    """A signed-in browser on one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookies: dict[str, str] = {}
        form = self.ask("GET", "/sign-in")
        token = re.findall(rb'name="csrf" value="([^"]+)"', form)[0].decode()
        fields = {"email": EMAIL, "password": PASSWORD, "csrf": token, "next": "/settings"}
        self.ask("POST", "/sign-in", urlencode(fields))

    def ask(self, method: str, path: str, body: str | None = None) -> bytes:
        """The answer's body. Raises RuntimeError for an error."""
        headers = {"Cookie": "; ".join(f"{name}={text}" for name, text in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        for header in answer.headers.get_all("set-cookie") or []:
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {content[:300]!r}")
        return content


def addresses(product: Product) -> dict[str, str]:
    """What is asked of the API, by the name of its figures."""
    middle = product.count("select id from batches order by id limit 1 offset (select count(*) / 2 from batches)")
    at_us = product.count(f"select received_at_us from batches where id = {middle}")  # noqa: S608 - a number
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_us // 1_000_000 + 1))
    return {
        "list": "/traces",
        "list_status": "/traces?status=error",
        "list_agent": "/traces?agent=ops-agent",
        "list_agent_status_type": "/traces?agent=ops-agent&status=error&type=tool",
        "list_environment": "/traces?environment=production",
        "list_before": f"/traces?to={moment}",
        "list_between": f"/traces?from={moment}&status=error",
        "list_query": "/traces?query=*:found",
        "list_query_nowhere": "/traces?query=*:nowhere",
        "list_rare": "/traces?agent=rare-agent",
        "list_rare_status": "/traces?status=policy_blocked&environment=staging",
        "incidents": "/incidents",
    }


def timed(ask: Iterator[None]) -> list[float]:
    """The milliseconds of each step, the first three not counted."""
    times = []
    while True:
        started = time.perf_counter()
        if next(ask, "end") == "end":
            return times[3:]
        times.append((time.perf_counter() - started) * 1e3)


def again(client: Client, path: str) -> Iterator[None]:
    for _ in range(ASKED + 3):
        client.json("GET", f"/api/v1{path}")
        yield


def deep(client: Client) -> Iterator[None]:
    before = ""
    for _ in range(PAGES_OF_CURSOR + 3):
        page = client.json("GET", f"/api/v1/traces?status=error{before}")
        before = f"&before={page['meta']['next']}"
        yield


def visits(visitor: Visitor, path: str) -> Iterator[None]:
    for _ in range(ASKED + 3):
        visitor.ask("GET", path)
        yield


def run_round(product: Product) -> dict[str, float]:
    row: dict[str, float] = {}
    asked = addresses(product)
    with noise_of(product.folder, row), product.serving(register=False) as (port, _server):
        client, visitor = Client(port, product.admin_key), Visitor(port)
        [trace] = client.json("GET", f"/api/v1{asked['list_before']}&limit=1")["data"]
        [incident] = client.json("GET", "/api/v1/incidents?limit=1")["data"]
        figures = {name: timed(again(client, path)) for name, path in asked.items()}
        figures["list_deep"] = timed(deep(client))
        figures["timeline"] = timed(again(client, f"/traces/{trace['traceId']}"))
        pages = {
            "page_traces": "/traces",
            "page_traces_rare": "/traces?agent=rare-agent",
            "page_traces_query": "/traces?query=*:nowhere",
            "page_trace": f"/traces/{trace['traceId']}",
            "page_incidents": "/incidents",
            "page_incident": f"/incidents/{incident['id']}",
        }
        figures |= {name: timed(visits(visitor, path)) for name, path in pages.items()}
    for name, times in figures.items():
        row |= {f"{name}_p50_ms": percentile(times, 50), f"{name}_p95_ms": percentile(times, 95)}
    return row


def rounds(count: int, stored: int) -> Iterator[dict[str, float]]:
    with sink() as sink_port, scratch("pages") as folder:
        product = Product(folder, sink_port)
        fill(product, stored)
        add_person(product)
        for number in range(count):
            row = run_round(product)
            worst = max((value, name) for name, value in row.items() if name.endswith("p50_ms") and "sync" not in name)
            print(f"round {number + 1}: the slowest median is {worst[1]} with {worst[0]:.1f} ms", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--stored", type=int, default=1_000_000, help="traces before the first round")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = list(rounds(chosen.rounds, chosen.stored))
    middle = medians(rows)
    slowest = max(value for name, value in middle.items() if name.endswith("_p50_ms") and "fdatasync" not in name)
    target = Target(f"the slowest median is {slowest:.1f} ms, at most {P50_MS_MAX:.0f}", slowest <= P50_MS_MAX)
    publish("pages", METHOD, rows, [target], save=chosen.save)


if __name__ == "__main__":
    main()
