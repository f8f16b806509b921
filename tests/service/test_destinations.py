"""A destination's life over HTTP: nothing is enabled that was not tried, and its key is never seen again."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from harness import (
    DATADOG_KEY,
    Caller,
    Installation,
    Platform,
    Sandbox,
    Server,
    processes_holding,
    running,
    wait_for,
)

HEARTBEAT = "execlave heartbeat"  # the message of the log that a destination gets each minute
PATH = "/api/v1/integrations"
OTHER_KEY = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
WRONG_KEY = "ffffffffffffffffffffffffffffffff"
SITES = [
    *("datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com"),
    *("ap2.datadoghq.com", "uk1.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"),
]


@pytest.fixture(scope="module")
def platform(tmp_path_factory) -> Iterator[Platform]:
    """A platform without a destination, and a sandbox that takes two keys."""
    folder = tmp_path_factory.mktemp("destinations")
    with running(Sandbox(folder, DATADOG_KEY, OTHER_KEY)) as sandbox:
        installation = Installation(folder, datadog_sandbox_url=sandbox.url)
        with running(installation.serve()) as server:
            yield Platform(sandbox, installation, server)


@pytest.fixture
def admin(platform) -> Caller:
    """An administrator."""
    return platform.server.admin


@pytest.fixture
def add(platform, admin):
    """Adds a destination, which is disabled at the end; the sandbox takes both keys meanwhile."""
    added: list[str] = []

    def post(**more: Any) -> dict[str, Any]:
        wanted = {"name": uuid.uuid4().hex, "site": "sandbox", "apiKey": DATADOG_KEY, **more}
        made = admin.post(PATH, wanted).data
        added.append(made["id"])
        return made

    yield post
    for destination_id in added:
        admin.post(f"{PATH}/{destination_id}/disable")
    platform.sandbox.accept(DATADOG_KEY, OTHER_KEY)


def test_of(admin: Caller, destination: dict[str, Any]) -> dict[str, Any]:
    """What Test connection says of a destination."""
    return admin.post(f"{PATH}/{destination['id']}/test").data


test_of.__test__ = False  # type: ignore[attr-defined]


def trace(server: Server) -> str:
    """Send one trace; its id."""
    trace_id = uuid.uuid4().hex
    assert server.agent.ingest({"traceId": trace_id, "status": "success"}).status == 202
    return trace_id


class TestLife:
    def test_a_draft_is_tested_then_enabled_then_delivers(self, platform, admin, add):
        """A new destination is a draft, cannot be enabled, passes its test, is enabled, and gets what follows."""
        draft = add(service="Agents Prod", ddtags="Env:Production, team:platform")
        early = trace(platform.server)
        refused = admin.post(f"{PATH}/{draft['id']}/enable")
        report = test_of(admin, draft)
        enabled = admin.post(f"{PATH}/{draft['id']}/enable")
        late = trace(platform.server)

        assert (draft["state"], draft["testedAt"]) == ("draft", None)
        assert (draft["service"], draft["ddtags"]) == ("agents_prod", "env:production,team:platform")
        assert (refused.status, refused.code) == (409, "CONFLICT")
        assert [(step["step"], step["finding"]) for step in report["steps"]] == [("validate", "OK"), ("canary", "OK")]
        assert (report["passed"], report["destination"]["state"]) == (True, "draft")
        assert enabled.data["state"] == "enabled"
        (log,) = platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == late, 1)
        assert (log["service"], log["ddtags"]) == ("agents_prod", "env:production,team:platform")
        assert early not in {log["trace_id"] for log in platform.sandbox.logs()}

    def test_a_wrong_key_fails_the_test_and_stays_a_draft(self, admin, add):
        """A key that Datadog does not know is named as the cause, and the destination cannot be enabled."""
        draft = add(apiKey=WRONG_KEY)
        report = test_of(admin, draft)
        refused = admin.post(f"{PATH}/{draft['id']}/enable")

        assert report["passed"] is False
        assert [(step["step"], step["finding"], step["status"]) for step in report["steps"]] == [
            ("validate", "KEY_OR_SITE", 403)
        ]
        assert refused.status == 409

    def test_a_changed_draft_must_be_tested_again(self, admin, add):
        """A pass counts for the settings that passed: a new key on a draft takes it back."""
        draft = add()
        assert test_of(admin, draft)["passed"]
        changed = admin.patch(f"{PATH}/{draft['id']}", {"apiKey": WRONG_KEY}).data
        refused = admin.post(f"{PATH}/{draft['id']}/enable")

        assert (changed["testedAt"], changed["apiKeyLastFour"]) == (None, "ffff")
        assert refused.status == 409

    def test_name_service_and_tags_need_no_test(self, platform, admin, add):
        """What is no matter of the connection holds at once, also on a destination that delivers."""
        destination = add()
        test_of(admin, destination)
        admin.post(f"{PATH}/{destination['id']}/enable")
        changed = admin.patch(f"{PATH}/{destination['id']}", {"service": "renamed", "ddtags": "a:b"}).data

        def renamed() -> list[dict[str, Any]]:
            trace_id = trace(platform.server)
            logs = platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == trace_id, 1)
            return [log for log in logs if (log["service"], log["ddtags"]) == ("renamed", "a:b")]

        assert (changed["state"], changed["candidate"]) == ("enabled", None)
        assert wait_for(renamed, "a log of the renamed service")

    def test_a_disabled_destination_gets_nothing_and_may_come_back(self, platform, admin, add):
        """Traces committed while it is disabled are not queued for it; enabled again, it delivers what follows."""
        destination = add()
        test_of(admin, destination)
        admin.post(f"{PATH}/{destination['id']}/enable")
        admin.post(f"{PATH}/{destination['id']}/disable")
        missed = trace(platform.server)
        admin.post(f"{PATH}/{destination['id']}/enable")
        seen = trace(platform.server)

        platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == seen, 1)
        assert missed not in {log["trace_id"] for log in platform.sandbox.logs()}

    def test_the_heartbeat_is_on_until_it_is_switched_off(self, platform, admin, add):
        """An enabled destination gets a heartbeat at once; PATCH and the command line switch it."""
        made = add(service="beating")
        test_of(admin, made)
        assert admin.post(f"{PATH}/{made['id']}/enable").data["heartbeat"] is True

        def beats() -> bool:
            logs = [row["log"] for row in platform.sandbox.caller.get("/sandbox/logs?limit=10000").data]
            return any(log["service"] == "beating" and log["message"] == HEARTBEAT for log in logs)

        wait_for(beats, "a heartbeat")
        off = admin.patch(f"{PATH}/{made['id']}", {"heartbeat": False}).data
        on = platform.installation.run_json("destination", "heartbeat", made["id"], "on")

        assert (off["heartbeat"], on) == (False, {"id": made["id"], "heartbeat": True})
        assert add(heartbeat=False)["heartbeat"] is False

    def test_events_are_on_until_they_are_switched_off(self, platform, admin, add):
        """An enabled destination is told of its own beginning; PATCH and the command line switch it."""
        made = add(service="told")
        test_of(admin, made)
        assert admin.post(f"{PATH}/{made['id']}/enable").data["events"] is True

        def told() -> bool:
            events = [log for log in platform.sandbox.events() if log["service"] == "told"]
            return any(log["execlave"]["event"] == "destination.enabled" for log in events)

        wait_for(told, "an event")
        off = admin.patch(f"{PATH}/{made['id']}", {"events": False}).data
        on = platform.installation.run_json("destination", "events", made["id"], "on")

        assert (off["events"], on) == (False, {"id": made["id"], "events": True})
        assert add(events=False)["events"] is False


class TestCandidate:
    def test_a_new_key_takes_over_only_when_it_passes(self, platform, admin, add):
        """On a destination that delivers, a new key waits as candidate; the old one serves until the new one passed."""
        destination = add()
        path = f"{PATH}/{destination['id']}"
        test_of(admin, destination)
        admin.post(f"{path}/enable")
        platform.sandbox.accept(DATADOG_KEY)
        proposed = admin.patch(path, {"apiKey": OTHER_KEY}).data
        failed = test_of(admin, destination)
        by_the_old = trace(platform.server)
        platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == by_the_old, 1)
        platform.sandbox.accept(DATADOG_KEY, OTHER_KEY)
        passed = test_of(admin, destination)
        platform.sandbox.accept(OTHER_KEY)
        by_the_new = trace(platform.server)

        assert (proposed["state"], proposed["apiKeyLastFour"]) == ("enabled", DATADOG_KEY[-4:])
        assert proposed["candidate"] == {"site": "sandbox", "apiKeyLastFour": OTHER_KEY[-4:]}
        assert failed["passed"] is False
        assert failed["destination"]["candidate"] == proposed["candidate"]
        assert failed["destination"]["state"] == "enabled"
        assert passed["passed"] is True
        assert (passed["destination"]["candidate"], passed["destination"]["apiKeyLastFour"]) == (None, OTHER_KEY[-4:])
        assert platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == by_the_new, 1)

    def test_a_new_site_is_a_candidate_too(self, admin, add):
        """A change of site alone keeps the key, and waits for its test likewise."""
        destination = add()
        test_of(admin, destination)
        admin.post(f"{PATH}/{destination['id']}/enable")
        proposed = admin.patch(f"{PATH}/{destination['id']}", {"site": "eu"}).data

        assert (proposed["site"], proposed["state"]) == ("sandbox", "enabled")
        assert proposed["candidate"] == {"site": "datadoghq.eu", "apiKeyLastFour": DATADOG_KEY[-4:]}

    def test_a_refused_key_holds_the_destination_and_loses_nothing(self, platform, admin, add):
        """When Datadog refuses the key, traces wait; they are delivered once a connection passes its test."""
        destination = add()
        path = f"{PATH}/{destination['id']}"
        test_of(admin, destination)
        admin.post(f"{path}/enable")
        platform.sandbox.accept(OTHER_KEY)
        first = trace(platform.server)
        held = wait_for(
            lambda: next((view for view in [admin.get(path).data] if view["state"] == "held"), None), "a held state"
        )
        second = trace(platform.server)
        admin.patch(path, {"apiKey": OTHER_KEY})
        report = test_of(admin, destination)

        assert DATADOG_KEY[-4:] in held["stateReason"]
        assert report["passed"] is True
        assert (report["destination"]["state"], report["destination"]["stateReason"]) == ("enabled", None)
        logs = platform.sandbox.wait_for_logs(lambda log: log["trace_id"] in {first, second}, 2)
        assert {log["trace_id"] for log in logs} == {first, second}

    def test_a_late_refusal_of_the_old_key_does_not_hold_the_new(self, platform, admin, add):
        """A request sent under the old key and refused after the new one took over says nothing about the new one."""
        destination = add()
        path = f"{PATH}/{destination['id']}"
        test_of(admin, destination)
        admin.post(f"{path}/enable")
        platform.sandbox.fail({"path": "/api/v2/logs", "status": 403, "delay_ms": 2_000})
        applied = platform.sandbox.stats()["faults_applied"]
        traced = trace(platform.server)
        wait_for(lambda: platform.sandbox.stats()["faults_applied"] > applied, "a request under the old key")
        admin.patch(path, {"apiKey": OTHER_KEY})
        report = test_of(admin, destination)

        def is_over() -> bool:
            held = admin.get(path).data["state"] == "held"
            return held or any(log["trace_id"] == traced for log in platform.sandbox.logs())

        wait_for(is_over, "a delivery or a hold")
        view = admin.get(path).data
        assert report["passed"] is True
        assert (view["state"], view["stateReason"]) == ("enabled", None)
        assert platform.sandbox.wait_for_logs(lambda log: log["trace_id"] == traced, 1)


class TestRefusals:
    def test_a_pasted_address_is_understood(self, add):
        """What stands in the browser's address bar names the site."""
        assert add(site="https://app.datadoghq.eu/logs?query=a")["site"] == "datadoghq.eu"
        assert add(site="https://us5.datadoghq.com")["site"] == "us5.datadoghq.com"

    @pytest.mark.parametrize("site", ["datadoghq.org", "https://datadoghq.eu.evil.example/", "", "us9.datadoghq.com"])
    def test_an_unknown_site_is_refused_with_the_list(self, admin, site):
        """Anything but the nine sites and the sandbox is refused, and the answer names them all."""
        answer = admin.post(PATH, {"name": "n", "site": site, "apiKey": DATADOG_KEY})

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert answer.json["error"]["fields"].keys() == {"site"}
        assert all(known in answer.json["error"]["message"] for known in [*SITES, "sandbox"])

    @pytest.mark.parametrize(
        ("wanted", "field"),
        [
            ({"site": "sandbox"}, "apiKey"),
            ({"apiKey": DATADOG_KEY}, "site"),
            ({"site": "sandbox", "apiKey": ""}, "apiKey"),
            ({"site": "sandbox", "apiKey": "clé"}, "apiKey"),
            ({"site": "sandbox", "apiKey": "two\nlines"}, "apiKey"),
            ({"site": "sandbox", "apiKey": "x" * 201}, "apiKey"),
            ({"site": "sandbox", "apiKey": DATADOG_KEY, "service": "!!"}, "service"),
            ({"site": "sandbox", "apiKey": DATADOG_KEY, "ddtags": "123"}, "ddtags"),
            ({"site": "sandbox", "apiKey": DATADOG_KEY, "name": "x" * 101}, "name"),
            ({"site": "sandbox", "apiKey": DATADOG_KEY, "kind": "splunk"}, "kind"),
            ({"site": "sandbox", "apiKey": DATADOG_KEY, "color": "red"}, "color"),
            ({"site": "sandbox", "apiKey": 7}, "apiKey"),
        ],
    )
    def test_a_wrong_setting_is_named(self, admin, wanted, field):
        """Each wrong setting is refused under its own name, and nothing is added."""
        before = admin.get(PATH).json["meta"]["total"]
        answer = admin.post(PATH, {"name": uuid.uuid4().hex, **wanted})

        assert (answer.status, answer.code) == (400, "VALIDATION_ERROR")
        assert field in answer.json["error"]["fields"]
        assert admin.get(PATH).json["meta"]["total"] == before

    def test_two_destinations_do_not_share_a_name(self, admin, add):
        """A name that is taken is refused with 409, for a new destination and for one that is renamed."""
        first, second = add(), add()
        added = admin.post(PATH, {"name": first["name"], "site": "sandbox", "apiKey": DATADOG_KEY})
        renamed = admin.patch(f"{PATH}/{second['id']}", {"name": first["name"]})

        assert (added.status, added.code) == (409, "CONFLICT")
        assert (renamed.status, renamed.code) == (409, "CONFLICT")

    @pytest.mark.parametrize(("method", "tail"), [("GET", ""), ("PATCH", ""), ("POST", "/test"), ("POST", "/enable")])
    def test_a_destination_that_is_not_there(self, admin, method, tail):
        """What is not there, or is another organization's, is a 404."""
        answer = admin.ask(method, f"{PATH}/dst_0{tail}", {} if method == "PATCH" else None)

        assert (answer.status, answer.code) == (404, "NOT_FOUND")

    def test_another_organizations_destination_is_not_there(self, platform, add):
        """An administrator sees and touches the destinations of the own organization only."""
        mine = add()
        other = platform.installation.run_json("org", "create", uuid.uuid4().hex)
        key = platform.installation.run_json("key", "create", "--role", "admin", "--org", other["id"])
        stranger = platform.server.anyone.with_key(key["apiKey"])

        assert stranger.get(PATH).json == {"data": [], "meta": {"total": 0}}
        assert stranger.get(f"{PATH}/{mine['id']}").status == 404
        assert stranger.post(f"{PATH}/{mine['id']}/disable").status == 404


class TestSecrecy:
    def test_the_key_is_never_seen_again(self, platform, admin, add):
        """No answer, log line, command line or byte on disk holds a Datadog key; only its last four characters show."""
        destination = add()
        path = f"{PATH}/{destination['id']}"
        answers = [
            admin.post(f"{path}/test"),
            admin.post(f"{path}/enable"),
            admin.patch(path, {"apiKey": OTHER_KEY}),
            admin.post(f"{path}/test"),
            admin.patch(path, {"apiKey": WRONG_KEY}),
            admin.post(f"{path}/test"),
            admin.get(path),
            admin.get(PATH),
            admin.post(PATH, {"name": destination["name"], "site": "sandbox", "apiKey": OTHER_KEY}),
            admin.post(PATH, {"name": uuid.uuid4().hex, "site": "nowhere", "apiKey": OTHER_KEY}),
            admin.post(PATH, {"name": uuid.uuid4().hex, "site": "sandbox", "apiKey": OTHER_KEY, "color": "red"}),
            admin.post(f"{path}/disable"),
        ]
        listed = platform.installation.run("destination", "list", "--json")
        tried = platform.installation.run("destination", "test", destination["id"])
        trace(platform.server)

        said = "".join(json.dumps(answer.json) for answer in answers)
        said += listed.stdout + listed.stderr + tried.stdout + tried.stderr + platform.server.log + platform.sandbox.log
        kept = b"".join(file.read_bytes() for file in platform.installation.folder.rglob("*") if file.is_file())
        assert '"apiKeyLastFour": "ffff"' in said
        for key in (DATADOG_KEY, OTHER_KEY, WRONG_KEY):
            assert key not in said
            assert key.encode() not in kept
            assert processes_holding(key) == []

    def test_the_organizations_keys_are_kept_as_hashes(self, platform):
        """The installation's API keys stand in none of its files and in no command line."""
        kept = b"".join(file.read_bytes() for file in platform.installation.folder.rglob("*") if file.is_file())

        assert b"api_keys" in kept
        for key in (platform.installation.api_key, platform.installation.admin_key):
            assert key.encode() not in kept
            assert key.removeprefix("exe_prod_").encode() not in kept
            assert processes_holding(key) == []

    def test_the_files_are_the_owners_alone(self, platform):
        """The database and the key-encryption key are readable by their owner only, and are apart from each other."""
        data = platform.installation.data_dir
        key_file = data.with_name("data.kek")

        assert data.stat().st_mode & 0o077 == 0
        assert (data / "execlave.db").stat().st_mode & 0o077 == 0
        assert key_file.stat().st_mode & 0o077 == 0
