"""Does the store slow down as it grows? Ingest into a database of five million traces beside an empty one.

Example: python bench/grown.py --rounds 3 --stored 5000000
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from ingest import TRACES_PER_REQUEST, WARM_UP_S, drive, until
from report import Target, medians, publish
from rig import Product, cpu_seconds, noise_of, require_cores, scratch, sink

RATIO_MIN = 0.7
METHOD = f"""
Two data directories: one is filled over HTTP with the generator of `ingest.py` before the first round, the other is
new in every round. A round ingests for the same time into each, one after the other, the order alternating, with the
server alone on core 0, after {WARM_UP_S:.0f} s that are not counted. Every index is kept up, the one by trace id too.

empty_per_s, grown_per_s: traces answered 202 a second; ratio: grown over empty. cpu_ratio: the server's CPU time a
trace in the grown one over that in the empty one. The grown one keeps what the rounds add.
"""


def rate(product: Product, seconds: float, seed: int) -> tuple[float, float]:
    """Traces a second, and CPU seconds per million."""
    with product.serving() as (port, server):
        drive(port, product.key, until(WARM_UP_S), 2 * seed)
        cpu, started = cpu_seconds(server), time.perf_counter()
        _, traces = drive(port, product.key, until(seconds), 2 * seed + 1)
        return traces / (time.perf_counter() - started), (cpu_seconds(server) - cpu) / traces * 1e6


def run_round(folder: Path, sink_port: int, grown: Product, seconds: float, number: int) -> dict[str, float]:
    row: dict[str, float] = {}
    place = folder / f"empty-{number}"
    place.mkdir()
    with noise_of(folder, row):
        pair = [("empty", Product(place, sink_port)), ("grown", grown)]
        for name, product in pair if number % 2 else reversed(pair):
            row[f"{name}_per_s"], row[f"{name}_cpu_s_per_M"] = rate(product, seconds, 10 + number)
    row["ratio"] = row["grown_per_s"] / row["empty_per_s"]
    row["cpu_ratio"] = row["grown_cpu_s_per_M"] / row["empty_cpu_s_per_M"]
    row["stored"] = grown.count("select coalesce(sum(trace_count), 0) from batches")
    return row


def rounds(count: int, stored: int, seconds: float) -> Iterator[dict[str, float]]:
    with sink() as sink_port, scratch("grown") as folder:
        place = folder / "grown"
        place.mkdir()
        grown = Product(place, sink_port)
        requests = itertools.count()
        with grown.serving() as (port, _server):
            drive(port, grown.key, lambda: next(requests) < stored // TRACES_PER_REQUEST, seed=1_000)
        for number in range(count):
            row = run_round(folder, sink_port, grown, seconds, number)
            print(f"round {number + 1}: {row['grown_per_s']:,.0f} traces/s, {row['ratio']:.2f} of empty", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--stored", type=int, default=5_000_000, help="traces before the first round")
    options.add_argument("--seconds", type=float, default=10.0, help="counted of each")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = list(rounds(chosen.rounds, chosen.stored, chosen.seconds))
    ratio = medians(rows)["ratio"]
    target = Target(f"{ratio:.2f} of the empty table's rate, at least {RATIO_MIN}", ratio >= RATIO_MIN)
    publish("grown", METHOD, rows, [target], save=chosen.save)


if __name__ == "__main__":
    main()
