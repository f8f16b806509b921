"""What it costs to scan a text for injected orders and for personal data.

Texts of 4,000 characters nobody has scanned before; processor time of the scanning thread, so that neighbours on the
machine do not count. From this repository, and from the recorded runs beside it where they are.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from execlave_server.policy.detect_injection import DEFAULT_PATTERNS, find_injection
from execlave_server.policy.detect_pii import PiiKind, find_pii

ROOT = Path(__file__).parents[1]
RECORDED = ROOT.parent / "shared" / "trajectories"
TEXT_CHARS = 4_000  # what the SDK leaves of an input
LONG_CHARS = 262_144  # the most a text policy reads
WARM_UP_TEXTS = 100
KINDS = frozenset(PiiKind)


def load_texts() -> dict[str, list[str]]:
    """Pieces of 4,000 characters by where they come from."""
    sources = {
        "documentation and code of this repository": sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py")])
    }
    texts = {name: "\n".join(path.read_text() for path in paths) for name, paths in sources.items()}
    runs = RECORDED / "tau-bench" / "gpt-4o-airline.json"
    if runs.exists():
        texts["tau-bench, messages and arguments"] = "\n".join(
            json.dumps(message, ensure_ascii=False)
            for run in json.loads(runs.read_text())[:60]
            for message in run["traj"]
        )
    return {
        name: [text[at : at + TEXT_CHARS] for at in range(0, len(text) - TEXT_CHARS, TEXT_CHARS)]
        for name, text in texts.items()
    }


def measure(scan: Callable[[str], object], texts: list[str]) -> list[float]:
    """Microseconds of processor time for each text."""
    times: list[float] = []
    for text in texts:
        started = time.thread_time_ns()
        scan(text)
        times.append((time.thread_time_ns() - started) / 1_000)
    return times


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    scans = {
        "injection": lambda text: find_injection(text, DEFAULT_PATTERNS),
        "personal data": lambda text: find_pii(text, KINDS),
    }
    for source, texts in load_texts().items():
        print(f"{source}: {len(texts) - WARM_UP_TEXTS} texts of {TEXT_CHARS} characters")
        for name, scan in scans.items():
            measure(scan, texts[:WARM_UP_TEXTS])
            times = measure(scan, texts[WARM_UP_TEXTS:])
            points = statistics.quantiles(times, n=100)
            print(f"  {name:14} p50 {points[49]:6.0f} us   p90 {points[89]:6.0f} us   p99 {points[98]:6.0f} us")
        whole = "".join(texts)
        for chars in (LONG_CHARS // 4, LONG_CHARS):
            text = (whole * (chars // len(whole) + 1))[:chars]
            for name, scan in scans.items():
                print(f"  {name:14} {chars // 1024:4} kB {min(measure(scan, [text] * 3)) / 1_000:8.1f} ms")


if __name__ == "__main__":
    main()
