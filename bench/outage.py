"""One destination hangs with a backlog waiting: the age of the other's logs, and how soon the first goes on.

Example: python bench/outage.py --rounds 3 --logs 1000000
"""

import argparse
import time
from collections.abc import Iterator

import apsw

from export import fill
from ingest import INGEST_PATH, TRACES_PER_REQUEST, TraceBodies
from report import Target, medians, publish
from rig import Client, Product, noise_of, percentile, require_cores, scratch, sink

HANG_S = 30.0
REQUESTS_PER_S = 10
AGE_P99_S_MAX = 5.0
BACK_S_MAX = 5.0
BACK_REQUESTS = 20  # so many payloads accepted in the time: draining goes on, not one lucky probe
SETTLED = "select count(*) from outbox where destination = 2 and due_at_us is not null"
AGES = """select (x.delivered_at_us - x.committed_at_us) / 1e6, x.log_count from outbox x
where x.destination = 2 and x.committed_at_us >= (select min(received_at_us) from batches where id > {after})"""
METHOD = f"""
A backlog as in `export.py` waits for the first destination, whose intake takes requests and never answers. A second
destination, at a sink of its own, was added after it. One worker serves both. {REQUESTS_PER_S * TRACES_PER_REQUEST:,}
traces a second are ingested for {HANG_S:.0f} s (each is queued for both), then the second destination is waited for.

age_p50_s, age_p99_s, age_max_s: over the logs of the second destination, from the commit of their batch until the
ledger says it was accepted, which it learns up to 0.1 s after the answer. back_s: from the moment the first intake
answers again until it has taken {BACK_REQUESTS} payloads. behind: batches of the first destination still waiting then.
"""


def run_round(folder, logs: int) -> dict[str, float]:
    row: dict[str, float] = {}
    with sink() as hanging, sink() as answering, noise_of(folder, row):
        product = Product(folder, hanging)
        product.at("datadoghq.eu", answering)
        fill(product, logs)
        product.add_destination("other", "datadoghq.eu")
        after = product.count("select max(id) from batches")
        control = Client(hanging)
        control.json("GET", "/sink/count")
        control.request("GET", "/sink/hang")
        with product.serving() as (port, _server), product.working(pinned=False):
            client, traces = Client(port, product.key), TraceBodies(3)
            start = time.perf_counter()
            for number in range(int(HANG_S * REQUESTS_PER_S)):
                time.sleep(max(0.0, start + number / REQUESTS_PER_S - time.perf_counter()))
                if client.request("POST", INGEST_PATH, traces.body())[0] != 202:
                    raise RuntimeError("the server did not take every trace")
            while product.count(SETTLED):
                time.sleep(0.1)
            returned = time.monotonic_ns()
            control.request("GET", "/sink/answer")
            time.sleep(BACK_S_MAX + 1)
            row["behind"] = product.count("select count(*) from outbox where destination = 1 and due_at_us is not null")
        counted = control.json("GET", "/sink/count")
        arrived = [at for at in counted["arrived_ns"] if at >= returned]
        row["back_s"] = (arrived[BACK_REQUESTS - 1] - returned) / 1e9 if len(arrived) >= BACK_REQUESTS else 999.0
        ages = list(_ages(product, after))
        if sum(count for _, count in ages) != int(HANG_S * REQUESTS_PER_S) * TRACES_PER_REQUEST:
            raise RuntimeError("the second destination did not get every log")
        each = [age for age, count in ages for _ in range(count)]
        row |= {"age_p50_s": percentile(each, 50), "age_p99_s": percentile(each, 99), "age_max_s": max(each)}
    return row


def _ages(product: Product, after: int) -> Iterator[tuple[float, int]]:
    connection = apsw.Connection(str(product.database), flags=apsw.SQLITE_OPEN_READONLY)
    yield from connection.execute(AGES.format(after=after))
    connection.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--logs", type=int, default=1_000_000, help="waiting for the intake that hangs")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    rows = []
    for number in range(chosen.rounds):
        with scratch("outage") as folder:
            rows.append(run_round(folder, chosen.logs))
        shown = rows[-1]
        print(f"round {number + 1}: age p99 {shown['age_p99_s']:.2f} s, back in {shown['back_s']:.2f} s", flush=True)
    middle = medians(rows)
    age, back = middle["age_p99_s"], max(row["back_s"] for row in rows)
    targets = [
        Target(f"the other's age p99 {age:.2f} s, at most {AGE_P99_S_MAX:.0f}", age <= AGE_P99_S_MAX),
        Target(f"draining again after {back:.2f} s in the worst round, at most {BACK_S_MAX:.0f}", back <= BACK_S_MAX),
    ]
    publish("outage", METHOD, rows, targets, save=chosen.save)


if __name__ == "__main__":
    main()
