"""A short run of the crash oracle on each engine; `bench/oracle.py` is the long one, with every fault and blow."""

from dataclasses import fields

import pytest
from crash_oracle.engines import EngineName
from crash_oracle.killer import Blow
from crash_oracle.run import run_oracle

from execlave_server.settings import Settings

SEED = 3
SECONDS = 8
HAS_POSTGRES = "database_url" in {setting.name for setting in fields(Settings)}


@pytest.mark.parametrize(
    "engine",
    [
        EngineName.SQLITE,
        pytest.param(
            EngineName.POSTGRES, marks=pytest.mark.skipif(not HAS_POSTGRES, reason="this version knows SQLite only")
        ),
    ],
)
def test_every_acknowledged_trace_is_delivered_or_parked_whatever_fails(tmp_path, engine):
    """Under kills, a full disk, clock jumps and a failing intake nothing is lost, invented, changed, repeated idly."""
    figures = run_oracle(tmp_path, SEED, SECONDS, engine)

    assert figures.problems == []
    assert figures.acknowledged > 2_000
    assert figures.kills >= 3
    assert {Blow.CLOCK_FORWARD, Blow.CLOCK_BACK} <= figures.blows.keys()
    assert figures.verdict.parked > 0
    assert figures.verdict.duplicates <= figures.verdict.duplicates_bound
