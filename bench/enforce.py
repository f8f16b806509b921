"""How long an agent waits for a decision that is on disk before it is answered, at a steady rate of requests.

With --policies, the same under 0, 20 and 200 policies, beside the decision's time alone. With --beside, what traces and
large bodies that arrive at the same time do to it.

Example: python bench/enforce.py --rounds 5 --seconds 5
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import policy
from ingest import INGEST_PATH, TRACES_PER_REQUEST, TraceBodies
from report import Target, bootstrapped, medians, publish
from rig import (
    AGENTS,
    GENERATOR_CORE,
    PRODUCT_CORE,
    Client,
    Product,
    core_seconds,
    cpu_seconds,
    noise_of,
    percentile,
    require_cores,
    scratch,
    sink,
    spread_ms,
)

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

POLICY_COUNTS = (0, 20, 200)
POLICIES_METHOD = """
As enforce.py without options, a round of each arm in turn: no policies, and 20 and 200 of the mix of bench/policy.py,
its limits raised so far and its hours so long that none objects. Some of them ask for facts: each decision reads and
charges the meters of its limits in the store. alone_us: `policy.engine.decide` by itself (see policy.py).
"""
INGEST_PER_S = 5_000
INGEST_CLIENTS = 2
LARGE_BODY_BYTES = 1_000_000
BESIDE_RATIO_MAX = 2.0
SETTLE_S = 0.5  # from the first trace to the first decision that counts
FOREIGN_MAX = 10.0  # percent of the product's core that other programs may take in a window that is judged
TRIES = 4  # windows measured, at the most, for each that is to be judged
QUIET_SHARE_MIN = 0.5  # of the pairs asked for; with fewer there is no verdict
BESIDE_METHOD = f"""
As enforce.py without options, under 20 policies of the mix of bench/policy.py (see --policies), on one server. A round
is a window in which nothing else arrives (idle) and one in which {INGEST_PER_S:,} traces a second are ingested over
{INGEST_CLIENTS} connections, {TRACES_PER_REQUEST} in a request, and each second a decision is asked for with a body of
{LARGE_BODY_BYTES:,} bytes (busy), in turn first and second. What arrives beside comes from a process for each
connection; its own answers are not part of the times. ratio: p99 busy / p99 idle of the round; quoted is the median
over the rounds with its 95 % bootstrap interval. ingested_per_s: what was taken of the traces.

late: how long after its due time a decision was sent; it waits there for the answer before it on its connection, and
for the generator. server_%: of core 0, by the answering process. foreign_%: of core 0, by programs that are no part of
this. generators_%: of core 1, by everybody. Rounds with more than {FOREIGN_MAX:.0f} % foreign in a window are left out
and measured again, up to {TRIES} times as many; where less than half of those asked for remain, there is no verdict.
"""


def mix_of(count: int) -> list[dict]:
    """So many policies of the mix, with limits that a benchmark does not reach."""
    raised = {"max_requests": 10**9, "max_calls": 10**9, "cap_usd": 10**6, "daily_budget": 10**6}
    made = policy.bodies(count // len(policy.MIX))
    for body in made:
        rule = body["ruleDefinition"]
        rule |= {name: value for name, value in raised.items() if name in rule}
        if "hours" in rule:
            rule["hours"] = {"start": "12:00", "end": "11:59"}
    return made


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


def run_round(folder: Path, sink_port: int, seconds: float, seed: int, policies: int = 0) -> dict[str, float]:
    product, row = Product(folder, sink_port), {}
    questions = bodies(WARM_UP_REQUESTS + int(REQUESTS_PER_S * seconds), seed)
    with noise_of(folder, row), product.serving() as (port, server):
        product.add_policies(port, mix_of(policies))
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


def alone_us(count: int) -> float:
    """A decision under so many policies of the mix by itself."""
    made = policy.policies(count // len(policy.MIX))
    return policy.measure(policy.compile_policies(made), policy.facts_for(made, 1))


def by_policies(count: int, seconds: float) -> Iterator[dict[str, float]]:
    """Rounds of each number of policies, in turn."""
    with sink() as sink_port:
        for number in range(count):
            row: dict[str, float] = {}
            for policies in POLICY_COUNTS:
                with scratch("enforce") as folder:
                    found = run_round(folder, sink_port, seconds, number, policies)
                row |= {f"{policies}_{name}": found[name] for name in ("p50_ms", "p99_ms", "cpu_s_per_M")}
                row[f"{policies}_alone_us"] = alone_us(policies)
            row |= {name: found[name] for name in ("steal_%", "fdatasync_p50_ms")}
            shown = ", ".join(
                f"{each}: {row[f'{each}_p50_ms']:.2f}/{row[f'{each}_p99_ms']:.2f}" for each in POLICY_COUNTS
            )
            print(f"round {number + 1}: p50/p99 ms by policies {shown}", flush=True)
            yield row


def ingest_beside(port: int, key: str, seed: int, done: Event, taken: Queue) -> None:
    """Send traces at their share of the rate; how many were taken."""
    client, traces, count = Client(port, key), TraceBodies(seed), 0
    for _ in beats(INGEST_PER_S / TRACES_PER_REQUEST / INGEST_CLIENTS, done):
        status, answer = client.request("POST", INGEST_PATH, traces.body())
        if status != 202:
            raise RuntimeError(f"the server did not take every trace: {status} {answer[:300]}")
        count += TRACES_PER_REQUEST
    taken.put(count)


def ask_at_length(port: int, key: str, seed: int, done: Event) -> None:
    """Ask for a decision with a large body, once a second."""
    client, chance = Client(port, key), random.Random(seed)
    words = " ".join(f"{chance.getrandbits(40):010x}" for _ in range(LARGE_BODY_BYTES // 11))
    large = bodies(1, seed)[0].replace(b'"orderId": "', b'"text": "' + words.encode() + b'", "orderId": "')
    for _ in beats(1, done):
        ask(client, large)


def beats(per_s: float, done: Event) -> Iterator[None]:
    """So often, until it is done."""
    due = time.perf_counter()
    while not done.wait(max(0.0, due - time.perf_counter())):
        yield
        due += 1 / per_s


@contextlib.contextmanager
def beside(port: int, key: str, seed: int, taken: list[float]) -> Iterator[None]:
    """Traces and large bodies arrive, from processes of their own; how many traces a second they brought is noted."""
    done, counts = multiprocessing.Event(), multiprocessing.Queue()
    sending = [
        multiprocessing.Process(target=ingest_beside, args=(port, key, INGEST_CLIENTS * seed + number, done, counts))
        for number in range(INGEST_CLIENTS)
    ]
    asking = multiprocessing.Process(target=ask_at_length, args=(port, key, seed, done))
    for process in (*sending, asking):
        process.start()
    started = time.perf_counter()
    try:
        time.sleep(SETTLE_S)
        yield
    finally:
        done.set()
        for process in (*sending, asking):
            process.join()
    if any(process.exitcode for process in (*sending, asking)):
        raise RuntimeError("what was to arrive beside did not; see above")
    taken.append(sum(counts.get() for _ in sending) / (time.perf_counter() - started))


def measure_window(clients: list[Client], server: int, questions: list[bytes], arm: str) -> dict[str, float]:
    """One window's columns."""
    before = (time.perf_counter(), cpu_seconds(server), core_seconds(PRODUCT_CORE), core_seconds(GENERATOR_CORE))
    times, late = pace(clients, questions)
    after = (time.perf_counter(), cpu_seconds(server), core_seconds(PRODUCT_CORE), core_seconds(GENERATOR_CORE))
    wall, own, product, generators = (end - start for start, end in zip(before, after, strict=True))
    row: dict[str, float] = {}
    spread_ms(row, times)
    row |= {"late_p99_ms": percentile(late, 99) * 1e3, "server_%": 100 * own / wall}
    row |= {"foreign_%": 100 * max(0.0, product - own) / wall, "generators_%": 100 * generators / wall}
    return {f"{arm}_{name}": value for name, value in row.items()}


def idle_and_busy(count: int, seconds: float) -> Iterator[dict[str, float]]:
    """Pairs of windows without and with traffic beside, on one server, until so many are quiet."""
    per_window = int(REQUESTS_PER_S * seconds)
    with sink() as sink_port, scratch("enforce") as folder:
        product = Product(folder, sink_port)
        with product.serving() as (port, server):
            product.add_policies(port, mix_of(20))
            clients = [Client(port, product.key) for _ in range(CLIENTS)]
            for number, question in enumerate(bodies(WARM_UP_REQUESTS, 10_000)):
                ask(clients[number % CLIENTS], question)
            with beside(port, product.key, 10_000, []):
                pass  # what is loaded with the first trace is loaded
            quiet = 0
            for number in range(TRIES * count):
                row: dict[str, float] = {}
                with noise_of(folder, row):
                    for arm in ("idle", "busy") if number % 2 == 0 else ("busy", "idle"):
                        questions, taken = bodies(per_window, 2 * number + (arm == "busy")), []
                        with beside(port, product.key, number, taken) if arm == "busy" else contextlib.nullcontext():
                            row |= measure_window(clients, server, questions, arm)
                        if taken:
                            row["ingested_per_s"] = taken[0]
                row["ratio"] = row["busy_p99_ms"] / row["idle_p99_ms"]
                quiet += is_quiet(row)
                shown = f"p99 {row['idle_p99_ms']:.2f} ms idle, {row['busy_p99_ms']:.2f} busy"
                noise = (
                    "" if is_quiet(row) else f" (foreign {row['idle_foreign_%']:.0f} %, {row['busy_foreign_%']:.0f} %)"
                )
                print(f"round {number + 1}: {shown}{noise}", flush=True)
                yield row
                if quiet == count:
                    return


def is_quiet(row: dict[str, float]) -> bool:
    """True where nobody else took much of the product's core."""
    return max(row["idle_foreign_%"], row["busy_foreign_%"]) <= FOREIGN_MAX


def judge_beside(rows: list[dict[str, float]], count: int) -> tuple[list[dict[str, float]], list[Target]]:
    """The rounds that count, and what they say."""
    quiet = [row for row in rows if is_quiet(row)]
    enough = len(quiet) >= QUIET_SHARE_MIN * count
    counted = quiet if enough else rows
    middle, low, high = bootstrapped([row["ratio"] for row in counted])
    said = f"p99 busy is {middle:.2f} of idle (95 % {low:.2f} to {high:.2f}), at most {BESIDE_RATIO_MAX:.0f}"
    longest = {arm: max(row[f"{arm}_max_ms"] for row in counted) for arm in ("idle", "busy")}
    shown = f"maximum of all windows: {longest['idle']:.1f} ms idle, {longest['busy']:.1f} busy (shown, not judged)"
    noise = f"{len(quiet)} of {len(rows)} rounds were quiet" + ("" if enough else ": this says nothing of the server")
    return counted, [
        Target(said, enough and middle <= BESIDE_RATIO_MAX),
        Target(shown, reached=True),
        Target(noise, reached=enough),
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="counted in each round")
    options.add_argument("--policies", action="store_true", help="under 0, 20 and 200 policies")
    options.add_argument("--beside", action="store_true", help="while traces and large bodies arrive")
    options.add_argument("--save", action="store_true", help="keep the result in bench/results")
    chosen = options.parse_args()
    require_cores()
    if chosen.policies:
        rows = list(by_policies(chosen.rounds, chosen.seconds))
        publish("enforce_policies", POLICIES_METHOD, rows, [], save=chosen.save)
        return
    if chosen.beside:
        counted, targets = judge_beside(list(idle_and_busy(chosen.rounds, chosen.seconds)), chosen.rounds)
        publish("enforce_beside", BESIDE_METHOD, counted, targets, save=chosen.save)
        return
    rows = list(rounds(chosen.rounds, chosen.seconds))
    middle = medians(rows)
    text = f"p50 {middle['p50_ms']:.2f} ms is {middle['p50/limit']:.2f} of its limit of {middle['limit_ms']:.2f} ms"
    publish("enforce", METHOD, rows, [Target(text, middle["p50/limit"] <= 1)], save=chosen.save)


if __name__ == "__main__":
    main()
