"""Test connection: whether the key is valid on this site, and whether the intake takes a log."""

from enum import StrEnum

import msgspec
from msgspec import Struct

from execlave_server.datadog.answers import Answer, Failure, classify
from execlave_server.datadog.connection import DatadogConnector, Reply
from execlave_server.datadog.logs import frame_head, frame_log
from execlave_server.model.secret import Secret


class Finding(StrEnum):
    """What a step of the test found; stable codes for clients."""

    OK = "OK"
    DNS = "DNS"
    TLS = "TLS"
    CONNECT = "CONNECT"
    TIMEOUT = "TIMEOUT"
    BROKEN = "BROKEN"
    KEY_OR_SITE = "KEY_OR_SITE"
    RATE_LIMIT = "RATE_LIMIT"
    SERVER_ERROR = "SERVER_ERROR"
    UNEXPECTED = "UNEXPECTED"


class Step(Struct, frozen=True, rename="camel"):
    """One step: `validate` asks the API host about the key, `canary` sends the intake one log."""

    step: str
    finding: Finding
    message: str
    status: int | None = None

    @property
    def passed(self) -> bool:
        """True when this step found nothing wrong."""
        return self.finding is Finding.OK


class ConnectionReport(Struct, frozen=True):
    """The steps taken; a step that fails is the last."""

    steps: list[Step]

    @property
    def passed(self) -> bool:
        """True when every step was taken and passed."""
        return len(self.steps) == len(("validate", "canary")) and all(step.passed for step in self.steps)


async def try_connection(
    connector: DatadogConnector, site: str, key: Secret, *, service: str, ddtags: str, now_ms: int
) -> ConnectionReport:
    """Validate the key on the API host, then send one canary log to the intake, which is another host."""
    addresses = connector.endpoints(site)
    answer = await connector.get(f"{addresses.api_url}/api/v1/validate", key)
    validate = _judge("validate", answer, site, accepted=isinstance(answer, Reply) and _says_valid(answer))
    if not validate.passed:
        return ConnectionReport([validate])
    answer = await connector.post_logs(addresses.intake_url, key, canary_log(service, ddtags, now_ms), "identity")
    accepted = isinstance(answer, Reply) and classify(answer.status, answer.body) is Answer.ACCEPTED
    return ConnectionReport([validate, _judge("canary", answer, site, accepted=accepted)])


def canary_log(service: str, ddtags: str, now_ms: int) -> bytes:
    """One log that says it is a test; it carries no trace."""
    middle = b'"message":"execlave connection test","execlave":{"event":"connection_test"'
    return b"[" + frame_log(frame_head(service, ddtags), now_ms, middle) + b"]"


def _says_valid(reply: Reply) -> bool:
    try:
        return reply.status == 200 and msgspec.json.decode(reply.body) == {"valid": True}  # noqa: PLR2004 - HTTP OK
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False


def _judge(step: str, answer: Reply | Failure, site: str, *, accepted: bool) -> Step:
    host = "API" if step == "validate" else "log intake"
    if isinstance(answer, Failure):
        return Step(step, Finding(answer.name), _FAILURES[answer].format(host=host, site=site))
    if accepted:
        done = "The API key is valid on this site." if step == "validate" else "The intake accepted a test log."
        return Step(step, Finding.OK, done, answer.status)
    match answer.status:
        case 401 | 403:
            return Step(
                step,
                Finding.KEY_OR_SITE,
                f"Datadog refused the API key on {site} (status {answer.status}). Either the key is wrong or revoked, "
                "or it belongs to another site: compare the site with the address you log in at, and copy the key "
                "from Organization Settings -> API Keys. A key made seconds ago may need a moment.",
                answer.status,
            )
        case 429:
            text = f"Datadog's {host} limits the rate of requests just now. Wait a minute and test again."
            return Step(step, Finding.RATE_LIMIT, text, answer.status)
        case status if status >= 500:  # noqa: PLR2004 - HTTP's server errors
            text = f"Datadog's {host} has trouble (status {status}). See Datadog's status page and test again later."
            return Step(step, Finding.SERVER_ERROR, text, status)
        case status:
            text = (
                f"Datadog's {host} answered in an unexpected way (status {status}). A proxy or a captive portal may "
                "stand between; check EXECLAVE_SERVER_HTTPS_PROXY and the addresses set for the site."
            )
            return Step(step, Finding.UNEXPECTED, text, status)


_FAILURES = {
    Failure.DNS: "The name of Datadog's {host} on {site} cannot be resolved. Check the DNS of this machine.",
    Failure.TLS: (
        "The TLS connection to Datadog's {host} on {site} failed. Where a proxy opens TLS, name its certificate "
        "authority in EXECLAVE_SERVER_CA_FILE; check this machine's clock too."
    ),
    Failure.CONNECT: (
        "Datadog's {host} on {site} refuses the connection. Check the firewall, and EXECLAVE_SERVER_HTTPS_PROXY "
        "where a proxy is needed."
    ),
    Failure.TIMEOUT: (
        "Datadog's {host} on {site} did not answer in ten seconds. Check the firewall, and "
        "EXECLAVE_SERVER_HTTPS_PROXY where a proxy is needed."
    ),
    Failure.BROKEN: "The connection to Datadog's {host} on {site} broke off before an answer came. Test again.",
}
