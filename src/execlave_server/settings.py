"""Every setting with its default, its unit and its reason. An unknown one is an error that names it."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from execlave_server.errors import SettingsError

PREFIX = "EXECLAVE_SERVER_"
DATABASE_SCHEMES = {"postgresql", "postgres"}
PORT_MAX = 65_535
TOKEN_CHARS_MIN = 16  # a shorter one can be guessed
SETTINGS_FILE = "settings.toml"  # in the data directory; the environment wins over it
_AMOUNT_MAX = 1_000_000_000  # of days or MB: beyond anything meant, and in microseconds still a 64-bit integer


@dataclass(frozen=True)
class Settings:
    """How this installation runs. Each field is `EXECLAVE_SERVER_<NAME>`, or `<name>` in `settings.toml`."""

    data_dir: Path = Path("execlave-data")
    """Where the database and the settings file are."""

    database_url: str = field(default="", repr=False)  # it may hold a password
    """`postgresql://user:password@host/database`. Empty: SQLite in the data directory."""

    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback the server asks for TLS, a trusted proxy, or --insecure."""

    port: int = 4000
    """TCP port to listen on; 0 takes a free one."""

    public_url: str = ""
    """Where people reach this server, e.g. https://execlave.example; makes `execlave.trace_url` in each log."""

    kek: str = ""
    """The key-encryption key, `file:/path`. Empty: `<data_dir>.kek`, beside the data directory."""

    tls_cert_file: str = ""
    """PEM certificate chain, to serve HTTPS."""

    tls_key_file: str = ""
    """PEM private key of the certificate."""

    trusted_proxies: str = ""
    """Comma-separated addresses of proxies that end TLS in front of this server."""

    log_level: str = "info"
    """debug, info, warning or error."""

    https_proxy: str = ""
    """Proxy for everything sent to Datadog over HTTPS, e.g. http://proxy.internal:3128."""

    ca_file: str = ""
    """PEM bundle of certificate authorities to trust for Datadog instead of the system's, e.g. of a TLS proxy."""

    datadog_intake_urls: Mapping[str, str] = field(default_factory=dict)
    """Intake address per site, as `site=url,site=url` or a TOML table; for proxies and special intakes."""

    datadog_api_urls: Mapping[str, str] = field(default_factory=dict)
    """API address per site, likewise."""

    datadog_sandbox_url: str = ""
    """Adds the site `sandbox` at this address (see `execlave-server sandbox`). Loopback only."""

    audit_head_file: str = ""
    """A file on a mount that only takes appends, out of this machine's reach: gets signed heads of the audit chains."""

    audit_head_minutes: int = 60
    """How often heads are appended, in minutes: what lies between two heads is as safe as the server."""

    datadog_sandbox_any_host: bool = False
    """Lets the sandbox's address be beyond loopback: traces then leave this machine in clear."""

    validator_allow: str = ""
    """Comma-separated networks, addresses and hosts that custom validators may be at beside the public internet."""

    validator_ca_file: str = ""
    """PEM bundle of certificate authorities to trust for custom validators beside the system's."""

    metrics_address: str = ""
    """Where the server answers Prometheus, `host:port` or a port of loopback. Empty: nowhere."""

    worker_metrics_address: str = ""
    """The same for the export worker."""

    metrics_token: str = field(default="", repr=False)
    """Bearer token for /metrics on the main port. Empty: there are no metrics there."""

    retention_days: int = 90
    """How many days after they were received traces and decisions are kept; the server sweeps the rest. 0: for ever."""

    free_space_mb_min: int = 256
    """Below this many MB (2**20 bytes) free on the database's disk traces are refused; decisions go on. 0: never."""

    reserve_mb: int = 64
    """Size of a file that is given up when the disk is full, so that decisions can still be recorded. 0: none."""

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "execlave.db"


def load_settings(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Defaults, then `settings.toml` in the data directory, then the environment, then `overrides` that are not None.

    Raises SettingsError for an unknown setting or a value of the wrong kind.
    """
    known = {setting.name for setting in fields(Settings)}
    from_environment = {
        name.removeprefix(PREFIX).lower(): text for name, text in environment.items() if name.startswith(PREFIX)
    }
    _refuse_unknown(from_environment, known, lambda name: PREFIX + name.upper())
    given = {name: value for name, value in overrides.items() if value is not None}
    data_dir = Path(given.get("data_dir") or from_environment.get("data_dir") or Settings.data_dir)
    from_file = _read_file(data_dir / SETTINGS_FILE)
    _refuse_unknown(from_file, known - {"data_dir"}, lambda name: f"`{name}` in {data_dir / SETTINGS_FILE}")
    raw = from_file | from_environment | given | {"data_dir": data_dir}
    settings = Settings(**{name: _convert(name, value) for name, value in raw.items()})
    _check(settings)
    return settings


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:port` or a port alone, which is one of loopback. Raises SettingsError."""
    host, _, port = text.rpartition(":")
    try:
        number = int(port) if port.isascii() and port.isdigit() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= PORT_MAX:
        raise SettingsError(f"The address {text!r} must be one like 127.0.0.1:9464, or a port of this machine alone.")
    return host.strip("[]") or "127.0.0.1", number


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback addresses."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}.") from error


def _refuse_unknown(given: Mapping[str, Any], known: set[str], shown: Any) -> None:
    for name in given:
        if name not in known:
            raise SettingsError(f"Unknown setting {shown(name)}. Known settings: {', '.join(sorted(known))}.")


def _convert(name: str, value: Any) -> Any:
    """A value as its setting's type: a text from the environment is read, a value from the file must be of it."""
    wanted = next(setting.type for setting in fields(Settings) if setting.name == name)
    try:
        if isinstance(value, str) and wanted in _READ_TEXT:
            return _READ_TEXT[wanted](value)
        return msgspec.convert(value, wanted) if wanted is not Path else Path(value)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise SettingsError(f"The setting {PREFIX}{name.upper()} is {value!r}: {error}.") from error


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


def _table(text: str) -> dict[str, str]:
    pairs = [piece.strip() for piece in text.split(",") if piece.strip()]
    if not all("=" in pair for pair in pairs):
        raise ValueError("expected site=url,site=url")
    return {site.strip(): url.strip() for site, url in (pair.split("=", 1) for pair in pairs)}


_READ_TEXT: Mapping[Any, Callable[[str], Any]] = {int: int, bool: _boolean, Mapping[str, str]: _table}


def _check(settings: Settings) -> None:
    _check_numbers(settings)
    _check_words(settings)
    _check_addresses(settings)


def _check_numbers(settings: Settings) -> None:
    if not 0 <= settings.port <= PORT_MAX:
        raise SettingsError(f"The port {settings.port} is not between 0 and 65535.")
    for name in ("retention_days", "free_space_mb_min", "reserve_mb"):
        if not 0 <= getattr(settings, name) <= _AMOUNT_MAX:
            raise SettingsError(
                f"EXECLAVE_SERVER_{name.upper()} is {getattr(settings, name)}; it must be from 0 to {_AMOUNT_MAX:,}."
            )


def _check_words(settings: Settings) -> None:
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise SettingsError("TLS needs both EXECLAVE_SERVER_TLS_CERT_FILE and EXECLAVE_SERVER_TLS_KEY_FILE.")
    if settings.kek and not settings.kek.startswith("file:"):
        raise SettingsError(f"EXECLAVE_SERVER_KEK is {settings.kek!r}; this version knows file:/path only.")
    if settings.audit_head_minutes < 1:
        raise SettingsError("EXECLAVE_SERVER_AUDIT_HEAD_MINUTES must be at least 1.")
    if settings.log_level not in {"debug", "info", "warning", "error"}:
        raise SettingsError(f"EXECLAVE_SERVER_LOG_LEVEL is {settings.log_level!r}; use debug, info, warning or error.")
    if settings.metrics_token and len(settings.metrics_token) < TOKEN_CHARS_MIN:
        raise SettingsError(f"EXECLAVE_SERVER_METRICS_TOKEN must have at least {TOKEN_CHARS_MIN} characters.")
    if settings.database_url and urlsplit(settings.database_url).scheme not in DATABASE_SCHEMES:
        scheme = settings.database_url.partition(":")[0] if "://" in settings.database_url else "none"
        raise SettingsError(
            f"EXECLAVE_SERVER_DATABASE_URL has the scheme {scheme!r}; this version knows postgresql://user@host/name "
            "and, where the setting is empty, SQLite in the data directory."
        )


def _check_addresses(settings: Settings) -> None:
    for address in filter(None, (settings.metrics_address, settings.worker_metrics_address)):
        parse_address(address)
    urls = [
        ("public_url", settings.public_url),
        ("datadog_sandbox_url", settings.datadog_sandbox_url),
        ("https_proxy", settings.https_proxy),
        *settings.datadog_intake_urls.items(),
        *settings.datadog_api_urls.items(),
    ]
    for name, url in urls:
        if url and not _is_address(url):
            shown = url.rpartition("@")[2]  # without a password
            raise SettingsError(f"The address {shown!r} of {name} must be one like https://host:port/path.")
    sandbox_host = urlsplit(settings.datadog_sandbox_url).hostname or ""
    if settings.datadog_sandbox_url and not settings.datadog_sandbox_any_host and not is_loopback(sandbox_host):
        raise SettingsError(
            f"The sandbox address {settings.datadog_sandbox_url!r} is beyond this machine: traces would leave it. "
            "Set EXECLAVE_SERVER_DATADOG_SANDBOX_ANY_HOST=true if that is meant."
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
