"""An operator's looks at the product while everything fails: the sums must be right at every moment."""

import json
import random
import threading

from harness import Installation

EVERY_S = (2.0, 5.0)


class Examiner:
    """Runs `deliveries status`, and `doctor` where there is one, as commands of their own."""

    def __init__(self, seed: int, installation: Installation) -> None:
        self._chance = random.Random(f"{seed} examiner")  # noqa: S311 - a plan to be repeated
        self._installation = installation
        self._has_doctor = installation.run("doctor", "--help").returncode == 0
        self.runs = 0
        self.unanswered = 0
        self.problems: list[str] = []

    def run(self, stopping: threading.Event) -> None:
        """Look at random moments until told to stop."""
        while not stopping.wait(self._chance.uniform(*EVERY_S)):
            self.look()

    def look(self) -> dict[str, int] | None:
        """The destination's sums, if they could be read; a wrong sum is a problem."""
        self.runs += 1
        if self._has_doctor:
            self._ask_doctor()
        ran = self._installation.run("deliveries", "status", "--json")
        if ran.returncode != 0:
            self._note_failure(ran.stderr)
            return None
        (counts,) = json.loads(ran.stdout)
        if counts["committed"] != counts["delivered"] + counts["waiting"] + counts["parked"]:
            self.problems.append(f"committed is not delivered + waiting + parked: {counts}")
        return counts

    def _ask_doctor(self) -> None:
        """Every destination must be balanced; what else is found may be true at such a moment."""
        ran = self._installation.run("doctor", "--json")
        if not ran.stdout.strip():
            self._note_failure(ran.stderr)
            return
        report = json.loads(ran.stdout)
        if not all(each["balanced"] for each in report["destinations"]):
            self.problems.append(f"the doctor finds a destination out of balance: {ran.stdout[:1_500]}")

    def _note_failure(self, said: str) -> None:
        """A command may fail while the database is out of reach, in one line with a code."""
        self.unanswered += 1
        if not said.lstrip().startswith("Error [") or "Traceback" in said:
            self.problems.append(f"a command failed without a word of its own: {said[-500:]}")
