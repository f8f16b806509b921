"""What a sweep and a backup cost those who wait for a decision meanwhile, and what becomes of the space.

Example: python bench/sweep.py --rounds 3
"""

import argparse
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from enforce import CLIENTS, REQUESTS_PER_S, WARM_UP_REQUESTS, ask, bodies, pace
from ingest import INGEST_PATH, TraceBodies
from report import Target, medians, publish
from rig import Client, Product, noise_of, percentile, require_cores, scratch, sink

TRACES = 100_000  # past their retention, and as many that are not
SECONDS = 6.0
P99_MS_MORE_MAX = 10.0  # than without: one step of the sweep that is met head on
DAY_US = 86_400_000_000
METHOD = f"""
Load: {REQUESTS_PER_S} enforce calls a second for {SECONDS:.0f} s as in `enforce`, on a database with {2 * TRACES:,}
traces of which {TRACES:,} are 100 days old and delivered. Server on core 0, everything else on core 1, each arm on a
copy of the same data directory.

off: nothing else. server: the server sweeps by itself (it begins as it starts). command: `execlave-server sweep` as a
process of its own. backup: `execlave-server backup` to the same disk.

work_s: how long the sweep or backup took. swept_mb, refilled_mb: the database file after the server's sweep, and after
as many traces were stored again.
"""


def fill(port: int, key: str, seed: int) -> None:
    client, made = Client(port, key), TraceBodies(seed)
    for _ in range(TRACES // 100):
        status, answer = client.request("POST", INGEST_PATH, made.body())
        if status != 202:
            raise RuntimeError(f"traces were answered {status}: {answer[:300]}")


def prepare(product: Product) -> None:
    with product.serving() as (port, _):
        fill(port, product.key, 1)
        middle = product.count("select max(id) from batches")
        fill(port, product.key, 2)
    old = f"update batches set received_at_us = received_at_us - {100 * DAY_US} where id <= {middle}"  # noqa: S608
    product.change(old)
    product.change("update outbox set due_at_us = null, accepted_count = log_count")


def measured(product: Product, retention_days: int, work: Callable[[Product], None]) -> tuple[list[float], float]:
    """The times of the enforce calls, and how long the work beside them took."""
    product.set(retention_days=str(retention_days))
    questions = bodies(WARM_UP_REQUESTS + int(REQUESTS_PER_S * SECONDS), 7)
    with product.serving() as (port, _):
        clients = [Client(port, product.key) for _ in range(CLIENTS)]
        took: list[float] = []

        def run() -> None:
            started = time.perf_counter()
            work(product)
            took.append(time.perf_counter() - started)

        thread = threading.Thread(target=run)
        thread.start()
        for number, question in enumerate(questions[:WARM_UP_REQUESTS]):
            ask(clients[number % CLIENTS], question)
        times, _ = pace(clients, questions[WARM_UP_REQUESTS:])
        thread.join()
    return times, took[0]


def command(*arguments: str) -> Callable[[Product], None]:
    def run(product: Product) -> None:
        program = [sys.executable, "-m", "execlave_server", *arguments, "--data-dir", str(product.data_dir)]
        done = subprocess.run(program, env=product.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)

    return run


def until_swept(product: Product) -> None:
    before_us = int(time.time() * 1e6) - DAY_US
    while product.count(f"select count(*) from batches where received_at_us < {before_us}"):  # noqa: S608
        time.sleep(0.05)


def run_round(folder: Path, sink_port: int) -> dict[str, float]:
    product, row = Product(folder, sink_port), {}
    prepare(product)
    arms = {
        "off": (0, lambda _: None),
        "server": (90, until_swept),
        "command": (0, command("sweep", "--days", "90")),
        "backup": (0, command("backup", "--to", str(folder / "backup.db"))),
    }
    with noise_of(folder, row):
        for name, (retention_days, work) in arms.items():
            with product.copied() as twin:
                times, work_s = measured(twin, retention_days, work)
                row |= {f"{name}_p50_ms": percentile(times, 50) * 1e3, f"{name}_p99_ms": percentile(times, 99) * 1e3}
                row[f"{name}_max_ms"] = max(times) * 1e3
                if name != "off":
                    row[f"{name}_work_s"] = work_s
                if name == "server":
                    row["swept_mb"] = twin.database.stat().st_size / 1e6
                    with twin.serving() as (port, _):
                        fill(port, twin.key, 3)
                    row["refilled_mb"] = twin.database.stat().st_size / 1e6
    with contextlib.suppress(FileNotFoundError):
        row["backup_mb"] = (folder / "backup.db").stat().st_size / 1e6
    return row


def rounds(count: int) -> Iterator[dict[str, float]]:
    with sink() as sink_port:
        for number in range(count):
            with scratch("sweep") as folder:
                row = run_round(folder, sink_port)
            print(f"round {number + 1}: " + ", ".join(f"{k} {v:.2f}" for k, v in row.items() if "p99" in k), flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = list(rounds(chosen.rounds))
    middle = medians(rows)
    more = middle["server_p99_ms"] - middle["off_p99_ms"]
    grown = middle["refilled_mb"] / middle["swept_mb"]
    targets = [
        Target(
            f"p99 is {more:.1f} ms more while the server sweeps, at most {P99_MS_MORE_MAX}", more <= P99_MS_MORE_MAX
        ),
        Target(
            f"the file grows to {grown:.2f} of itself when the swept space is filled again, at most 1.1", grown <= 1.1
        ),
    ]
    publish("sweep", METHOD, rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
