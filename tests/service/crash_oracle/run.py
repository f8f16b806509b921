"""One run of the oracle: everything is started, fails for a while, drains, and is judged."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness import Caller, Sandbox, running, wait_for

from crash_oracle.engines import EngineName, start_engine
from crash_oracle.examiner import Examiner
from crash_oracle.exposures import Exposures
from crash_oracle.faults import POISON_RULE, SHORT_SCRIPT, Fault, FaultScript
from crash_oracle.items import SERVICE, TAGS
from crash_oracle.judge import Judge, Verdict
from crash_oracle.killer import POSTGRES_ROUND, ROUND, SHORT_ROUND, Blow, Fleet, Killer, ShiftedClock
from crash_oracle.producer import ACKNOWLEDGED, CONNECTIONS, SENT, Obligations, Producer

SHIFTED_CLOCK = Path(__file__).with_name("shifted_clock")
FULL_RUN_S = 60.0  # from here on every fault and every blow is part of the run, and the figures below are owed
KILLS_MIN, ACKNOWLEDGED_MIN = 10, 20_000
LONG_RUN_S = 120.0  # from here on a worker is stopped past its lease
DRAIN_WITHIN_S = 180.0
FRESH_WITHIN_S = 10.0


@dataclass
class Figures:
    """What a run counted."""

    seed: int
    engine: EngineName
    seconds: float
    acknowledged: int = 0
    maybe: int = 0  # sent, never acknowledged
    resent: int = 0  # recognised by the server as duplicates
    blows: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    doctor_runs: int = 0
    doctor_unanswered: int = 0
    drain_s: float = 0
    fresh_s: float = 0
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def kills(self) -> int:
        """SIGKILLs of the product's processes."""
        return sum(count for blow, count in self.blows.items() if Blow(blow).kills)

    @property
    def problems(self) -> list[str]:
        """Why the run is not good; empty when it is."""
        return self.verdict.problems


class Run:
    """The parts of one run."""

    def __init__(self, folder: Path, seed: int, seconds: float, engine: EngineName) -> None:
        self._folder = folder
        self._figures = Figures(seed, engine, seconds)
        self._stack = ExitStack()
        self._start_ms = int(time.time() * 1_000)
        self._obligations = Obligations()

    def play(self) -> Figures:
        """Start, fail, drain, judge."""
        with self._stack:
            self._start()
            self._chaos()
            self._drain()
            self._judge()
        return self._figures

    def _start(self) -> None:
        seed, enter = self._figures.seed, self._stack.enter_context
        self._clock = ShiftedClock(self._folder / "clock")
        python_path = os.pathsep.join(filter(None, [str(SHIFTED_CLOCK), os.environ.get("PYTHONPATH", "")]))
        variables = {"PYTHONPATH": python_path, "ORACLE_CLOCK_FILE": str(self._folder / "clock")}
        self._sandbox = enter(running(Sandbox(self._folder)))
        settings = {"datadog_sandbox_url": self._sandbox.url}
        engine = enter(start_engine(self._figures.engine, self._folder, variables, **settings))
        self._installation = engine.installation
        self._destination = self._installation.add_destination("--service", SERVICE, "--ddtags", TAGS)
        self._fleet = enter(running(Fleet(engine)))
        self._exposures = Exposures(self._sandbox)
        self._killer = Killer(seed, self._fleet, engine, self._clock, self._exposures)
        self._script = FaultScript(seed, self._sandbox, self._exposures, self._state, self._enable)
        self._examiner = Examiner(seed, self._installation)
        key = self._installation.api_key
        self._producers = [
            Producer(self._obligations, self._fleet.urls, seed=seed, name=str(number), key=key, start_ms=self._start_ms)
            for number in range(CONNECTIONS)
        ]

    def _chaos(self) -> None:
        """Everything at once. The producers go on until the last fault is over."""
        self._sandbox.fail(POISON_RULE)
        failing, producing, watching = threading.Event(), threading.Event(), threading.Event()
        seconds = self._figures.seconds
        pool = self._stack.enter_context(ThreadPoolExecutor(CONNECTIONS + 4))
        self._stack.callback(watching.set)
        self._watch = pool.submit(self._exposures.sample, watching)
        self._watching = watching
        working = [pool.submit(producer.run, producing) for producer in self._producers]
        working.append(pool.submit(self._examiner.run, producing))
        failures: list[Future[None]] = [
            pool.submit(self._script.run, failing, self._faults(), ends_held=seconds >= FULL_RUN_S),
            pool.submit(self._killer.run, failing, self._blows(), min(seconds, FULL_RUN_S)),
        ]
        try:
            time.sleep(seconds)
            failing.set()
            for failure in failures:
                failure.result()
        except BaseException:
            for producer in self._producers:
                producer.abandoned.set()
            raise
        finally:
            failing.set()
            producing.set()
        for work in working:
            work.result()

    def _faults(self) -> tuple[Fault, ...]:
        return tuple(Fault) if self._figures.seconds >= FULL_RUN_S else SHORT_SCRIPT

    def _blows(self) -> tuple[Blow, ...]:
        seconds, on_postgres = self._figures.seconds, self._figures.engine is EngineName.POSTGRES
        blows = ROUND if seconds >= FULL_RUN_S else SHORT_ROUND
        blows += POSTGRES_ROUND if on_postgres else ()
        return (*blows, Blow.STOP_PAST_LEASE) if seconds >= LONG_RUN_S else blows

    def _drain(self) -> None:
        """The faults are over: soon nothing waits any more, and what is sent now arrives at once."""
        start = time.monotonic()
        wait_for(lambda: self._waiting() == 0 and self._state() == "enabled", "an empty outbox", DRAIN_WITHIN_S)
        self._figures.drain_s = time.monotonic() - start
        start = time.monotonic()
        fresh = f'"sp-{self._producers[0].send_one()}"'
        seen = self._sandbox.stats()["logs"]
        wait_for(lambda: fresh in self._newest(max(0, seen - 10)), "a fresh trace", FRESH_WITHIN_S)
        self._figures.fresh_s = time.monotonic() - start
        wait_for(lambda: self._waiting() == 0, "the ledger's word about it", FRESH_WITHIN_S)

    def _judge(self) -> None:
        self._watching.set()
        self._watch.result()
        figures, examiner = self._figures, self._examiner
        counts = examiner.look()
        organization_id = self._installation.organization_id
        judge = Judge(figures.seed, self._start_ms, organization_id, self._obligations)
        committed = counts["committed"] if counts else -1
        figures.verdict = judge.judge(self._sandbox, self._installation, self._exposures, committed)
        figures.acknowledged = self._obligations.count(ACKNOWLEDGED)
        figures.maybe = self._obligations.count(SENT)
        figures.resent = sum(producer.duplicates for producer in self._producers)
        figures.blows, figures.faults = dict(+self._killer.dealt), dict(+self._script.played)
        figures.doctor_runs, figures.doctor_unanswered = examiner.runs, examiner.unanswered
        said = [each for producer in self._producers for each in producer.problems]
        for problem in [*said, *examiner.problems, *self._shortfalls()]:
            figures.verdict.add(problem)
        for log_file in sorted(self._folder.glob("serve-*.log")):
            if "Traceback" in (text := log_file.read_text(errors="replace")):
                at = text.index("Traceback")
                figures.verdict.add(f"a traceback in {log_file.name}: {text[max(0, at - 300) : at + 1_500]}")

    def _shortfalls(self) -> Iterator[str]:
        """What a full run lacks of being one."""
        figures = self._figures
        if figures.seconds < FULL_RUN_S:
            return
        if figures.kills < KILLS_MIN or figures.acknowledged < ACKNOWLEDGED_MIN:
            yield f"too little happened: {figures.kills} kills, {figures.acknowledged} acknowledged traces"
        if missing := {*self._faults()} - {*figures.faults} | {*self._blows()} - {*figures.blows}:
            yield f"these never happened: {', '.join(sorted(missing))}"

    def _waiting(self) -> int:
        answer = self._admin.get("/api/v1/deliveries")
        return answer.data["destinations"][0]["waiting"] if answer.status == 200 else -1

    def _newest(self, after: int) -> str:
        return self._sandbox.caller.get(f"/sandbox/logs?limit=100&after={after}").body.decode()

    def _state(self) -> str:
        return self._admin.get(f"/api/v1/integrations/{self._destination}").data["state"]

    def _enable(self) -> object:
        return self._admin.post(f"/api/v1/integrations/{self._destination}/enable")

    @property
    def _admin(self) -> Caller:
        return self._fleet.servers[0].admin


def run_oracle(folder: Path, seed: int, seconds: float, engine: EngineName) -> Figures:
    """One run in an empty folder. Raises AssertionError where it cannot even be judged, such as a queue that stays."""
    return Run(folder, seed, seconds, engine).play()
