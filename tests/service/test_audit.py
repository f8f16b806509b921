"""The audit chain as an auditor meets it: real server, real worker, commands, and a script with nothing but Python."""

import gzip
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Platform, assert_failed, start_platform, wait_for

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "verify_evidence.py"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation that writes its heads to a file, with traces that are delivered."""
    folder = tmp_path_factory.mktemp("audit")
    with start_platform(folder, audit_head_file=str(folder / "heads.jsonl")) as started:
        started.server.agent.post("/api/v1/agents", {"agentId": "bot", "name": "Bot", "type": "chatbot"})
        for number in range(3):
            item = {"traceId": f"t{number}", "status": "success", "agentId": "bot", "userId": f"u{number}"}
            started.server.agent.ingest({**item, "metadata": {"spanId": "s"}})
        assert started.server.agent.enforce("bot").status == 200
        started.server.wait_until_delivered()
        yield started


def offline(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script, with the standard library alone and no way to anything of ours."""
    command = [sys.executable, "-I", "-S", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def save_logs(platform: Platform, file: Path) -> Path:
    """The sandbox's logs as a file, a log a line."""
    lines = "".join(json.dumps({"attributes": log}) + "\n" for log in platform.sandbox.logs())
    file.write_bytes(gzip.compress(lines.encode()))
    return file


def test_everything_verifies_while_the_server_runs(platform: Platform, tmp_path: Path) -> None:
    """`audit verify` with heads kept apart and logs out of the sandbox finds nothing, and says what it went through."""
    head = platform.installation.run("audit", "head", "--out", str(tmp_path / "heads.jsonl"))
    logs = save_logs(platform, tmp_path / "logs.json.gz")

    ran = platform.installation.run(
        "audit", "verify", "--json", "--head", str(tmp_path / "heads.jsonl"), "--logs", str(logs)
    )

    assert head.returncode == 0, head.stderr
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["ok"], found["findings"], found["logs"]) == (True, [], 3)
    assert found["anchoredEntries"] == found["newestEntry"] == found["entries"] > 6
    assert found["leaves"] == 4
    assert "Everything is as it was recorded." in platform.installation.run("audit", "verify").stdout


def test_the_chain_is_shown_over_http(platform: Platform) -> None:
    """`GET /audit` pages through the entries for admin keys; an unknown kind is refused by name."""
    admin = platform.server.admin
    first = admin.get("/api/v1/audit?limit=2").json
    rest = admin.get(f"/api/v1/audit?after={first['meta']['next']}&limit=1000").data
    seqs = [entry["seq"] for entry in (*first["data"], *rest)]

    assert seqs == list(range(1, len(seqs) + 1))
    assert {entry["previous"] for entry in rest} <= {entry["hash"] for entry in (*first["data"], *rest)}
    events = admin.get("/api/v1/audit?events=true").data
    assert {"key.issued", "destination.enabled", "agent.registered"} <= {entry["kind"] for entry in events}
    assert "batch.root" not in {entry["kind"] for entry in events}
    assert {entry["actor"] for entry in admin.get("/api/v1/audit?kind=key.issued").data} == {"command"}
    registered = admin.get("/api/v1/audit?kind=agent.registered").data
    assert [entry["actor"][:8] for entry in registered] == ["key:key_"]
    assert {each["kind"] for each in admin.get("/api/v1/audit?kind=batch.root&limit=1000").data} == {"batch.root"}
    assert admin.get("/api/v1/audit?kind=king").code == "VALIDATION_ERROR"
    assert platform.server.agent.get("/api/v1/audit").code == "FORBIDDEN"


def test_the_server_appends_signed_heads(platform: Platform) -> None:
    """The file named by the setting has a head of the server's key, of an entry as the chain has it."""
    file = platform.installation.folder / "heads.jsonl"
    wait_for(lambda: file.exists() and file.read_text(), "a head")

    head = json.loads(file.read_text().splitlines()[0])
    later = json.loads(platform.installation.run("audit", "head").stdout)

    assert (head["organization"], head["key"]) == (platform.installation.organization_id, later["key"])
    assert platform.installation.run("audit", "verify", "--head", str(file)).returncode == 0


def test_evidence_of_one_trace_verifies_offline(platform: Platform, tmp_path: Path) -> None:
    """The exported file, by command or over HTTP, passes with the head, the key and the hash of the log in Datadog."""
    assert platform.installation.run("audit", "head", "--out", str(tmp_path / "h")).returncode == 0
    [line] = (tmp_path / "h").read_text().splitlines()
    exported = platform.installation.run(
        "audit", "export", "--trace", "t1", "--head", str(tmp_path / "h"), "--out", str(tmp_path / "e.json")
    )
    [log] = platform.sandbox.wait_for_logs(lambda each: each["trace_id"] == "t1", 1)
    anchors = ("--head", str(tmp_path / "h"), "--key", json.loads(line)["key"])

    checked = offline(str(tmp_path / "e.json"), *anchors, "--audit-hash", log["execlave"]["audit_hash"])

    assert exported.returncode == 0, exported.stderr
    assert checked.returncode == 0, checked.stdout
    assert "PASS  all of it" in checked.stdout
    other = offline(str(tmp_path / "e.json"), "--audit-hash", "00" * 32)
    assert (other.returncode, "FAIL" in other.stdout) == (1, True)
    over_http = platform.server.admin.get("/api/v1/traces/t1/evidence")
    (tmp_path / "http.json").write_bytes(over_http.body)
    assert offline(str(tmp_path / "http.json")).returncode == 0
    assert platform.server.admin.get("/api/v1/traces/nobody/evidence").code == "NOT_FOUND"
    assert platform.server.agent.get("/api/v1/traces/t1/evidence").code == "FORBIDDEN"


def test_erasing_a_user(platform: Platform, tmp_path: Path) -> None:
    """`erase` removes the user's content; everything verifies, against the logs from before too."""
    logs = save_logs(platform, tmp_path / "logs.json.gz")

    erased = platform.installation.run_json("erase", "--user", "u2")

    assert erased == {"traces": 1, "decisions": 0, "approvals": 0, "openApprovals": 0}
    assert platform.installation.run("audit", "verify", "--logs", str(logs)).returncode == 0
    platform.installation.run("audit", "export", "--trace", "t2", "--out", str(tmp_path / "e.json"))
    assert '"u2"' not in (tmp_path / "e.json").read_text()
    assert offline(str(tmp_path / "e.json")).returncode == 0


def test_bad_files_are_named(platform: Platform, tmp_path: Path) -> None:
    """A file that holds no heads, or no logs, is refused in one line."""
    file = tmp_path / "nothing"
    file.write_text("{\n")

    for option in ("--head", "--logs"):
        assert_failed(platform.installation.run("audit", "verify", option, str(file)), "BAD_REQUEST", str(file))


def test_tampering_is_found_and_exits_with_1(platform: Platform) -> None:
    """A row changed with SQL is named; the last test here, since nothing verifies after it."""
    changed = "cast(replace(cast(item as text), 'success', 'failure') as blob)"
    platform.installation.tamper(f"update traces set item = {changed} where trace_id = 't0'")  # noqa: S608 - our own

    ran = platform.installation.run("audit", "verify")
    found = json.loads(platform.installation.run("audit", "verify", "--json").stdout)

    assert ran.returncode == 1
    assert "FAILED  trace.changed  batch" in ran.stderr
    assert (found["ok"], found["findingCount"], found["findings"][0]["code"]) == (False, 1, "trace.changed")
    assert platform.server.admin.get("/api/v1/traces/t0/evidence").code == "CONFLICT"


def test_the_wheel_has_the_offline_script(tmp_path):
    """Whoever installs the package has the script that checks evidence, byte for byte the documented one."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, timeout=120, check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        script = packed.read("execlave_server/verify_evidence.py")

    assert script == SCRIPT.read_bytes()


def test_an_export_says_where_the_script_is(platform, tmp_path):
    """The command it prints checks the file, with the standard library alone."""
    trace = platform.sandbox.logs()[0]["trace_id"]
    ran = platform.installation.run("audit", "export", "--trace", trace, "--out", str(tmp_path / "e.json"))
    command = ran.stdout.partition("Check it offline: python3 ")[2].split()

    checked = subprocess.run([sys.executable, "-S", *command], capture_output=True, timeout=30, check=False)
    assert checked.returncode == 0, checked.stderr
