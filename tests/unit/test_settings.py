import ast
import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from execlave_server.errors import SettingsError
from execlave_server.settings import PREFIX, SETTINGS_FILE, Settings, is_loopback, load_settings, parse_address

NAMES = [setting.name for setting in fields(Settings)]


@pytest.fixture
def load(tmp_path):
    """Loads settings from an environment, a file's text and overrides; the data directory is the test's own."""

    def read(environment=None, toml=None, **overrides) -> Settings:
        if toml is not None:
            (tmp_path / SETTINGS_FILE).write_text(toml)
        named = {PREFIX + name.upper(): text for name, text in (environment or {}).items()}
        return load_settings({PREFIX + "DATA_DIR": str(tmp_path), **named}, **overrides)

    return read


def test_every_setting_has_a_default():
    """Nothing has to be set."""
    assert load_settings({}) == Settings()
    assert all(setting.default is not MISSING or setting.default_factory is not MISSING for setting in fields(Settings))


def test_every_setting_says_what_it_is_for():
    """Below each setting stands a sentence about it."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    described = {
        one.target.id: other.value.value
        for one, other in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(one, ast.AnnAssign) and isinstance(other, ast.Expr)
    }

    assert list(described) == NAMES
    assert all(len(text) > 20 and text.endswith(".") for text in described.values())


def test_the_documented_defaults():
    """The defaults that people and scripts rely on."""
    settings = load_settings({})

    assert settings.data_dir == Path("execlave-data")
    assert (settings.host, settings.port) == ("127.0.0.1", 4000)
    assert (settings.public_url, settings.datadog_sandbox_url, settings.kek) == ("", "", "")
    assert settings.database == Path("execlave-data/execlave.db")


def test_the_environment_sets_everything(load, tmp_path):
    """Each setting can come from its environment variable, as its own type."""
    settings = load(
        {
            "host": "0.0.0.0",  # noqa: S104 - read, not bound
            "port": "8443",
            "database_url": "postgresql://execlave:secret@db.example/execlave",
            "public_url": "https://execlave.example",
            "kek": "file:/etc/execlave.kek",
            "tls_cert_file": "/c.pem",
            "tls_key_file": "/k.pem",
            "trusted_proxies": "10.0.0.1",
            "log_level": "debug",
            "https_proxy": "http://proxy:3128",
            "ca_file": "/ca.pem",
            "validator_allow": "10.1.0.0/16,validator.internal",
            "validator_ca_file": "/internal.pem",
            "metrics_address": "9464",
            "worker_metrics_address": "127.0.0.1:9465",
            "metrics_token": "0123456789abcdef",
            "datadog_intake_urls": "datadoghq.eu=https://intake.example, sandbox=http://127.0.0.1:1/a=b",
            "datadog_api_urls": "datadoghq.eu=https://api.example",
            "datadog_sandbox_url": "http://sandbox.example",
            "datadog_sandbox_any_host": "true",
            "retention_days": "30",
            "free_space_mb_min": "512",
            "reserve_mb": "0",
            "audit_head_file": "/mnt/heads.jsonl",
            "audit_head_minutes": "5",
        }
    )

    assert settings == Settings(
        data_dir=tmp_path,
        host="0.0.0.0",  # noqa: S104 - read, not bound
        port=8443,
        database_url="postgresql://execlave:secret@db.example/execlave",
        public_url="https://execlave.example",
        kek="file:/etc/execlave.kek",
        tls_cert_file="/c.pem",
        tls_key_file="/k.pem",
        trusted_proxies="10.0.0.1",
        log_level="debug",
        https_proxy="http://proxy:3128",
        ca_file="/ca.pem",
        validator_allow="10.1.0.0/16,validator.internal",
        validator_ca_file="/internal.pem",
        metrics_address="9464",
        worker_metrics_address="127.0.0.1:9465",
        metrics_token="0123456789abcdef",
        datadog_intake_urls={"datadoghq.eu": "https://intake.example", "sandbox": "http://127.0.0.1:1/a=b"},
        datadog_api_urls={"datadoghq.eu": "https://api.example"},
        datadog_sandbox_url="http://sandbox.example",
        datadog_sandbox_any_host=True,
        retention_days=30,
        free_space_mb_min=512,
        reserve_mb=0,
        audit_head_file="/mnt/heads.jsonl",
        audit_head_minutes=5,
    )
    assert all(getattr(settings, name) != getattr(Settings(), name) for name in NAMES)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),  # noqa: S104 - read, not bound
        ("[::1]:9464", ("::1", 9464)),
        ("metrics.internal:65535", ("metrics.internal", 65535)),
    ],
)
def test_a_metrics_address_is_of_loopback_unless_told(text, address):
    """A port alone is one of this machine."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:", "127.0.0.1:65536", "1.5", "-1", "http://a:x", "²"])
@pytest.mark.parametrize("name", ["metrics_address", "worker_metrics_address"])
def test_what_is_no_address_is_refused(load, name, text):
    """A metrics address without a port, or with one that cannot be, is an error that shows it."""
    with pytest.raises(SettingsError, match=re.escape(repr(text))):
        load({name: text})


def test_a_short_metrics_token_is_refused_and_none_is_shown(load):
    """A token that could be guessed is an error; no token is ever printed with the settings."""
    with pytest.raises(SettingsError, match="METRICS_TOKEN") as refused:
        load({"metrics_token": "short-one"})

    assert "short-one" not in str(refused.value)
    assert "0123456789abcdef" not in repr(load({"metrics_token": "0123456789abcdef"}))


@pytest.mark.parametrize(
    ("url", "scheme"), [("mysql://root:secret@db/x", "mysql"), ("execlave:secret@db", "none"), ("secret", "none")]
)
def test_another_database_is_refused_without_its_password(load, url, scheme):
    """An address of something else is named by its scheme, and nothing of it that may be secret is shown."""
    with pytest.raises(SettingsError, match=scheme) as raised:
        load({"database_url": url})

    assert "secret" not in str(raised.value)


def test_the_settings_do_not_print_the_database_password(load):
    """Whoever logs the settings does not log the password."""
    settings = load({"database_url": "postgresql://execlave:secret@db.example/execlave"})

    assert "secret" not in repr(settings)


def test_the_file_sets_what_the_environment_does_not(load):
    """`settings.toml` in the data directory is read, with TOML's own types."""
    settings = load(
        toml="""
            port = 5000
            log_level = "warning"
            datadog_sandbox_any_host = true
            datadog_sandbox_url = "http://sandbox.example"
            [datadog_intake_urls]
            "datadoghq.eu" = "https://intake.example"
        """
    )

    assert (settings.port, settings.log_level, settings.datadog_sandbox_any_host) == (5000, "warning", True)
    assert settings.datadog_intake_urls == {"datadoghq.eu": "https://intake.example"}


def test_the_environment_wins_over_the_file_and_options_over_both(load):
    """Precedence: option, environment, file, default; an option not given leaves the others."""
    toml = 'port = 1001\nhost = "file"\nlog_level = "error"'
    environment = {"port": "1002", "host": "environment"}

    settings = load(environment, toml, port=1003, host=None)

    assert (settings.port, settings.host, settings.log_level) == (1003, "environment", "error")
    assert settings.ca_file == ""


def test_the_data_directory_may_be_an_option(tmp_path):
    """The file is looked for in the data directory that was chosen, and cannot move it."""
    chosen, other = tmp_path / "chosen", tmp_path / "other"
    for folder, port in ((chosen, 1), (other, 2)):
        folder.mkdir()
        (folder / SETTINGS_FILE).write_text(f"port = {port}")

    settings = load_settings({PREFIX + "DATA_DIR": str(other)}, data_dir=chosen)

    assert (settings.data_dir, settings.port) == (chosen, 1)


def test_other_programs_variables_are_not_read(tmp_path):
    """Only variables with the prefix are settings; the SDK owns its own."""
    environment = {"EXECLAVE_API_KEY": "exe_prod_x", "PORT": "1", "HOME": "/", PREFIX + "DATA_DIR": str(tmp_path)}

    assert load_settings(environment) == Settings(data_dir=tmp_path)


@pytest.mark.parametrize("name", ["PROT", "PORTS", "DATADOG_SITE", "API_KEY", ""])
def test_an_unknown_variable_is_named(name):
    """A variable with the prefix that is no setting is an error that names it and lists the settings."""
    with pytest.raises(SettingsError, match=f"{PREFIX}{name}\\. .*datadog_sandbox_url.*public_url"):
        load_settings({PREFIX + name: "1"})


@pytest.mark.parametrize("toml", ["prot = 1", "[server]\nport = 1", 'data_dir = "elsewhere"'])
def test_an_unknown_key_in_the_file_is_named(load, tmp_path, toml):
    """A key in the file that is no setting there is an error that names it and the file."""
    name = toml.strip("[").split()[0].split("]")[0]

    with pytest.raises(SettingsError) as caught:
        load(toml=toml)

    assert f"`{name}` in {tmp_path / SETTINGS_FILE}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("port", "", "PORT is ''"),
        ("port", "http", "PORT is 'http'"),
        ("port", "40.5", "PORT is '40.5'"),
        ("port", "-1", "port -1"),
        ("port", "65536", "port 65536"),
        ("retention_days", "-1", "RETENTION_DAYS is -1"),
        ("free_space_mb_min", "9" * 20, "from 0 to"),
        ("reserve_mb", "much", "RESERVE_MB"),
        ("log_level", "verbose", "LOG_LEVEL is 'verbose'"),
        ("log_level", "INFO", "LOG_LEVEL is 'INFO'"),
        ("datadog_sandbox_any_host", "maybe", "ANY_HOST is 'maybe'"),
        ("datadog_intake_urls", "https://intake.example", "INTAKE_URLS is 'https://intake.example'"),
        ("datadog_api_urls", "datadoghq.eu", "API_URLS is 'datadoghq.eu'"),
        ("datadog_intake_urls", "datadoghq.eu=ftp://intake.example", "'ftp://intake.example' of datadoghq.eu"),
        ("datadog_api_urls", "datadoghq.eu=api.example", "'api.example' of datadoghq.eu"),
        ("public_url", "execlave.example", "'execlave.example' of public_url"),
        ("public_url", "http://[::1", "http://[::1"),
        ("datadog_sandbox_url", "127.0.0.1:8126", "'127.0.0.1:8126' of datadog_sandbox_url"),
        ("datadog_sandbox_url", "http://[nowhere", "http://[nowhere"),
        ("kek", "/etc/execlave.kek", "KEK is '/etc/execlave.kek'"),
        ("kek", "aws-kms://key", "KEK is 'aws-kms://key'"),
        ("tls_cert_file", "/c.pem", "TLS_KEY_FILE"),
        ("tls_key_file", "/k.pem", "TLS_CERT_FILE"),
    ],
)
def test_a_bad_value_is_refused(load, name, text, shown):
    """A value that cannot be meant is an error when the program starts, and the error shows it."""
    with pytest.raises(SettingsError, match=re.escape(shown)):
        load({name: text})


@pytest.mark.parametrize(
    "toml",
    [
        "port = true",
        "port = 40.5",
        'port = "http"',
        "port = [1]",
        "host = 5",
        'host = ["127.0.0.1"]',
        'datadog_sandbox_any_host = "perhaps"',
        "datadog_sandbox_any_host = 3",
        "datadog_intake_urls = 5",
        '[datadog_intake_urls]\n"datadoghq.eu" = 5',
        '[datadog_api_urls."datadoghq.eu"]\nurl = "https://api.example"',
        "public_url = { url = 5 }",
    ],
)
def test_a_value_of_the_wrong_kind_in_the_file_is_refused(load, toml):
    """A value of another kind than the setting's is an error, not silently turned into something."""
    with pytest.raises(SettingsError):
        load(toml=toml)


@pytest.mark.parametrize("content", [b"port = ", b"port == 1", b"\xff\xfe", b"port = 1\nport = 2"])
def test_a_file_that_is_no_toml_is_named(load, tmp_path, content):
    """A settings file that cannot be read is an error that names it."""
    (tmp_path / SETTINGS_FILE).write_bytes(content)

    with pytest.raises(SettingsError, match=SETTINGS_FILE):
        load()


def test_a_missing_file_is_no_error(tmp_path):
    """Neither the file nor the data directory need exist."""
    absent = tmp_path / "absent"

    assert load_settings({}, data_dir=absent) == Settings(data_dir=absent)


def test_a_bad_address_is_found_beside_a_good_one(load):
    """Both addresses of a site are checked, whichever of the two is wrong."""
    good, bad = "datadoghq.eu=https://fine.example", "datadoghq.eu=ftp://wrong.example"

    with pytest.raises(SettingsError, match="ftp://wrong"):
        load({"datadog_intake_urls": bad, "datadog_api_urls": good})
    with pytest.raises(SettingsError, match="ftp://wrong"):
        load({"datadog_intake_urls": good, "datadog_api_urls": bad})


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8126", "http://localhost:8126/", "http://[::1]:8126", "https://127.9.9.9", "http://LOCALHOST"],
)
def test_a_sandbox_on_this_machine_is_taken(load, url):
    """The sandbox may be on any loopback address."""
    assert load({"datadog_sandbox_url": url}).datadog_sandbox_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://sandbox.example",
        "http://10.0.0.5:8126",
        "http://0.0.0.0:8126",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://localhost@sandbox.example",
        "http://sandbox.example#localhost",
        "http://[::]:8126",
    ],
)
def test_a_sandbox_beyond_this_machine_must_be_meant(load, url):
    """Traces would leave in clear: the operator has to say that this is meant."""
    with pytest.raises(SettingsError, match="EXECLAVE_SERVER_DATADOG_SANDBOX_ANY_HOST=true"):
        load({"datadog_sandbox_url": url})
    assert load({"datadog_sandbox_url": url, "datadog_sandbox_any_host": "yes"}).datadog_sandbox_url == url


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - looked at, not bound
        ("::", False),
        ("192.168.1.1", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_which_hosts_are_this_machine(host, loopback):
    """Localhost and the loopback addresses, and nothing that only looks like them."""
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("YES", True), ("1", True), ("false", False), ("no", False), ("0", False), ("", False)],
)
def test_words_for_yes_and_no(load, word, value):
    """A switch in the environment understands the usual words."""
    assert load({"datadog_sandbox_any_host": word}).datadog_sandbox_any_host is value
