"""What a benchmark found: printed, and kept in `results/` on demand."""

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

import execlave_server

RESULTS = Path(__file__).with_name("results")
RESAMPLES = 2_000


class Target(NamedTuple):
    """What was to be reached, and whether it was."""

    text: str
    reached: bool


def medians(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each column."""
    return {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}


def bootstrapped(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and its 95 % bootstrap interval."""
    chance = random.Random(2)
    resampled = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return statistics.median(values), resampled[int(RESAMPLES * 0.025)], resampled[int(RESAMPLES * 0.975)]


NOISE = """steal_%: time the host took from all cores (/proc/stat). fdatasync_p50_ms: 400 appends of 4 KiB to a file
beside the data, each with its own fdatasync, half of them before the round and half after it."""


def publish(
    name: str, method: str, rounds: Sequence[dict[str, float]], targets: Sequence[Target], *, save: bool
) -> None:
    """Print the rounds, their medians and the verdicts; write `results/<name>.json` and `.md` where asked."""
    lines = [" ".join(paragraph.split()) for paragraph in f"{method.strip()}\n\n{NOISE}".split("\n\n")]
    table = _table(rounds)
    verdicts = [f"{'PASS' if target.reached else 'FAIL'}  {target.text}" for target in targets]
    print("\n".join(["", *table, "", *verdicts, "", *(f"- {line}" for line in lines)]))
    if not save:
        return
    RESULTS.mkdir(exist_ok=True)
    machine = describe_machine()
    kept = {"name": name, "machine": machine, "method": lines, "rounds": rounds, "medians": medians(rounds)}
    kept["targets"] = [target._asdict() for target in targets]
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    described = ", ".join(f"{key} {value}" for key, value in machine.items())
    page = [f"# {name}", "", described, "", *table, "", *(f"- {line}" for line in verdicts), "", "Method:", ""]
    (RESULTS / f"{name}.md").write_text("\n".join([*page, *(f"- {line}" for line in lines)]) + "\n")


def _table(rounds: Sequence[dict[str, float]]) -> list[str]:
    middle = medians(rounds)
    head = ["", "median", *(f"round {number}" for number in range(1, len(rounds) + 1))]
    rows = [[name, _shown(value), *(_shown(row[name]) for row in rounds)] for name, value in middle.items()]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        f"| {name:{widths[0]}} | {' | '.join(map(str.rjust, values, widths[1:]))} |" for name, *values in [head, *rows]
    ]
    rule = f"|{'-' * (widths[0] + 2)}|{'|'.join('-' * (width + 1) + ':' for width in widths[1:])}|"
    return [lines[0], rule, *lines[1:]]


def _shown(value: float) -> str:
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def describe_machine() -> dict[str, str]:
    """What the figures depend on: the date, the versions, the machine."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "execlave-server": execlave_server.__version__,
        "Python": platform.python_version(),
        "SQLite": apsw.sqlite_lib_version(),
        "kernel": platform.release(),
        "cores": str(os.cpu_count()),
        "CPU": models[0].partition(": ")[2] if models else platform.machine(),
    }
