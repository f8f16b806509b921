"""The crash oracle: what was acknowledged is delivered or parked, whatever dies, lies, hangs, fills up or jumps.

Example: python bench/oracle.py --seeds 1-20 --minutes 1
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS / "service"), str(TESTS)]

from crash_oracle.engines import EngineName  # noqa: E402 - where the tests keep it
from crash_oracle.run import ACKNOWLEDGED_MIN, KILLS_MIN, LONG_RUN_S, Figures, run_oracle  # noqa: E402

from report import RESULTS, describe_machine  # noqa: E402

METHOD = f"""
Four connections send traces of 0 to 40 kB metadata, many in letters beyond ASCII, in requests of 1 to 200, as the SDK
does: what failed or was cut is sent again with the same ids, some of it given up, some of what was acknowledged sent
once more. Meanwhile the sandbox plays Datadog's, a proxy's and the network's failures in an order that the seed
chooses (poison logs are refused all the time); SIGKILL of server, worker and their parent, SIGSTOP, a full disk
(RLIMIT_FSIZE of the running process, lifted again or ended by SIGKILL; with --tmpfs-mb a disk that is full for all)
and clock jumps hit the product at random moments; `deliveries status` and `doctor` are run beside it. Some moments
follow the seed, the interleaving does not.

Then the faults end and the queue drains. Judged is the sandbox's spool, which never dies: every acknowledged trace is
there or parked with a reason; nothing that was not produced, or was refused by name, is there; the documented
attributes are what was sent; nothing of input, output or metadata is there; committed = delivered + parked, which is
the number of distinct traces seen; a fresh trace arrives within ten seconds; no process wrote a traceback. A run of a
minute or more with fewer than {KILLS_MIN} kills or {ACKNOWLEDGED_MIN:,} acknowledged traces, or without every fault and
every blow at least once, fails as well.

Duplicates: a log may come again only if it had arrived within 0.5 s of a moment that could lose an answer: a kill or
a full disk of the worker, what an orphaned one took along that was cut off, a reset after acceptance, a clock jump that
ends leases, a stop past the lease. `bound` is the number of logs that arrived in these moments. The repetition of any
other log is a failure.
"""
COLUMNS = (
    "seed", "seconds", "acknowledged", "maybe", "resent", "delivered", "parked", "duplicates", "bound", "late", "kills",
    "blows", "faults", "looks", "drain_s", "fresh_s", "verdict",
)  # fmt: skip


def main() -> None:
    options = read_options()
    rows: list[tuple[str, ...]] = []
    for seed in options.seeds:
        figures = run_one(seed, options)
        print_figures(figures)
        rows.append(row_of(figures))
        if options.save:
            save(options, rows)  # after each: what is interrupted has shown something
    print("\n".join(["", *draw_table(COLUMNS, rows)]))
    sys.exit(any(row[-1] != "PASS" for row in rows))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--seed", dest="seeds", type=lambda text: [int(text)], help="one run")
    chosen.add_argument("--seeds", type=seed_range, help="many runs in a row, such as 1-20")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), default=EngineName.SQLITE)
    parser.add_argument("--tmpfs-mb", type=int, default=0, help="put the data on a small disk in memory; needs root")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a run that fails")
    parser.add_argument("--save", action="store_true", help="write results/oracle-<engine>.md (or -long.md)")
    parser.add_argument("--add", action="store_true", help="with --save: leave the rows of other seeds in the file")
    options = parser.parse_args()
    options.seeds = options.seeds or [int(time.time())]
    return options


def seed_range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def run_one(seed: int, options: argparse.Namespace) -> Figures:
    """One run in a folder of its own; a run that cannot be judged has failed as well."""
    path = Path(tempfile.mkdtemp(prefix=f"oracle-{seed}-", dir=os.environ.get("BENCH_DIR")))
    print(f"seed {seed}, {options.engine}, {options.minutes * 60:.0f} s, in {path}", flush=True)
    try:
        with small_disk(path / "data", options.tmpfs_mb):
            figures = run_oracle(path, seed, options.minutes * 60, options.engine)
    except AssertionError as error:
        figures = Figures(seed, options.engine, options.minutes * 60)
        figures.verdict.add(f"not judged: {error}")
    if options.keep and figures.problems:
        print(f"kept: {path}")
    else:
        shutil.rmtree(path)
    return figures


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A folder on a disk of its own, which can then be full for everybody; none where no size is given."""
    if not megabytes:
        yield
        return
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", folder], check=True)  # noqa: S607 - the system's own
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


def print_figures(figures: Figures) -> None:
    for name, counted in (("blows", figures.blows), ("faults", figures.faults)):
        print(f"  {name}: {', '.join(f'{kind} {count}' for kind, count in sorted(counted.items()))}")
    for problem in figures.problems:
        print(f"  PROBLEM {problem}")
    print(" ", dict(zip(COLUMNS, row_of(figures), strict=True)), flush=True)


def row_of(figures: Figures) -> tuple[str, ...]:
    found = figures.verdict
    counts = (figures.acknowledged, figures.maybe, figures.resent, found.delivered, found.parked, found.duplicates)
    more = (
        found.duplicates_bound,
        found.late,
        figures.kills,
        sum(figures.blows.values()),
        sum(figures.faults.values()),
    )
    numbers = [f"{number:,}" for number in (*counts, *more, figures.doctor_runs)]
    spans = (f"{figures.drain_s:.1f}", f"{figures.fresh_s:.1f}")
    return (str(figures.seed), f"{figures.seconds:.0f}", *numbers, *spans, "FAIL" if figures.problems else "PASS")


def draw_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    head, *lines = [f"| {' | '.join(map(str.rjust, cells, widths))} |" for cells in [columns, *rows]]
    return [head, f"|{'|'.join('-' * (width + 1) + ':' for width in widths)}|", *lines]


def save(options: argparse.Namespace, rows: Sequence[tuple[str, ...]]) -> None:
    """Write the page of these runs; with `--add` the rows of other seeds that stand there stay."""
    engine, is_long = options.engine, options.minutes * 60 > LONG_RUN_S
    file = RESULTS / f"oracle-{engine}{'-long' * is_long}.md"
    kept = kept_rows(file) if options.add and file.exists() else {}
    every = kept | {row[0]: row for row in rows}
    table = draw_table(COLUMNS, [every[seed] for seed in sorted(every, key=int)])
    described = ", ".join(f"{key} {value}" for key, value in describe_machine().items())
    method = [f"- {' '.join(paragraph.split())}" for paragraph in METHOD.strip().split("\n\n")]
    page = [f"# The crash oracle on {engine}", "", described, "", *table, "", "Method:", "", *method]
    RESULTS.mkdir(exist_ok=True)
    file.write_text("\n".join(page) + "\n")


def kept_rows(file: Path) -> dict[str, tuple[str, ...]]:
    """The rows of an earlier page, by seed."""
    lines = [line for line in file.read_text().splitlines() if line.startswith("|")]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return {row[0]: row for row in cells if row[0].isdigit() and len(row) == len(COLUMNS)}


if __name__ == "__main__":
    main()
