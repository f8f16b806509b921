"""How many traces a second one core commits, and what a million of them costs; beside a bare insert of the same rows.

With --policies 20, what judging by policies of the post phase costs: pairs of rounds without and with them.

Example: python bench/ingest.py --rounds 5 --seconds 5
"""

import argparse
import itertools
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from execlave_server.clock import SystemClock
from execlave_server.store.sqlite import Durability, create_database
from execlave_server.store.sqlite.connection import connect
from execlave_server.store.statements import load_statements
from report import Target, medians, publish
from rig import (
    AGENTS,
    Client,
    Product,
    cpu_seconds,
    noise_of,
    on_product_core,
    require_cores,
    scratch,
    sink,
    spread_ms,
)

CLIENTS = 8
TRACES_PER_REQUEST = 100  # the SDK's own batch
SPANS_PER_TRACE = 5
ERROR_SHARE = 0.08
TEMPLATES = 8  # request bodies that differ in everything; their ids differ in every request
WARM_UP_S = 1.0
CPU_S_PER_MILLION_MAX = 25.0
BARE_ROWS_MAX = 80_000
BARE_ROWS_PER_COMMIT = 800  # as much as eight waiting requests make
BARE_ROWS_PER_STEP = 80
SPAN_NAMES = {
    "llm": ["draft_reply", "classify_ticket"],
    "tool": ["send_email", "search_orders", "refund_order"],
    "retriever": ["search_handbook"],
}
QUESTION = '"input": "find order %06x"'
INGEST_PATH = "/api/v1/traces/ingest"

METHOD = f"""
Server: `execlave-server serve --no-worker`, its answering process alone on core 0, SQLite synchronous=FULL, one enabled
destination (each commit queues its batch). Generator on core 1: {CLIENTS} persistent connections, each sends
{TRACES_PER_REQUEST} new traces of 390 bytes on average and waits for the 202.

Traces: four registered agents, {SPANS_PER_TRACE} spans to a trace, model and token counts on a third,
{ERROR_SHARE:.0%} errors with messages that differ. A fresh data directory each round; its first second is not counted.

traces_per_s: traces answered 202 / wall time. p50, p99, max: one request of {TRACES_PER_REQUEST} traces, seen by the
client. cpu_s_per_M: user and system time of the answering process (/proc/PID/stat, all threads) per million traces.
server_core_%, generator_%: CPU time / wall time. After each round the stored rows are counted: they are exactly those
accepted.

bare_per_s: the rows the server wrote in this round, inserted into an empty database of the same schema by one thread on
core 0 through apsw, {BARE_ROWS_PER_STEP} rows a statement, {BARE_ROWS_PER_COMMIT} a transaction, synchronous=FULL, no
checkpoint. ratio: traces_per_s / bare_per_s.

"""

# Twenty policies of the post phase, none of which objects to these traces: each rule in each of the four modes.
POST_MIX = [
    ("access_control", {"denied_tools": ["drop_*", "*_secret"]}),
    ("access_control", {"allowed_tools": ["send_*", "search_orders", "refund_order"]}),
    ("access_control", {"environments": ["production", "staging"]}),
    ("cost_limit", {"max_cost_per_execution": 5}),
    ("data_restriction", {"max_records": 1_000, "denied_sources": ["hr_*"]}),
]
MODES = ("block", "warn", "require_approval", "monitor")
POLICIES_RATIO_MIN = 0.7
POLICIES_METHOD = """
As ingest.py without options, but for the bare insert. A pair is a round without policies and one with so many of the
post phase, in turn first and second; each on a fresh data directory. The policies apply to every agent: 12
access_control (wildcards, an allow list, environments), 4 cost_limit, 4 data_restriction for twenty, a fourth of them
in each mode, none of which objects; no expression, validator or text. ratio: traces_per_s with them / without, of the
pair.
"""


class TraceBodies:
    """Requests of traces as the SDK sends them; every id is new, the rest repeats after TEMPLATES requests."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._templates = [self._template() for _ in range(TEMPLATES)]
        self._next = itertools.cycle(self._templates)

    def body(self) -> bytes:
        """A new request body."""
        bits, ids = self._random.getrandbits, []
        for _ in range(TRACES_PER_REQUEST // SPANS_PER_TRACE):
            trace, session, root = bits(64), bits(32), bits(64)
            ids += (trace, session, root, bits(24))
            for _child in range(SPANS_PER_TRACE - 1):
                ids += (trace, session, bits(64), root, bits(24))
        return next(self._next) % tuple(ids)

    def _template(self) -> bytes:
        items = [self._item(number % SPANS_PER_TRACE) for number in range(TRACES_PER_REQUEST)]
        return ('{"traces": [' + ", ".join(items) + "]}").encode()

    def _item(self, position: int) -> str:
        pick, number = self._random.choice, self._random.randrange
        kind = pick(list(SPAN_NAMES))
        failed = self._random.random() < ERROR_SHARE
        status = "error" if failed else "success"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        model = ""
        if kind == "llm":
            tokens = f'"promptTokens": {number(200, 9_000)}, "completionTokens": {number(10, 900)}'
            model = f'"modelName": "{pick(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"])}", {tokens}, '
        error = '"errorType": "ToolError", "errorMessage": "order %06x was not found in region eu-west"'
        parent = '"sp_%016x"' if position else "null"
        return (
            f'{{"traceId": "tr_%016x", "agentId": "{pick(list(AGENTS))}", "sessionId": "se_%08x", '
            f'"timestamp": "{stamp}", "durationMs": {number(3, 4_000)}, "status": "{status}", '
            f'{model}"environment": "production", "metadata": {{"spanId": "sp_%016x", "parentSpanId": {parent}, '
            f'"spanKind": "{kind}", "spanName": "{pick(SPAN_NAMES[kind])}"}}, '
            f"{error if failed else QUESTION}}}"
        )


def drive(port: int, key: str, more: Callable[[], bool], seed: int) -> tuple[list[float], int]:
    """Send from every connection while `more()` says so; the time of each request, and how many traces were taken."""

    def send(bodies: TraceBodies) -> list[float]:
        client, times = Client(port, key), []
        while more():
            body = bodies.body()
            started = time.perf_counter()
            status, answer = client.request("POST", INGEST_PATH, body)
            times.append(time.perf_counter() - started)
            if status != 202 or b'"accepted":%d,"failed":0' % TRACES_PER_REQUEST not in answer:
                raise RuntimeError(f"the server did not take every trace: {status} {answer[:300]}")
        return times

    bodies = [TraceBodies(seed * CLIENTS + number) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as threads:
        times = list(itertools.chain.from_iterable(threads.map(send, bodies)))
    return times, len(times) * TRACES_PER_REQUEST


def until(seconds: float) -> Callable[[], bool]:
    """True for so long."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() < deadline


def bare_rate(product: Product) -> float:
    """Rows a second of a bare multi-row insert of what the server wrote."""
    statement = load_statements("sqlite")["insert_traces"]
    source = apsw.Connection(str(product.database), flags=apsw.SQLITE_OPEN_READONLY)
    columns = ", ".join(statement.parameters)
    rows = list(source.execute(f"select {columns} from traces order by id limit {BARE_ROWS_MAX}"))  # noqa: S608 - ours
    source.close()
    path = product.folder / "bare.db"
    create_database(path, SystemClock())
    connection = connect(path, Durability.FULL, cache_kib=64_000)
    insert = statement.for_rows(BARE_ROWS_PER_STEP)
    rows = rows[: len(rows) - len(rows) % BARE_ROWS_PER_COMMIT]
    with on_product_core():
        started = time.perf_counter()
        for start in range(0, len(rows), BARE_ROWS_PER_COMMIT):
            connection.execute("begin immediate")
            for step in range(start, start + BARE_ROWS_PER_COMMIT, BARE_ROWS_PER_STEP):
                connection.execute(insert, list(itertools.chain.from_iterable(rows[step : step + BARE_ROWS_PER_STEP])))
            connection.execute("commit")
        rate = len(rows) / (time.perf_counter() - started)
    connection.close()
    return rate


def post_policies(count: int) -> list[dict]:
    """So many of the mix, over and over."""
    made = []
    for number in range(count):
        policy_type, rule = POST_MIX[number % len(POST_MIX)]
        mode = MODES[number // len(POST_MIX) % len(MODES)]
        named = {"name": f"{policy_type} {number}", "policyType": policy_type, "enforcementMode": mode}
        made.append(named | {"ruleDefinition": rule, "phase": "post"})
    return made


def run_round(
    folder: Path, sink_port: int, seconds: float, seed: int, *, policies: int = 0, bare: bool = True
) -> dict[str, float]:
    product, row = Product(folder, sink_port), {}
    with noise_of(folder, row):
        with product.serving() as (port, server):
            product.add_policies(port, post_policies(policies))
            _, warm = drive(port, product.key, until(WARM_UP_S), 2 * seed)
            cpu, own_cpu, started = cpu_seconds(server), time.process_time(), time.perf_counter()
            times, traces = drive(port, product.key, until(seconds), 2 * seed + 1)
            wall = time.perf_counter() - started
            cpu, own_cpu = cpu_seconds(server) - cpu, time.process_time() - own_cpu
        row["traces_per_s"] = traces / wall
        spread_ms(row, times)
        row |= {"cpu_s_per_M": cpu / traces * 1e6, "server_core_%": 100 * cpu / wall}
        row["generator_%"] = 100 * own_cpu / wall
        if bare:
            row["bare_per_s"] = bare_rate(product)
            row["ratio"] = row["traces_per_s"] / row["bare_per_s"]
    stored = product.count("select count(*) from traces")
    if stored != warm + traces:
        raise RuntimeError(f"{warm + traces} traces were accepted, {stored} are stored")
    return row


def rounds(count: int, seconds: float) -> Iterator[dict[str, float]]:
    with sink() as sink_port:
        for number in range(count):
            with scratch("ingest") as folder:
                row = run_round(folder, sink_port, seconds, number)
            print(
                f"round {number + 1}: {row['traces_per_s']:,.0f} traces/s, {row['cpu_s_per_M']:.1f} CPU s/M", flush=True
            )
            yield row


def pairs(count: int, seconds: float, policies: int) -> Iterator[dict[str, float]]:
    """Rounds without and with policies, which of them is first in turn."""
    with sink() as sink_port:
        for number in range(count):
            found = {}
            for arm in (0, policies) if number % 2 == 0 else (policies, 0):
                with scratch("ingest") as folder:
                    found[arm] = run_round(folder, sink_port, seconds, number, policies=arm, bare=False)
            row = {
                f"{arm}_{name}": found[arm][name]
                for arm in (0, policies)
                for name in ("traces_per_s", "cpu_s_per_M", "p99_ms", "steal_%", "fdatasync_p50_ms")
            }
            row["ratio"] = row[f"{policies}_traces_per_s"] / row["0_traces_per_s"]
            rates = f"{row['0_traces_per_s']:,.0f} traces/s without, {row[f'{policies}_traces_per_s']:,.0f} with"
            print(f"pair {number + 1}: {rates}, ratio {row['ratio']:.2f}", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="counted in each round")
    options.add_argument("--policies", type=int, default=0, help="of the post phase; compares pairs with and without")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    if chosen.policies:
        rows = list(pairs(chosen.rounds, chosen.seconds, chosen.policies))
        ratio = medians(rows)["ratio"]
        text = f"with {chosen.policies} policies {ratio:.2f} of none, at least {POLICIES_RATIO_MIN}"
        target = Target(text, ratio >= POLICIES_RATIO_MIN)
        publish("ingest_policies", POLICIES_METHOD, rows, [target], save=chosen.save)
        return
    rows = list(rounds(chosen.rounds, chosen.seconds))
    cpu = medians(rows)["cpu_s_per_M"]
    target = Target(
        f"{cpu:.1f} CPU s per million traces, at most {CPU_S_PER_MILLION_MAX:.0f}", cpu <= CPU_S_PER_MILLION_MAX
    )
    publish("ingest", METHOD, rows, [target], save=chosen.save)


if __name__ == "__main__":
    main()
