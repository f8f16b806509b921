"""How long an agent waits for a decision that is on disk before it is answered, at a steady rate of requests.

Example: python bench/enforce.py --rounds 5 --seconds 5
"""

import argparse
import itertools
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from report import Target, medians, publish
from rig import AGENTS, Client, Product, cpu_seconds, noise_of, percentile, require_cores, scratch, sink, spread_ms

REQUESTS_PER_S = 300
CLIENTS = 8
WARM_UP_REQUESTS = 200
P50_MS_MAX = 1.5
P50_FDATASYNCS_MAX = 6  # where the disk is so slow that this is more
ENFORCE_PATH = "/api/v1/policies/enforce"
METHOD = f"""
Server: `execlave-server serve --no-worker`, its answering process alone on core 0, SQLite synchronous=FULL. Each answer
follows the commit of its decision. Generator on core 1: {CLIENTS} persistent connections, one thread each.

Open loop: {REQUESTS_PER_S} requests a second at fixed times, dealt to the connections in turn; a request's time counts
from when it was due, so one that waits for a slow answer before it on its connection is charged for the wait. Every
body is new (about 500 bytes: input, metadata, tools, estimated cost, two turns of history). {WARM_UP_REQUESTS} requests
before are not counted. A fresh data directory each round.

requests_per_s: answered 200 / wall time. late_p50_ms: how long after its due time the generator sent. cpu_s_per_M: user
and system time of the answering process (/proc/PID/stat, all threads) per million decisions. limit_ms: {P50_MS_MAX} or
{P50_FDATASYNCS_MAX} times the round's fdatasync p50, the larger. After each round the decisions on disk are counted:
they are exactly those answered.
"""


def bodies(count: int, seed: int) -> list[bytes]:
    """As many different questions, as the SDK asks them."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        order = f"{chance.getrandbits(40):010x}"
        asked = {
            "agentId": chance.choice(list(AGENTS)),
            "input": f"Refund order {order}: the parcel arrived damaged and the customer sent photographs.",
            "environment": "production",
            "metadata": {"toolArguments": {"orderId": order, "amount": chance.randrange(5, 900)}, "channel": "email"},
            "estimatedCost": round(chance.random() / 50, 6),
            "tools": ["refund_order"],
            "conversationHistory": [
                {"role": "user", "content": f"My order {order} arrived damaged."},
                {"role": "assistant", "content": "I am sorry to hear that. I will arrange a refund."},
            ],
        }
        made.append(json.dumps(asked).encode())
    return made


def ask(client: Client, body: bytes) -> None:
    status, answer = client.request("POST", ENFORCE_PATH, body)
    if status != 200 or b'"allowed":true' not in answer:
        raise RuntimeError(f"a decision was answered {status}: {answer[:300]}")


def pace(clients: list[Client], questions: list[bytes]) -> tuple[list[float], list[float]]:
    """Ask each question when it is due; how long each answer took from then, and how late each was sent."""
    start = time.perf_counter() + 0.05

    def run(first: int) -> list[tuple[float, float]]:
        times = []
        for number in range(first, len(questions), CLIENTS):
            due = start + number / REQUESTS_PER_S
            time.sleep(max(0.0, due - time.perf_counter()))
            late = time.perf_counter() - due
            ask(clients[first], questions[number])
            times.append((time.perf_counter() - due, late))
        return times

    with ThreadPoolExecutor(CLIENTS) as threads:
        pairs = list(itertools.chain.from_iterable(threads.map(run, range(CLIENTS))))
    return [time_s for time_s, _ in pairs], [late_s for _, late_s in pairs]


def run_round(folder: Path, sink_port: int, seconds: float, seed: int) -> dict[str, float]:
    product, row = Product(folder, sink_port), {}
    questions = bodies(WARM_UP_REQUESTS + int(REQUESTS_PER_S * seconds), seed)
    with noise_of(folder, row), product.serving() as (port, server):
        clients = [Client(port, product.key) for _ in range(CLIENTS)]
        for number, question in enumerate(questions[:WARM_UP_REQUESTS]):
            ask(clients[number % CLIENTS], question)
        cpu, started = cpu_seconds(server), time.perf_counter()
        times, late = pace(clients, questions[WARM_UP_REQUESTS:])
        row["requests_per_s"] = len(times) / (time.perf_counter() - started)
        spread_ms(row, times)
        row["late_p50_ms"] = percentile(late, 50) * 1e3
        row["cpu_s_per_M"] = (cpu_seconds(server) - cpu) / len(times) * 1e6
    row["limit_ms"] = max(P50_MS_MAX, P50_FDATASYNCS_MAX * row["fdatasync_p50_ms"])
    row["p50/limit"] = row["p50_ms"] / row["limit_ms"]
    kept = product.count("select count(*) from decisions")
    if kept != len(questions):
        raise RuntimeError(f"{len(questions)} decisions were answered, {kept} are on disk")
    return row


def rounds(count: int, seconds: float) -> Iterator[dict[str, float]]:
    with sink() as sink_port:
        for number in range(count):
            with scratch("enforce") as folder:
                row = run_round(folder, sink_port, seconds, number)
            print(f"round {number + 1}: p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms", flush=True)
            yield row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="counted in each round")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = list(rounds(chosen.rounds, chosen.seconds))
    middle = medians(rows)
    text = f"p50 {middle['p50_ms']:.2f} ms is {middle['p50/limit']:.2f} of its limit of {middle['limit_ms']:.2f} ms"
    publish("enforce", METHOD, rows, [Target(text, middle["p50/limit"] <= 1)], save=chosen.save)


if __name__ == "__main__":
    main()
