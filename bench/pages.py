"""What pages and lists of traces take with a million traces stored, and what people who look at them do to decisions.

Example: python bench/pages.py --stored 1000000
"""

import argparse
import http.client
import itertools
import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from multiprocessing.synchronize import Event
from statistics import median
from urllib.parse import urlencode

from enforce import CLIENTS, WARM_UP_REQUESTS, ask, beats, bodies, pace
from execlave_server.web.routes import ROUTES
from ingest import INGEST_PATH, TRACES_PER_REQUEST, drive
from report import Target, medians, publish
from rig import Client, Product, noise_of, percentile, require_cores, scratch, sink

P50_MS_MAX = 100.0
RARE = 200  # blocked traces of one agent, all among the oldest
ASKED = 40  # times each, one after the other
PAGES_OF_CURSOR = 20
RATIO_MAX = 2.0
PAIRS = 6  # of windows, in each round
WINDOW_REQUESTS = 1_500  # decisions, five seconds
NO_PAGES = {
    "/",
    "/sign-in",
    "/traces.csv",
    "/incidents.csv",
    "/incidents.json",
    "/audit/head",
    "/audit/export",
    "/audit/evidence",
}
PLAIN_PAGES = [
    route.path for route in ROUTES if route.method == "GET" and "{" not in route.path and route.path not in NO_PAGES
]
SEARCHES = (
    "/traces?query=*:nowhere",
    "/traces/search?query=@status:error",
    "/traces?query=@duration_ms:>5000",
    "/traces?status=error",
)
EMAIL, PASSWORD = "bench@pages.example", "correct horse battery"
METHOD = f"""
One SQLite data directory with a million traces from the generator of `ingest.py` (5% errors, four agents), behind
{RARE} blocked traces of an agent of their own, so that whoever looks for those finds none on the first pages. The
server runs alone on core 0, the asking client on core 1; each address is asked {ASKED} times on one connection, after
three that are not counted. p50, p95: whole answers, seen by the client.

list_*: `GET /api/v1/traces` by a filter, 50 a page. list_deep: {PAGES_OF_CURSOR} pages along the cursor, each counted.
list_rare, list_query_nowhere: nothing is found, so that a page looks at as many as it may (50,000 entries, 2,500 logs).
timeline: `GET /api/v1/traces/ID` of a trace in the middle. page_*: the pages of the dashboard, signed in: every one of
the route table that has no parameter and is no download, a trace, an incident, and lists that find nothing.

enforce_ratio: p99 of decisions, asked as in `enforce.py` (no policies, 300 a second, {WINDOW_REQUESTS} a window), while
a person opens a page and runs a search each second from a process of their own, the pages and searches above in turn,
over that of a window without; the median of {PAIRS} pairs in each round, each pair in its own order.
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
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle too long
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


def look_around(port: int, key: str, paths: list[str], done: Event) -> None:
    """A page and a search each second."""
    visitor, client = Visitor(port), Client(port, key)
    turns = zip(itertools.cycle(paths), itertools.cycle(SEARCHES), beats(1, done), strict=False)
    for path, search, _ in turns:
        visitor.ask("GET", path)
        client.json("GET", f"/api/v1{search}")


def enforce_beside(product: Product, port: int, paths: list[str], seed: int) -> dict[str, float]:
    """How long decisions take while somebody looks around, beside how long they take alone."""
    clients = [Client(port, product.key) for _ in range(CLIENTS)]
    for number, question in enumerate(bodies(WARM_UP_REQUESTS, seed)):
        ask(clients[number % CLIENTS], question)
    found: dict[str, list[float]] = {"idle": [], "looked_at": []}
    for pair in range(PAIRS):
        for arm in sorted(found, reverse=pair % 2 == 1):
            questions = bodies(WINDOW_REQUESTS, seed + 2 * pair + (arm == "idle"))
            done = multiprocessing.Event()
            looking = multiprocessing.Process(target=look_around, args=(port, product.admin_key, paths, done))
            if arm == "looked_at":
                looking.start()
            times, _late = pace(clients, questions)
            found[arm].append(percentile(times, 99) * 1e3)
            done.set()
            if arm == "looked_at":
                looking.join()
                if looking.exitcode:
                    raise RuntimeError("who looked around was stopped; see above")
    ratios = [looked_at / idle for looked_at, idle in zip(found["looked_at"], found["idle"], strict=True)]
    p99s = {f"enforce_{arm}_p99_ms": median(times) for arm, times in found.items()}
    return {**p99s, "enforce_ratio": median(ratios)}


def run_round(product: Product, seed: int) -> dict[str, float]:
    row: dict[str, float] = {}
    asked = addresses(product)
    with noise_of(product.folder, row), product.serving(register=False) as (port, _server):
        client = Client(port, product.admin_key)
        [trace] = client.json("GET", f"/api/v1{asked['list_before']}&limit=1")["data"]
        [incident] = client.json("GET", "/api/v1/incidents?limit=1")["data"]
        figures = {name: timed(again(client, path)) for name, path in asked.items()}
        figures["list_deep"] = timed(deep(client))
        figures["timeline"] = timed(again(client, f"/traces/{trace['traceId']}"))
        pages = {"page" + path.replace("/", "_"): path for path in PLAIN_PAGES} | {
            "page_traces_rare": "/traces?agent=rare-agent",
            "page_traces_query": "/traces?query=*:nowhere",
            "page_trace": f"/traces/{trace['traceId']}",
            "page_incidents": "/incidents",
            "page_incident": f"/incidents/{incident['id']}",
        }
        visitor = Visitor(port)
        figures |= {name: timed(visits(visitor, path)) for name, path in pages.items()}
        row |= enforce_beside(product, port, list(pages.values()), seed)
    for name, times in figures.items():
        row |= {f"{name}_p50_ms": percentile(times, 50), f"{name}_p95_ms": percentile(times, 95)}
    return row


def rounds(count: int, stored: int) -> Iterator[dict[str, float]]:
    with sink() as sink_port, scratch("pages") as folder:
        product = Product(folder, sink_port)
        fill(product, stored)
        add_person(product)
        for number in range(count):
            row = run_round(product, 1_000 * number)
            worst = max((value, name) for name, value in row.items() if name.endswith("p50_ms") and "sync" not in name)
            ratio = f"enforce p99 looked at / idle {row['enforce_ratio']:.2f}"
            print(f"round {number + 1}: the slowest median is {worst[1]} with {worst[0]:.1f} ms; {ratio}", flush=True)
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
    ratio = middle["enforce_ratio"]
    targets = [
        Target(f"the slowest median is {slowest:.1f} ms, at most {P50_MS_MAX:.0f}", slowest <= P50_MS_MAX),
        Target(
            f"p99 of decisions is {ratio:.2f} of idle while pages are looked at, at most {RATIO_MAX:.0f}",
            ratio <= RATIO_MAX,
        ),
    ]
    publish("pages", METHOD, rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
