"""The command line as scripts and operators rely on it: forms of JSON, exit codes, and what is said when it fails."""

import json
from collections.abc import Iterator

import pytest
from click import Group
from click.testing import CliRunner
from harness import DATADOG_KEY, Installation, Sandbox, assert_failed, clean_environment, run, running

from execlave_server.cli import commands

COMMANDS = [
    *(
        "init",
        "migrate",
        "copy",
        "serve",
        "worker",
        "sandbox",
        "demo",
        "org create",
        "org list",
        "key create",
        "key list",
    ),
    *("key revoke", "destination add datadog", "destination list", "destination test", "destination enable"),
    *("user add", "user list", "user disable", "user password", "approval list", "approval grant", "approval deny"),
    *("destination disable", "deliveries status", "deliveries parked", "deliveries requeue", "deliveries of"),
    *("deliveries backfill", "deliveries replay", "destination rotate", "secrets rotate"),
    *("destination heartbeat", "destination events", "doctor", "sweep", "backup", "restore"),
    *("audit verify", "audit head", "audit export", "erase"),
    *("policy lint", "policy sync", "policy list", "policy test"),
    *("datadog render", "datadog apply", "datadog backtest"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[Sandbox]:
    """A sandbox for destinations added here."""
    with running(Sandbox(tmp_path_factory.mktemp("sandbox"))) as started:
        yield started


@pytest.fixture(scope="module")
def installation(tmp_path_factory, sandbox) -> Installation:
    """A data directory of this module's own."""
    return Installation(tmp_path_factory.mktemp("commands"), datadog_sandbox_url=sandbox.url)


class TestHelp:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help_with_an_example(self, command):
        """`--help` explains a command and shows one way to use it."""
        shown = CliRunner().invoke(commands, [*command.split(), "--help"], prog_name="execlave-server")

        assert shown.exit_code == 0
        assert "Example:" in shown.output
        assert f"execlave-server {command}" in shown.output.partition("Example:")[2]

    def test_no_command_is_left_out(self):
        """The list that these tests walk is every command there is, but for those that only `serve` starts."""
        found = set()
        for name, command in commands.every().items():
            below = command.commands.items() if isinstance(command, Group) else ()
            found |= {f"{name} {inner}".strip() for inner, each in (below or [("", command)]) if not each.hidden}

        assert found - {"destination add"} == {*COMMANDS} - {"destination add datadog"}

    def test_wrong_usage_is_exit_code_2(self):
        """What the command line does not know is wrong usage: exit code 2, and what would be right."""
        ran = run("key", "create", "--role", "king")

        assert ran.returncode == 2
        assert "Usage: execlave-server key create" in ran.stderr
        assert "'king' is not one of 'agent', 'admin'" in ran.stderr

    def test_the_version_is_told(self):
        """`--version` names program and version."""
        assert run("--version").stdout.startswith("execlave-server, version ")


class TestInit:
    def test_it_prints_what_scripts_read(self, installation):
        """`init --json` prints the organization and two keys of different roles, as one line."""
        listed = installation.run_json("key", "list")

        assert installation.organization_id.startswith("org_")
        for key, role in ((installation.api_key, "agent"), (installation.admin_key, "admin")):
            assert key.startswith("exe_prod_")
            assert len(key) == len("exe_prod_") + 43
            assert (role, key[-4:]) in {(each["role"], each["lastFour"]) for each in listed}

    def test_it_says_where_everything_is(self, tmp_path):
        """Without `--json` it prints the same for people, and that the keys are shown once."""
        ran = run("init", "--data-dir", str(tmp_path / "data"))

        assert ran.returncode == 0
        assert str(tmp_path / "data") in ran.stdout
        assert str(tmp_path / "data.kek") in ran.stdout
        assert ran.stdout.count("exe_prod_") == 2
        assert "once" in ran.stdout

    def test_twice_is_refused_and_changes_nothing(self, installation):
        """A data directory that is one already is left alone."""
        before = (installation.data_dir / "execlave.db").read_bytes()
        ran = installation.run("init", "--json")

        assert_failed(ran, "DATA_DIR", str(installation.data_dir), "already")
        assert (installation.data_dir / "execlave.db").read_bytes() == before

    def test_a_key_file_that_is_there_is_never_replaced(self, tmp_path):
        """A key-encryption key may open another data directory, so `init` refuses and leaves it and no database."""
        (tmp_path / "data.kek").write_text("precious")
        ran = run("init", "--data-dir", str(tmp_path / "data"))

        assert_failed(ran, "SECRET", str(tmp_path / "data.kek"))
        assert (tmp_path / "data.kek").read_text() == "precious"
        assert not (tmp_path / "data" / "execlave.db").exists()

    def test_a_place_that_cannot_be_made_is_named(self, tmp_path):
        """A data directory under a file is refused with the reason."""
        (tmp_path / "file").write_text("")

        assert_failed(run("init", "--data-dir", str(tmp_path / "file" / "data")), "DATA_DIR", "Not a directory")

    def test_the_environment_names_the_data_directory_too(self, tmp_path):
        """`EXECLAVE_SERVER_DATA_DIR` stands in for `--data-dir`, which wins over it."""
        environment = clean_environment(data_dir=str(tmp_path / "one"))
        run("init", environment=environment)
        run("init", "--data-dir", str(tmp_path / "two"), environment=environment)

        assert (tmp_path / "one" / "execlave.db").exists()
        assert (tmp_path / "two" / "execlave.db").exists()


class TestKeysAndOrganizations:
    @pytest.mark.parametrize(
        ("arguments", "prefix", "role"),
        [
            ([], "exe_prod_", "agent"),
            (["--environment", "prod", "--role", "agent"], "exe_prod_", "agent"),
            (["--environment", "stg", "--role", "admin"], "exe_stg_", "admin"),
            (["--environment", "dev"], "exe_dev_", "agent"),
        ],
    )
    def test_key_create_prints_what_scripts_read(self, installation, arguments, prefix, role):
        """`key create --json` prints id, organization, role and the key, which stands for its environment."""
        made = installation.run_json("key", "create", *arguments)

        assert made.keys() == {"id", "organizationId", "role", "apiKey"}
        assert (made["organizationId"], made["role"]) == (installation.organization_id, role)
        assert made["apiKey"].startswith(prefix)

    def test_a_key_alone_goes_to_a_pipe(self, installation):
        """Without `--json` the key is all there is on standard output."""
        ran = installation.run("key", "create")

        assert ran.stdout.strip().startswith("exe_prod_")
        assert len(ran.stdout.split()) == 1

    def test_revoked_keys_are_listed_as_such(self, installation):
        """`key revoke` says so, `key list` shows when, and a second time there is nothing to revoke."""
        made = installation.run_json("key", "create")
        first = installation.run("key", "revoke", made["id"])
        listed = {each["id"]: each for each in installation.run_json("key", "list")}
        second = installation.run("key", "revoke", made["id"])

        assert (first.returncode, first.stdout) == (0, f"Revoked {made['id']}.\n")
        assert listed[made["id"]]["revokedAt"] is not None
        assert listed[made["id"]].keys().isdisjoint({"apiKey", "hash"})
        assert_failed(second, "NOT_FOUND", made["id"])

    def test_an_organization_has_its_own_keys(self, installation):
        """`org create` adds one, `org list` shows it, and keys are made for it by its id; another id is refused."""
        made = installation.run_json("org", "create", "Support")
        listed = installation.run_json("org", "list")
        key = installation.run_json("key", "create", "--org", made["id"])
        wrong = installation.run("key", "create", "--org", "org_nowhere")

        assert made.keys() == {"id", "name"}
        assert listed[0]["id"] == installation.organization_id
        assert (made["id"], "Support") in {(each["id"], each["name"]) for each in listed}
        assert key["organizationId"] == made["id"]
        assert_failed(wrong, "NOT_FOUND", "org_nowhere", installation.organization_id)


class TestDestinations:
    def test_add_test_enable_list_disable(self, installation):
        """A destination's whole life prints the documented forms."""
        added = installation.run(
            *("destination", "add", "datadog", "--name", "By script", "--site", "sandbox", "--api-key-stdin"),
            *("--service", "agents", "--ddtags", "env:prod", "--enable", "--json"),
            stdin=f"{DATADOG_KEY}\n",
        )
        made = json.loads(added.stdout)
        tested = installation.run_json("destination", "test", made["id"])
        disabled = installation.run_json("destination", "disable", made["id"])
        enabled = installation.run_json("destination", "enable", made["id"])
        listed = {each["id"]: each for each in installation.run_json("destination", "list")}

        assert {"id", "state"} <= made.keys()
        assert (made["state"], disabled["state"], enabled["state"]) == ("enabled", "disabled", "enabled")
        assert (tested["passed"], [step["finding"] for step in tested["steps"]]) == (True, ["OK", "OK"])
        row = listed[made["id"]]
        assert (row["name"], row["service"], row["ddtags"]) == ("By script", "agents", "env:prod")
        assert row["apiKeyLastFour"] == DATADOG_KEY[-4:]
        assert DATADOG_KEY not in added.stdout + added.stderr + json.dumps(listed)

    def test_a_wrong_key_is_exit_code_1_and_a_draft(self, installation):
        """With `--enable`, a connection that fails is told step by step, and the destination stays a draft."""
        arguments = ["destination", "add", "datadog", "--site", "sandbox", "--api-key-stdin", "--enable", "--name"]
        for_people = installation.run(*arguments, "Wrong 1", stdin="wrong-key-1234\n")
        for_scripts = installation.run(*arguments, "Wrong 2", "--json", stdin="wrong-key-1234\n")
        made = json.loads(for_scripts.stdout)
        enabled = installation.run("destination", "enable", made["id"])

        assert (for_people.returncode, for_scripts.returncode) == (1, 1)
        assert "FAILED" in for_people.stderr
        assert "datadoghq.com" not in for_people.stderr
        assert (made["state"], made["test"]["passed"]) == ("draft", False)
        assert made["test"]["steps"][0]["finding"] == "KEY_OR_SITE"
        assert_failed(enabled, "CONFLICT", "destination test")

    def test_a_pasted_address_is_understood(self, installation):
        """`--site` takes what stands in the browser's address bar."""
        made = installation.run_json(
            *("destination", "add", "datadog", "--name", "Pasted", "--api-key-stdin"),
            *("--site", "https://app.datadoghq.eu/logs"),
            stdin=f"{DATADOG_KEY}\n",
        )
        listed = {each["id"]: each["site"] for each in installation.run_json("destination", "list")}

        assert made == {"id": made["id"], "state": "draft"}
        assert listed[made["id"]] == "datadoghq.eu"

    def test_an_unknown_site_lists_the_sites(self, installation):
        """A site that Datadog does not have is refused with the nine it has, and the sandbox where there is one."""
        arguments = ["destination", "add", "datadog", "--site", "datadoghq.org", "--api-key-stdin"]
        ran = installation.run(*arguments, stdin=f"{DATADOG_KEY}\n")
        without = installation.run(*arguments, stdin=f"{DATADOG_KEY}\n", datadog_sandbox_url="")

        assert_failed(ran, "VALIDATION_ERROR", "datadoghq.com", "us2.ddog-gov.com", "ap2.datadoghq.com", "sandbox")
        assert_failed(without, "VALIDATION_ERROR", "datadoghq.com", "us2.ddog-gov.com")
        assert "sandbox" not in without.stderr

    def test_no_key_is_no_destination(self, installation):
        """An empty standard input is refused, instead of a destination without a key."""
        ran = installation.run("destination", "add", "datadog", "--site", "eu", "--name", "No key", "--api-key-stdin")

        assert_failed(ran, "VALIDATION_ERROR", "API key")

    def test_a_destination_that_is_not_there(self, installation):
        """An unknown id is an error that names it."""
        assert_failed(installation.run("destination", "test", "dst_0"), "NOT_FOUND", "dst_0")


class TestSettings:
    def test_an_unknown_setting_is_named(self, installation):
        """A setting that does not exist is an error, in the environment and in the file, with those that do."""
        (installation.data_dir / "settings.toml").write_text("colour = 'red'\n")
        in_file = installation.run("org", "list")
        (installation.data_dir / "settings.toml").unlink()
        in_environment = installation.run("org", "list", colour="red")

        assert_failed(in_environment, "BAD_SETTING", "EXECLAVE_SERVER_COLOUR", "public_url")
        assert_failed(in_file, "BAD_SETTING", "`colour`", "settings.toml")

    @pytest.mark.parametrize(
        ("setting", "value", "said"),
        [
            ("port", "http", "EXECLAVE_SERVER_PORT"),
            ("public_url", "execlave.example", "public_url"),
            ("datadog_sandbox_url", "http://sandbox.example:8126", "EXECLAVE_SERVER_DATADOG_SANDBOX_ANY_HOST=true"),
        ],
    )
    def test_a_wrong_value_is_named(self, installation, setting, value, said):
        """A value that cannot be meant is refused with what it was and the setting at fault."""
        ran = installation.run("org", "list", **{setting: value})

        assert_failed(ran, "BAD_SETTING", value, said)

    def test_the_file_is_read_and_the_environment_wins(self, installation):
        """`settings.toml` in the data directory holds settings too; the environment comes before it."""
        (installation.data_dir / "settings.toml").write_text("log_level = 'loud'\n")
        by_file = installation.run("org", "list")
        by_environment = installation.run("org", "list", log_level="info")
        (installation.data_dir / "settings.toml").unlink()

        assert_failed(by_file, "BAD_SETTING", "loud")
        assert by_environment.returncode == 0


@pytest.fixture(scope="module")
def newer(tmp_path_factory) -> Installation:
    """A data directory that a later version of this program has worked on."""
    installation = Installation(tmp_path_factory.mktemp("newer"))
    installation.rows("insert into migrations values (9999, 'from_the_future', 0)")
    return installation


class TestDataDirectory:
    @pytest.mark.parametrize("command", ["serve", "worker", "org list", "migrate"])
    def test_a_missing_one_says_how_to_make_it(self, tmp_path, command):
        """Where there is no data directory, every command says which command makes it, and makes none itself."""
        missing = tmp_path / "missing"
        ran = run(*command.split(), "--data-dir", str(missing))

        assert_failed(ran, "DATA_DIR", f"execlave-server init --data-dir {missing}")
        assert not missing.exists()

    @pytest.mark.parametrize("command", ["serve", "worker", "org list", "migrate"])
    def test_one_of_a_newer_version_is_left_alone(self, newer, command):
        """A database with a migration this program does not know is refused, and not changed."""
        ran = newer.run(*command.split())

        assert_failed(ran, "DATA_DIR", "newer", "9999")
        assert newer.rows("select max(number) from migrations") == [(9999,)]

    def test_a_file_that_is_no_database_is_named(self, tmp_path):
        """A database file of other content is an error that names it."""
        installation = Installation(tmp_path)
        for file in installation.data_dir.iterdir():
            file.unlink()
        (installation.data_dir / "execlave.db").write_text("this is no database, and long enough to look at" * 100)
        ran = installation.run("org", "list")

        assert_failed(ran, "DATA_DIR", "execlave.db")

    def test_without_its_key_file_nothing_opens(self, tmp_path):
        """A key-encryption key that others can read, that is none, or that is missing is named, with what to do."""
        installation = Installation(tmp_path)
        key_file = tmp_path / "data.kek"
        key_file.chmod(0o644)
        readable = installation.run("org", "list")
        key_file.chmod(0o600)
        key_file.write_text("{}")
        no_keyset = installation.run("org", "list")
        key_file.unlink()
        missing = installation.run("org", "list")

        assert_failed(readable, "SECRET", f"chmod 600 {key_file}")
        assert_failed(no_keyset, "SECRET", str(key_file), "backup")
        assert_failed(missing, "SECRET", str(key_file), "EXECLAVE_SERVER_KEK")
