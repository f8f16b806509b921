"""The past queued again: over HTTP in steps, and on the command line."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from harness import Platform, assert_failed, start_platform

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An installation of its own."""
    with start_platform(tmp_path_factory.mktemp("past")) as started:
        yield started


@pytest.fixture
def destination(platform: Platform) -> str:
    """Its destination's id."""
    return platform.installation.run_json("destination", "list")[0]["id"]


def send(platform: Platform, trace_id: str) -> None:
    """Commit a trace as a batch of its own."""
    assert platform.server.agent.ingest({"traceId": trace_id, "status": "success", "agentId": "bot"}).status == 202


def arrivals(platform: Platform, trace_id: str, count: int) -> list[dict]:
    """The logs of a trace, once there are so many."""
    return platform.sandbox.wait_for_logs(lambda log: log.get("trace_id") == trace_id, count)


def test_a_gap_is_shown_and_filled_over_http(platform: Platform, destination: str) -> None:
    """A destination that was disabled shows its gap; a backfill of it delivers what was missed, once."""
    admin = platform.server.admin
    path = f"/api/v1/integrations/{destination}"
    before = admin.get(path).data["gap"]
    admin.post(f"{path}/disable")
    send(platform, "missed over HTTP")
    during = admin.get(path).data["gap"]
    too_early = admin.post("/api/v1/deliveries/backfill", {"destination": destination, "gap": True})
    admin.post(f"{path}/enable")
    shown = admin.get(path).data["gap"]

    filled = admin.post("/api/v1/deliveries/backfill", {"destination": destination, "gap": True}).data

    assert before is None
    assert (during["to"], too_early.status) == (None, 409)
    assert during["from"] == shown["from"] <= shown["to"]
    assert (filled["queued"], filled["next"], filled["lookedAt"]) == (1, None, filled["of"])
    (log,) = arrivals(platform, "missed over HTTP", 1)
    assert log["execlave"]["backfill"] is True
    assert admin.get(path).data["gap"] is None


def test_a_gap_is_shown_and_filled_by_command(platform: Platform, destination: str) -> None:
    """`destination list` shows the gap, `backfill --gap` fills it, and a second time there is none."""
    platform.installation.run("destination", "disable", destination)
    send(platform, "missed by command")
    platform.installation.run("destination", "enable", destination)
    listed = platform.installation.run("destination", "list")
    fill = ("deliveries", "backfill", "--destination", destination, "--gap")

    filled = platform.installation.run_json(*fill)
    again = platform.installation.run(*fill)

    assert " to 2" in listed.stdout.splitlines()[1]
    assert filled == {"queued": 1}
    assert len(arrivals(platform, "missed by command", 1)) == 1
    assert_failed(again, "CONFLICT", "no gap")


def test_a_replay_over_http_is_done_once_under_its_id(platform: Platform, destination: str) -> None:
    """A replay has an id; asked again under it, nothing more is queued, and under none it is a new one."""
    send(platform, "replayed over HTTP")
    platform.server.wait_until_delivered()
    admin = platform.server.admin
    asked = {"destination": destination, "from": LONG_AGO}

    first = admin.post("/api/v1/deliveries/replay", asked).data
    arrivals(platform, "replayed over HTTP", 2)
    platform.server.wait_until_delivered()
    again = admin.post("/api/v1/deliveries/replay", {**asked, "to": first["to"], "replay": first["replay"]}).data
    another = admin.post("/api/v1/deliveries/replay", asked).data

    assert first["queued"] >= 1
    assert (again["queued"], again["replay"], again["to"]) == (0, first["replay"], first["to"])
    assert another["queued"] == first["queued"]
    assert len(arrivals(platform, "replayed over HTTP", 3)) == 3


def test_a_replay_by_command_says_how_to_finish_it(platform: Platform, destination: str) -> None:
    """The command prints its id and the command that resumes it; run, that one queues nothing a second time."""
    send(platform, "replayed by command")
    platform.server.wait_until_delivered()
    ran = platform.installation.run("deliveries", "replay", "--destination", destination, "--from", LONG_AGO)
    platform.server.wait_until_delivered()
    resume = ran.stderr.strip().splitlines()[0].partition("execlave-server ")[2].split()

    resumed = platform.installation.run(*resume)
    without_end = platform.installation.run(*resume[:-4], "--resume", "rpl_1")

    assert (ran.returncode, resumed.returncode, resumed.stdout) == (0, 0, "Queued 0 batches.\n")
    assert without_end.returncode == 2
    assert len(arrivals(platform, "replayed by command", 2)) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("backfill", {}, 400, "destination"),
        ("backfill", {"from": LONG_AGO}, 400, "destination"),
        ("backfill", {"destination": "dst_0"}, 400, "from"),
        ("backfill", {"destination": "dst_0", "from": "yesterday"}, 400, "from"),
        ("backfill", {"destination": "dst_0", "from": LONG_AGO, "next": -1}, 400, "next"),
        ("backfill", {"destination": "dst_0", "from": LONG_AGO, "replay": "x"}, 400, "replay"),
        ("replay", {"destination": "dst_0", "from": LONG_AGO, "replay": "x" * 65}, 400, "replay"),
        ("replay", {"destination": "dst_0", "gap": True}, 400, "gap"),
        ("backfill", {"destination": "dst_0", "from": LONG_AGO}, 404, None),
        ("backfill", {"destination": "dst_0", "gap": True}, 404, None),
        ("replay", {"destination": "dst_0", "from": LONG_AGO}, 404, None),
    ],
)
def test_what_cannot_be_meant_is_named(platform: Platform, path, body, status, field) -> None:
    """A wrong body is refused under the field at fault, an unknown destination with 404."""
    answer = platform.server.admin.post(f"/api/v1/deliveries/{path}", body)

    assert answer.status == status
    assert field is None or field in answer.json["error"]["fields"]


def test_a_span_that_ends_before_it_begins_is_refused(platform: Platform, destination: str) -> None:
    """`from` at or after `to` is an error, over HTTP and on the command line."""
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = platform.server.admin.post(
        "/api/v1/deliveries/backfill", {"destination": destination, "from": now, "to": LONG_AGO}
    )
    ran = platform.installation.run(
        "deliveries", "backfill", "--destination", destination, "--from", now, "--to", LONG_AGO
    )

    assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
    assert_failed(ran, "VALIDATION_ERROR", "before")
