"""Does a long backlog cost memory or pace? A hundred thousand waiting logs beside a million; and a restart with them.

Example: python bench/backlog.py --rounds 3 --logs 1000000
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from export import DRAIN_WITHIN_S, STILL_WAITING, fill
from report import Target, medians, publish
from rig import Client, Product, cpu_seconds, noise_of, peak_rss_mb, require_cores, scratch, sink

SMALL_SHARE = 10  # the short backlog is this many times shorter
RSS_RATIO_MAX = 1.10
PACE_RATIO_MIN = 0.90
RESTART_S_MAX = 2.0
LOOK_EVERY_S = 0.02
METHOD = f"""
Two backlogs made as in `export.py`, the long one {SMALL_SHARE} times the short one, each on disk before its round; both
are drained in every round, one after the other, by a fresh `execlave-server worker` alone on core 0 into the sink on
core 1, which counts afterwards that every log arrived and none twice.

rss_long_MB, rss_short_MB: VmHWM of the worker at its end; rss_ratio their quotient. pace_ratio: logs a second in the
second half of the long drain, over those of its first half. start_s: from the start of `serve --no-worker` on the long
backlog, before anything is drained, to the first `/ready` answered 200; worker_start_s: from the start of `worker` on
it to the first log's arrival.
"""


def drain(product: Product, sink_port: int, logs: int) -> tuple[float, list[int], float]:
    """Deliver everything: the worker's peak memory in MB, when each request arrived, seconds to the first."""
    waiting = apsw.Connection(str(product.database), flags=apsw.SQLITE_OPEN_READONLY)
    started = time.monotonic_ns()
    with product.working() as worker:
        cpu_seconds(worker)
        deadline = time.monotonic() + DRAIN_WITHIN_S
        while waiting.execute(STILL_WAITING).fetchone()[0]:
            if time.monotonic() > deadline:
                raise TimeoutError("the backlog was not delivered in time")
            time.sleep(LOOK_EVERY_S)
        rss = peak_rss_mb(worker)
    waiting.close()
    counted = Client(sink_port).json("GET", "/sink/count")
    if not counted["logs"] == counted["distinct"] == logs:
        raise RuntimeError(f"{logs} logs were to arrive; {counted['logs']} did, {counted['distinct']} different")
    arrived = counted["arrived_ns"]
    return rss, arrived, (arrived[0] - started) / 1e9


def pace_ratio(arrived: Sequence[int]) -> float:
    """Requests a second in the second half of a drain over those in its first."""
    middle = len(arrived) // 2
    return (arrived[middle] - arrived[0]) / (arrived[-1] - arrived[middle])


def restart_s(product: Product) -> float:
    """Seconds from the command to a server that answers."""
    started = time.monotonic()
    with product.serving(register=False) as (port, _server):
        if Client(port).request("GET", "/ready")[0] != 200:
            raise RuntimeError("the server is not ready")
        return time.monotonic() - started


def run_round(long: Product, short: Product, sink_port: int, logs: int) -> dict[str, float]:
    row: dict[str, float] = {}
    with long.copied() as product, noise_of(product.folder, row):
        row["start_s"] = restart_s(product)
        long_rss, arrived, row["worker_start_s"] = drain(product, sink_port, logs)
    with short.copied() as product:
        short_rss, _, _ = drain(product, sink_port, logs // SMALL_SHARE)
    row |= {"rss_long_MB": long_rss, "rss_short_MB": short_rss, "rss_ratio": long_rss / short_rss}
    row |= {"logs_per_s": logs / ((arrived[-1] - arrived[0]) / 1e9), "pace_ratio": pace_ratio(arrived)}
    return row


def rounds(count: int, logs: int) -> Iterator[dict[str, float]]:
    with sink() as sink_port, scratch("backlog") as folder:
        products = []
        for name, size in (("long", logs), ("short", logs // SMALL_SHARE)):
            place = Path(folder / name)
            place.mkdir()
            product = Product(place, sink_port)
            fill(product, size)
            products.append(product)
        Client(sink_port).json("GET", "/sink/count")  # forget the logs that tested the connections
        for number in range(count):
            row = run_round(products[0], products[1], sink_port, logs)
            print(f"round {number + 1}: {row['rss_long_MB']:.0f} MB beside {row['rss_short_MB']:.0f} MB", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--logs", type=int, default=1_000_000, help="in the long backlog")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = list(rounds(chosen.rounds, chosen.logs))
    middle = medians(rows)
    rss, pace, start = middle["rss_ratio"], middle["pace_ratio"], middle["start_s"]
    targets = [
        Target(f"peak memory {rss:.2f} of the short backlog's, at most {RSS_RATIO_MAX:.2f}", rss <= RSS_RATIO_MAX),
        Target(f"second half at {pace:.2f} of the first's pace, at least {PACE_RATIO_MIN}", pace >= PACE_RATIO_MIN),
        Target(f"a restart in {start:.2f} s, at most {RESTART_S_MAX:.0f}", start <= RESTART_S_MAX),
    ]
    publish("backlog", METHOD, rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
