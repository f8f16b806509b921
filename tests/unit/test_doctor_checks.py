"""Doctor's checks of the machine and the database's settings, and how many findings are printed."""

from pathlib import Path

import pytest

from execlave_server.actions.doctor.findings import (
    FINDINGS_PER_CODE_MAX,
    Code,
    Finding,
    Severity,
    Standing,
    limited,
    utc,
)
from execlave_server.actions.doctor.ledger import LedgerCheck, LedgerRow
from execlave_server.actions.doctor.machine import MachineFacts, check_machine, check_outcomes, check_settings
from execlave_server.store.statements import load_statements

GIB = 1 << 30


def machine(**changes) -> MachineFacts:
    """A machine in order, but for the changes."""
    facts = {
        "data_dir": Path("/data"),
        "key_file": Path("/data.kek"),
        "key_inside": False,
        "key_error": None,
        "secret_files": [],
        "free_bytes": 10 * GIB,
        "wal_bytes": 4 << 20,
    }
    return MachineFacts(**(facts | changes))


def found(findings) -> list[tuple[Code, Severity]]:
    """Code and severity of each."""
    return [(finding.code, finding.severity) for finding in findings]


def test_a_machine_in_order_has_no_findings():
    """Nothing is made up."""
    assert found(check_machine(machine())) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"free_bytes": GIB - 1}, (Code.DISK_LOW, Severity.WARNING)),
        ({"free_bytes": 50 << 20}, (Code.DISK_LOW, Severity.ERROR)),
        ({"wal_bytes": GIB}, (Code.WAL_LARGE, Severity.WARNING)),
        ({"key_inside": True}, (Code.KEK_INSIDE_DATA_DIR, Severity.ERROR)),
        ({"key_error": "The key is missing."}, (Code.KEK_UNUSABLE, Severity.ERROR)),
    ],
)
def test_what_is_wrong_with_a_machine(changes, expected):
    """Each fault is one finding of its severity."""
    assert found(check_machine(machine(**changes))) == [expected]


@pytest.mark.parametrize(
    ("name", "value", "safe"),
    [
        ("fsync", "on", True),
        ("fsync", "off", False),
        ("full_page_writes", "off", False),
        ("synchronous_commit", "off", False),
        ("synchronous_commit", "local", True),
        ("synchronous_commit", "remote_apply", True),
        ("journal_mode", "wal", True),
        ("journal_mode", "delete", False),
        ("shared_buffers", "16384", True),
    ],
)
def test_settings_under_which_a_commit_can_be_lost(name, value, safe):
    """They are named with the value they should have."""
    findings = list(check_settings([(name, value)]))

    assert found(findings) == ([] if safe else [(Code.DATABASE_UNSAFE, Severity.ERROR)])
    assert all(f"Set {name} = {'wal' if name == 'journal_mode' else 'on'} " in finding.remedy for finding in findings)


def test_both_engines_have_the_statements_of_their_own():
    """What differs between the engines has the same names and parameters on both."""
    sqlite, postgres = load_statements("sqlite"), load_statements("postgres")

    for name in ("database_settings", "database_tables", "check_table"):
        assert sqlite[name].parameters == postgres[name].parameters
        assert sqlite[name].sql != postgres[name].sql


def test_a_clean_table_says_ok():
    """Only what is not `ok` is a finding."""
    assert found(check_outcomes("traces", ["ok"])) == []
    assert found(check_outcomes("traces", ["row 3 missing from index"])) == [(Code.DATABASE_DAMAGED, Severity.ERROR)]


def test_one_accident_is_one_story():
    """Of one code a hundred findings are kept and the rest are counted; errors come first."""
    findings = [
        Finding(code, severity, "what", "why", "remedy", batch=number)
        for code, severity in ((Code.DISK_LOW, Severity.WARNING), (Code.TRACE_MISSING, Severity.ERROR))
        for number in range(FINDINGS_PER_CODE_MAX + 5)
    ]

    kept, omitted = limited(findings)

    assert [finding.code for finding in kept] == [Code.TRACE_MISSING] * 100 + [Code.DISK_LOW] * 100
    assert omitted == {Code.TRACE_MISSING: 5, Code.DISK_LOW: 5}


def test_a_time_is_written_as_the_commands_take_it():
    """To the microsecond, so that a span of one batch names that batch alone."""
    assert utc(1_765_449_600_000_001) == "2025-12-11T10:40:00.000001Z"


def test_a_destination_that_is_not_listed_is_passed_over():
    """One that was added after the destinations were read is the next examination's."""
    row = LedgerRow(1, 1, 1, 1, 1, 1, 1, 7, None, None, None, None, None, None, 0)

    assert list(LedgerCheck({}, {}).take([row])) == []
    (finding,) = LedgerCheck({7: Standing("dst_7", "org", "enabled")}, {}).take([row])
    assert finding.destination == "dst_7"
