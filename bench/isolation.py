"""Does delivery touch the enforcement path? Decisions timed in turn with export off, live, draining, and hanging.

Example: python bench/isolation.py --rotations 40 --seconds 5
"""

import argparse
import contextlib
import itertools
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import apsw

from enforce import ask, bodies
from export import fill
from ingest import INGEST_PATH, TRACES_PER_REQUEST, TraceBodies
from report import RESAMPLES, Target, bootstrapped, medians, publish
from rig import Client, Product, allow_every_core, noise_of, percentile, require_cores, scratch, sink

REQUESTS_PER_S = 200
CLIENTS = 4
INGEST_REQUESTS_PER_S = 10  # a thousand traces a second go on in every arm
SETTLE_S = 0.5  # between the change of the arm and its window
P50_RATIO_MAX = 1.1
P99_RATIO_MAX = 1.25
P99_RATIO_DRAINING_MAX = 1.5
MAKE_DUE = "update outbox set due_at_us = committed_at_us, delivered_at_us = null, accepted_count = 0, settled = null"


class Arm(StrEnum):
    """What the export does while decisions are timed."""

    OFF = "off"
    LIVE = "live"
    DRAINING = "draining"
    HANGING = "hanging"


METHOD = f"""
One server (`serve --no-worker`) for the whole run; it, the worker, the sink and the generator share both cores as the
kernel schedules them. In every arm {INGEST_REQUESTS_PER_S * TRACES_PER_REQUEST:,} traces a second are ingested beside.
off: no worker. live: a worker delivers what is ingested. draining: a worker drains a backlog as large as the option
says (made due again before each window). hanging: the intake takes requests and never answers.

A rotation is one window of each arm, their order shuffled. In a window {REQUESTS_PER_S} decisions a second are asked at
fixed times over {CLIENTS} connections (as in `enforce.py`: a time counts from when its request was due), and p50, p99
and maximum taken. A ratio pairs an arm's window with the `off` window of the same rotation; the median over all
rotations is quoted, with the 95 % interval of {RESAMPLES:,} bootstrap resamples of the rotations. An arm passes unless
its whole interval lies above the limit ({P50_RATIO_MAX} for p50, {P99_RATIO_MAX} for p99, {P99_RATIO_DRAINING_MAX}
while draining). The control row is `off` against the `off` window of the rotation before.
"""


def window(port: int, key: str, questions: Sequence[bytes]) -> list[float]:
    """Ask each question when it is due; how long each answer took from then."""
    clients = [Client(port, key) for _ in range(CLIENTS)]
    start = time.perf_counter() + 0.02

    def run(first: int) -> list[float]:
        times = []
        for number in range(first, len(questions), len(clients)):
            due = start + number / REQUESTS_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))
            ask(clients[first], questions[number])
            times.append(time.perf_counter() - due)
        return times

    with ThreadPoolExecutor(len(clients)) as threads:
        return list(itertools.chain.from_iterable(threads.map(run, range(len(clients)))))


@contextlib.contextmanager
def ingesting(port: int, key: str) -> Iterator[None]:
    """A steady stream of traces beside."""
    done = threading.Event()

    def send() -> None:
        client, traces, due = Client(port, key), TraceBodies(99), time.perf_counter()
        while not done.wait(max(0.0, due - time.perf_counter())):
            due += 1 / INGEST_REQUESTS_PER_S
            if client.request("POST", INGEST_PATH, traces.body())[0] != 202:
                raise RuntimeError("the server did not take every trace")

    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send)
        try:
            yield
        finally:
            done.set()
            sending.result()


@contextlib.contextmanager
def export(product: Product, sink_port: int, arm: Arm) -> Iterator[None]:
    """The export as the arm says."""
    if arm is Arm.OFF:
        yield
        return
    client = Client(sink_port)
    with apsw.Connection(str(product.database)) as connection:
        connection.set_busy_timeout(5_000)
        due = MAKE_DUE if arm is Arm.DRAINING else "update outbox set due_at_us = null where due_at_us is not null"
        connection.execute(due)
    connection.close()
    client.request("GET", "/sink/hang" if arm is Arm.HANGING else "/sink/answer")
    with product.working(pinned=False):
        yield
        client.request("GET", "/sink/answer")  # so that the worker can end
    client.request("GET", "/sink/count")  # forget what arrived


def rotations(product: Product, sink_port: int, count: int, seconds: float) -> Iterator[dict[str, float]]:
    chance = random.Random(1)
    per_window = int(REQUESTS_PER_S * seconds)
    with product.serving(pinned=False) as (port, _server), ingesting(port, product.key):
        window(port, product.key, bodies(per_window, 0))
        for number in range(count):
            row: dict[str, float] = {}
            for place, arm in enumerate(chance.sample(list(Arm), len(Arm))):
                questions = bodies(per_window, 10 * number + place + 1)
                with export(product, sink_port, arm):
                    time.sleep(SETTLE_S)
                    times = window(port, product.key, questions)
                row[f"{arm}_p50_ms"] = percentile(times, 50) * 1e3
                row[f"{arm}_p99_ms"] = percentile(times, 99) * 1e3
                row[f"{arm}_max_ms"] = max(times) * 1e3
            shown = ", ".join(f"{arm} {row[f'{arm}_p50_ms']:.2f}/{row[f'{arm}_p99_ms']:.2f}" for arm in Arm)
            print(f"rotation {number + 1}: p50/p99 ms {shown}", flush=True)
            yield row


def compare(rows: Sequence[dict[str, float]], ratio: Callable[[int], float]) -> tuple[float, float, float]:
    """The median of a paired ratio over the rotations, and its 95 % bootstrap interval."""
    return bootstrapped([ratio(number) for number in range(len(rows))])


def judge(rows: Sequence[dict[str, float]]) -> Iterator[Target]:
    for measure, usual_max in (("p50_ms", P50_RATIO_MAX), ("p99_ms", P99_RATIO_MAX)):
        middle, low, high = compare(
            rows,
            lambda number, measure=measure: rows[number][f"off_{measure}"] / rows[number - 1][f"off_{measure}"],
        )
        yield Target(f"control, off {measure[:3]}: {middle:.2f} (95 % {low:.2f} to {high:.2f})", reached=True)
        for arm in (Arm.LIVE, Arm.DRAINING, Arm.HANGING):
            at_most = P99_RATIO_DRAINING_MAX if (arm, measure) == (Arm.DRAINING, "p99_ms") else usual_max
            middle, low, high = compare(
                rows, lambda n, arm=arm, measure=measure: rows[n][f"{arm}_{measure}"] / rows[n][f"off_{measure}"]
            )
            text = f"{arm} {measure[:3]}: {middle:.2f} of off (95 % {low:.2f} to {high:.2f}), at most {at_most}"
            yield Target(text, low <= at_most)
    for arm in Arm:
        worst = max(row[f"{arm}_max_ms"] for row in rows)
        yield Target(f"{arm} maximum of all windows: {worst:.1f} ms (shown, not judged)", reached=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rotations", type=int, default=40)
    options.add_argument("--seconds", type=float, default=5.0, help="of each window")
    options.add_argument("--logs", type=int, default=1_000_000, help="in the backlog that is drained")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    allow_every_core(os.getpid())
    noise: dict[str, float] = {}
    with sink() as sink_port, scratch("isolation") as folder:
        product = Product(folder, sink_port)
        fill(product, chosen.logs)
        with noise_of(folder, noise):
            rows = list(rotations(product, sink_port, chosen.rotations, chosen.seconds))
    targets = list(judge(rows))
    publish("isolation", METHOD, [medians(rows) | noise], targets, save=chosen.save)


if __name__ == "__main__":
    main()
