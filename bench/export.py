"""How fast one core streams a committed backlog to the intake, beside LiteLLM's Datadog logger on the same logs.

Example: python bench/export.py --rounds 5 --logs 200000
"""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import apsw
import msgspec

from ingest import TRACES_PER_REQUEST, drive
from report import Target, medians, publish
from rig import (
    DATADOG_KEY,
    Client,
    Product,
    cpu_seconds,
    noise_of,
    on_product_core,
    peak_rss_mb,
    require_cores,
    scratch,
    sink,
    spread_ms,
)

CPU_S_PER_MILLION_MAX = 8.0
PEAK_RSS_MB_MAX = 96.0
DRAIN_WITHIN_S = 120.0
LOOK_EVERY_S = 0.02
STILL_WAITING = "select exists (select 1 from outbox where due_at_us is not null)"
METHOD = """
Backlog: traces sent over HTTP by the generator of `ingest.py` to `serve --no-worker`, committed and queued for one
enabled destination, so that batches are as large as group commit makes them. Every round starts from a copy of it, on
disk and in the system's cache.

Worker: `execlave-server worker` alone on core 0: it reads, packs, gzips, POSTs and writes the result of each batch.
Sink on core 1: answers 202 at once and keeps the bytes; after each round they are decompressed and counted: every log
is there, none twice. logs_per_s: from the worker being ready to the last request's arrival. cpu_s_per_M: user and
system time of the worker (/proc/PID/stat, all threads) from being ready until the ledger says that all is delivered,
per million logs; with_start: the same from its first instruction, the interpreter's start included. rss_MB: VmHWM, the
most it ever had resident. p50, p99, max: between two requests at the sink. wire_B, log_B: bytes a log, compressed and
not.

LiteLLM: its DataDogLogger in a process of its own on core 0, same sink, the first logs of the same backlog as the same
JSON objects. llm_per_s, llm_cpu_s_per_M: its own queue, batching, size check, gzip and POST (`log_queue`, and
`flush_queue` at its `batch_size`, as its event handler does), without building the payloads; llm_event_cpu_s_per_M: the
same through `async_log_success_event`, which builds them. Its import and its first request are not counted. cpu_ratio:
llm_cpu_s_per_M / cpu_s_per_M; rate_ratio: logs_per_s / llm_per_s. The order of the two alternates.
"""


def fill(product: Product, logs: int) -> None:
    """Commit that many traces, a whole number of requests."""
    requests = itertools.count()
    with product.serving() as (port, _server):
        drive(port, product.key, lambda: next(requests) < logs // TRACES_PER_REQUEST, seed=7)


def drain(product: Product, sink_port: int, logs: int, sample: int) -> tuple[dict[str, float], list[msgspec.Raw]]:
    """Let the worker deliver everything; what it took, and the first logs as they arrived."""
    client = Client(sink_port)
    waiting = apsw.Connection(str(product.database), flags=apsw.SQLITE_OPEN_READONLY)
    with product.working() as worker:
        cpu_start, started = cpu_seconds(worker), time.monotonic()
        while waiting.execute(STILL_WAITING).fetchone()[0]:
            if time.monotonic() > started + DRAIN_WITHIN_S:
                raise TimeoutError("the backlog was not delivered in time")
            time.sleep(LOOK_EVERY_S)
        cpu_end, rss = cpu_seconds(worker), peak_rss_mb(worker)
    waiting.close()
    _, first_logs = client.request("GET", f"/sink/first/{sample}")
    counted = client.json("GET", "/sink/count")
    _require_all(counted, logs)
    arrived = counted["arrived_ns"]
    row = {"logs_per_s": logs / (arrived[-1] / 1e9 - started), "cpu_s_per_M": (cpu_end - cpu_start) / logs * 1e6}
    row |= {"with_start": cpu_end / logs * 1e6, "rss_MB": rss}
    spread_ms(row, [(later - sooner) / 1e9 for sooner, later in pairwise(arrived)])
    row |= {"logs_per_request": logs / len(arrived), "wire_B": counted["wire_bytes"] / logs}
    row["log_B"] = counted["bytes"] / logs
    return row, msgspec.json.decode(first_logs, type=list[msgspec.Raw])


def _require_all(counted: dict, logs: int) -> None:
    if not counted["logs"] == counted["distinct"] == logs:
        raise RuntimeError(
            f"{logs} logs were to arrive; {counted['logs']} did, {counted['distinct']} of them different"
        )


def run_peer(folder: Path, sink_port: int, logs: list[bytes]) -> dict[str, float]:
    """LiteLLM's logger on the same logs, in a process of its own."""
    file = folder / "logs.json"
    file.write_bytes(b"[" + b",".join(logs) + b"]")
    environment = os.environ | {
        "DD_API_KEY": DATADOG_KEY,
        "DD_SITE": "datadoghq.com",
        "DD_BASE_URL": f"http://127.0.0.1:{sink_port}",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # its import would fetch a price table
    }
    command = [sys.executable, __file__, "--peer", str(file)]
    with on_product_core():
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    counted = Client(sink_port).json("GET", "/sink/count")
    expected = 1 + 2 * len(logs)
    if counted["logs"] != expected:
        raise RuntimeError(f"LiteLLM's logger delivered {counted['logs']} of {expected} logs: {done.stderr[-500:]}")
    return found


async def _peer(logs: list[dict]) -> dict[str, float]:
    from litellm.integrations.datadog.datadog import DataDogLogger  # noqa: PLC0415 - heavy, and only for this process

    logger = DataDogLogger()
    logger.log_queue.append(logs[0])
    await logger.flush_queue()  # what it imports and connects on first use
    cpu, started = time.process_time(), time.perf_counter()
    for log in logs:
        logger.log_queue.append(log)
        if len(logger.log_queue) >= logger.batch_size:
            await logger.flush_queue()
    await logger.flush_queue()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - started
    event_cpu = time.process_time()
    for log in logs:
        await logger.async_log_success_event({"standard_logging_object": log}, None, None, None)
    await logger.flush_queue()
    event_cpu = time.process_time() - event_cpu
    found = {"llm_per_s": len(logs) / wall, "llm_cpu_s_per_M": cpu / len(logs) * 1e6}
    return found | {"llm_event_cpu_s_per_M": event_cpu / len(logs) * 1e6, "llm_rss_MB": peak_rss_mb()}


def run_round(
    filled: Product, sink_port: int, logs: int, peer_logs: int, earlier: list[bytes]
) -> tuple[dict[str, float], list[bytes]]:
    """One drain of a copy of the backlog, and LiteLLM's logger on its first logs; given earlier ones, it goes first."""
    row: dict[str, float] = {}
    peer: dict[str, float] = {}
    with filled.copied() as product, noise_of(product.folder, row):
        if earlier:
            peer = run_peer(product.folder, sink_port, earlier)
        drained, first = drain(product, sink_port, logs, peer_logs)
        if peer_logs and not earlier:
            peer = run_peer(product.folder, sink_port, first)
    if peer:
        peer["cpu_ratio"] = peer["llm_cpu_s_per_M"] / drained["cpu_s_per_M"]
        peer["rate_ratio"] = drained["logs_per_s"] / peer["llm_per_s"]
    return drained | peer | row, first


def rounds(count: int, logs: int, peer_logs: int) -> Iterator[dict[str, float]]:
    first: list[bytes] = []
    with sink() as sink_port, scratch("export") as folder:
        filled = Product(folder, sink_port)
        fill(filled, logs)
        Client(sink_port).json("GET", "/sink/count")  # forget the log that tested the connection
        for number in range(count):
            row, first = run_round(filled, sink_port, logs, peer_logs, first if number % 2 else [])
            print(f"round {number + 1}: {row['logs_per_s']:,.0f} logs/s, {row['cpu_s_per_M']:.2f} CPU s/M", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--logs", type=int, default=200_000, help="in the backlog")
    options.add_argument("--peer-logs", type=int, default=20_000, help="for LiteLLM's logger; 0 leaves it out")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    options.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.peer:
        print(json.dumps(asyncio.run(_peer(json.loads(chosen.peer.read_bytes())))))
        return
    require_cores()
    peer_logs = min(chosen.peer_logs, chosen.logs)
    if importlib.util.find_spec("litellm") is None:
        print("LiteLLM is not installed and will not be measured; `make bench` installs it.")
        peer_logs = 0
    rows = list(rounds(chosen.rounds, chosen.logs, peer_logs))
    middle = medians(rows)
    cpu, rss = middle["cpu_s_per_M"], middle["rss_MB"]
    targets = [
        Target(f"{cpu:.2f} CPU s per million logs, at most {CPU_S_PER_MILLION_MAX:.0f}", cpu <= CPU_S_PER_MILLION_MAX),
        Target(f"peak RSS {rss:.1f} MB, at most {PEAK_RSS_MB_MAX:.0f}", rss <= PEAK_RSS_MB_MAX),
    ]
    peer = f"LiteLLM: {importlib.metadata.version('litellm')}." if peer_logs else "LiteLLM was not measured."
    publish("export", f"{METHOD}\n{peer}", rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
