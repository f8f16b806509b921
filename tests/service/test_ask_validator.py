"""Asking a customer's validator over real TLS: only where it may be, only so long, and only what can be believed."""

import asyncio
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from clocks import START_US, SettableClock
from execlave_server.actions.ask_validator import QUESTION_BYTES_MAX, Validators
from execlave_server.actions.circuit_breaker import FAILURES_MAX, OPEN_US
from execlave_server.actions.reach_validator import VALIDATOR_TIMEOUT_S, Resolve, ValidatorConnector
from execlave_server.errors import SettingsError
from execlave_server.model.secret import Secret
from execlave_server.policy.action import Action, ValidatorDecision
from execlave_server.policy.checks.custom_validator import ANSWER_BYTES_MAX
from execlave_server.policy.engine import ValidatorCall
from execlave_server.settings import Settings
from validator_server import HOST, Answer, ValidatorServer, make_certificates, says

ACTION = Action(
    agent_id="refunds",
    input="Refund order 7",
    organization_id="org_1",
    agent_name="Refunds",
    environment="production",
    tools=("refund_order",),
    metadata={"toolArguments": {"order": 7}},
    estimated_cost=0.25,
)
LOOPBACK = "127.0.0.1/32"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """An authority and a server's certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture
def server(certificates) -> Iterator[ValidatorServer]:
    """A validator that allows everything until it is told otherwise."""
    with ValidatorServer(certificates).running() as running:
        yield running


def at(*addresses: str) -> Resolve:
    """A name server that says the same of every name."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


@asynccontextmanager
async def asking(
    server: ValidatorServer,
    resolve: Resolve | None = None,
    *,
    allow: str = LOOPBACK,
    clock: SettableClock | None = None,
) -> AsyncIterator[Validators]:
    """What asks, with the server's authority and an operator's allow-list."""
    settings = Settings(validator_allow=allow, validator_ca_file=server.ca_file)
    connector = ValidatorConnector(settings, resolve or at("127.0.0.1"))
    validators = Validators(connector, Secret("pepper"), clock or SettableClock())
    try:
        yield validators
    finally:
        await validators.close()
        server.ended.set()
        async with asyncio.timeout(5):  # a connection given up lives until the server ends it, too
            transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
            while any(each._sock for each in list(transports.values())):
                await asyncio.sleep(0.01)


async def ask(validators: Validators, url: str, action: Action = ACTION) -> ValidatorDecision | None:
    """What one validator says."""
    call = ValidatorCall("pol_1", url)
    return (await validators.ask([call], action))[call]


async def reason_of(validators: Validators, url: str) -> str:
    """Why one validator said nothing."""
    with capture_logs() as logs:
        assert await ask(validators, url) is None
    (entry,) = [log for log in logs if log["event"] == "validator.failed"]
    return str(entry["reason"])


class TestQuestions:
    @pytest.mark.parametrize("decision", list(ValidatorDecision))
    async def test_its_decision_counts(self, server, decision):
        """Each of the three decisions is heard."""
        server.answer = lambda _: says(decision)
        async with asking(server) as validators:
            assert await ask(validators, server.url) is decision

    async def test_it_is_told_everything_once_and_signed(self, server):
        """The body has the documented members, and the signature verifies with the policy's secret."""
        async with asking(server) as validators:
            await ask(validators, server.url)
            secret = validators.secret_of("pol_1").reveal()
            other = validators.secret_of("pol_2").reveal()

        (question,) = server.asked
        body, stamp = json.loads(question.body), question.headers["X-Execlave-Timestamp"]
        assert datetime.fromisoformat(body.pop("timestamp")).timestamp() == int(stamp) == START_US // 1_000_000
        assert body == {
            "organizationId": "org_1",
            "agentId": "refunds",
            "agentName": "Refunds",
            "environment": "production",
            "input": "Refund order 7",
            "tools": ["refund_order"],
            "metadata": {"toolArguments": {"order": 7}},
            "estimatedCost": 0.25,
        }
        mac = hmac.new(secret.encode(), stamp.encode() + b"." + question.body, hashlib.sha256).hexdigest()
        assert question.headers["X-Execlave-Signature"] == f"sha256={mac}"
        assert question.headers["X-Execlave-Validator-Id"] == "pol_1"
        assert question.headers["X-Execlave-Delivery-Id"]
        assert len(secret) > 64
        assert secret != other

    async def test_each_question_has_an_id_of_its_own(self, server):
        """The delivery id tells questions apart."""
        async with asking(server) as validators:
            for _ in range(3):
                await ask(validators, server.url)

        assert len({question.headers["X-Execlave-Delivery-Id"] for question in server.asked}) == 3

    async def test_several_are_asked_at_once(self, server):
        """Five validators that take half a second each take less than two together."""
        server.answer = lambda _: Answer(after_s=0.5)
        calls = [ValidatorCall(f"pol_{number}", f"{server.url}/{number}") for number in range(5)]
        async with asking(server) as validators:
            started = time.monotonic()
            answers = await validators.ask(calls, ACTION)

        assert set(answers.values()) == {ValidatorDecision.ALLOW}
        assert time.monotonic() - started < 2.0

    async def test_a_question_too_large_is_not_asked(self, server):
        """An action beyond a megabyte is not sent, and its validator's answer is missing."""
        async with asking(server) as validators:
            answer = await ask(validators, server.url, Action(agent_id="a", input="x" * QUESTION_BYTES_MAX))

        assert answer is None
        assert server.asked == []


class TestAnswers:
    @pytest.mark.parametrize(
        "answer",
        [
            Answer(status=500),
            Answer(status=201),
            Answer(status=404, body=b"{}"),
            Answer(b""),
            Answer(b"allow"),
            Answer(b'"allow"'),
            Answer(b'{"decision": "ALLOW"}'),
            Answer(b'{"decision": "allowed"}'),
            Answer(b'{"decision": true}'),
            Answer(b'{"allowed": true}'),
            Answer(b'[{"decision": "allow"}]'),
            Answer(b'{"decision": "allow"'),
            Answer(b'\xff{"decision": "allow"}'),
            Answer(b"[" * 50_000),
            Answer(gzip.compress(b'{"decision": "allow"}'), headers=(("Content-Encoding", "gzip"),)),
        ],
        ids=lambda answer: f"{answer.status} {answer.body[:24]!r}",
    )
    async def test_what_is_no_clear_answer_is_none(self, server, answer):
        """Anything but a 200 with one of the three words is no answer."""
        server.answer = lambda _: answer
        async with asking(server) as validators:
            assert await ask(validators, server.url) is None

        assert len(server.asked) == 1

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_a_redirect_is_not_followed(self, server, status):
        """A redirect is no answer, and nobody goes where it points, not even on the same host."""
        server.answer = lambda question: (
            Answer(status=status, headers=(("Location", f"{server.literal_url}/elsewhere"),))
            if question.path == "/judge"
            else Answer()
        )
        async with asking(server) as validators:
            assert await ask(validators, server.url) is None

        assert [question.path for question in server.asked] == ["/judge"]

    async def test_an_answer_of_64_kb_is_read_and_a_longer_one_refused(self, server):
        """The limit is exact, and what is far beyond it is not read to its end."""
        answers = [
            b'{"decision": "allow"}'.ljust(size) for size in (ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 1, 50_000_000)
        ]
        said = []
        async with asking(server) as validators:
            for body in answers:
                server.answer = lambda _, body=body: Answer(body)
                said.append(await ask(validators, server.url))

        assert said == [ValidatorDecision.ALLOW, None, None]

    @pytest.mark.parametrize("answer", [Answer(after_s=5.0), Answer(b'{"decision": "allow"}'.rjust(60), between_s=0.1)])
    async def test_two_seconds_are_all_it_gets(self, server, answer):
        """A validator that is silent, or drips its answer, is given up after two seconds."""
        server.answer = lambda _: answer
        async with asking(server) as validators:
            started = time.monotonic()
            reason = await reason_of(validators, server.url)

        assert reason == "no answer within 2 s"
        assert VALIDATOR_TIMEOUT_S <= time.monotonic() - started < VALIDATOR_TIMEOUT_S + 1.5

    async def test_a_name_server_that_hangs_is_given_up_too(self, server):
        """The two seconds include the resolution of the name."""

        async def hang(_host: str, _port: int) -> Sequence[str]:
            await asyncio.sleep(60)
            return []

        async with asking(server, hang) as validators:
            assert await reason_of(validators, server.url) == "no answer within 2 s"


class TestWhere:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "169.254.0.1", "100.64.0.1"),
            *("0.0.0.0", "224.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1"),  # noqa: S104
            *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:a9fe:a9fe", "168.63.129.16"),
        ],
    )
    async def test_no_connection_is_made_to_what_is_not_public(self, server, address):
        """Without the operator's word, a name at an address of any special class is refused before a connection."""
        async with asking(server, at(address), allow="") as validators:
            reason = await reason_of(validators, server.url)

        assert reason.startswith(f"its host is at {address}, a")
        assert "EXECLAVE_SERVER_VALIDATOR_ALLOW" in reason
        assert (server.connections, server.asked) == (0, [])

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "169.254.169.254"])
    async def test_an_address_instead_of_a_name_is_checked_as_well(self, server, host):
        """A URL that names no host but an address goes no further either."""
        async with asking(server, allow="") as validators:
            reason = await reason_of(validators, f"https://{host}:{server.port}/judge")

        assert reason.startswith("its host is at ")
        assert server.connections == 0

    @pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1"])
    async def test_other_ways_to_write_loopback_do_not_help(self, server, host):
        """What the system resolves to loopback is refused, however it is written."""
        settings = Settings(validator_ca_file=server.ca_file)
        validators = Validators(ValidatorConnector(settings), Secret("pepper"), SettableClock())
        reason = await reason_of(validators, f"https://{host}:{server.port}/judge")
        await validators.close()

        assert reason.startswith("its host is at ") or reason == "its address is not one that can be asked"
        assert server.connections == 0

    async def test_one_bad_address_among_good_ones_refuses_all(self, server):
        """A name that is public and private at once is refused."""
        async with asking(server, at("93.184.216.34", "10.0.0.1"), allow="") as validators:
            assert (await reason_of(validators, server.url)).startswith("its host is at 10.0.0.1")

    async def test_a_name_is_resolved_once_and_what_was_checked_is_what_is_asked(self, server):
        """A name server that says another address the second time is never asked a second time: no rebinding."""
        told: list[str] = []

        async def rebind(_host: str, _port: int) -> Sequence[str]:
            told.append("127.0.0.1" if not told else "10.0.0.1")
            return [told[-1]]

        async with asking(server, rebind) as validators:
            assert await ask(validators, server.url) is ValidatorDecision.ALLOW

        assert told == ["127.0.0.1"]

    async def test_a_name_that_turns_private_is_refused_on_the_next_connection(self, server):
        """Each connection is checked anew: one that was allowed says nothing of the next."""
        places = iter(["127.0.0.1", "10.0.0.1"])

        async def turn(_host: str, _port: int) -> Sequence[str]:
            return [next(places)]

        server.answer = lambda _: Answer(headers=(("Connection", "close"),))
        async with asking(server, turn) as validators:
            first = await ask(validators, server.url)
            reason = await reason_of(validators, server.url)

        assert first is ValidatorDecision.ALLOW
        assert reason.startswith("its host is at 10.0.0.1, a private address")

    async def test_an_allowed_host_may_be_private(self, server):
        """A host name on the allow-list is asked where it is."""
        async with asking(server, allow=HOST) as validators:
            assert await ask(validators, server.url) is ValidatorDecision.ALLOW

    async def test_the_certificate_must_be_of_the_name(self, server):
        """TLS verifies the name in the URL, not the address it was resolved to."""
        async with asking(server) as validators:
            reason = await reason_of(validators, f"https://other.test:{server.port}/judge")

        assert reason.startswith("TLS failed")
        assert server.asked == []

    async def test_the_certificate_must_be_of_an_authority_that_is_trusted(self, server):
        """Without the operator's authority the server is nobody."""
        settings = Settings(validator_allow=LOOPBACK)
        validators = Validators(ValidatorConnector(settings, at("127.0.0.1")), Secret("pepper"), SettableClock())
        reason = await reason_of(validators, server.url)
        await validators.close()

        assert reason.startswith("TLS failed")
        assert server.asked == []

    async def test_only_https_is_spoken(self, server):
        """A URL in clear, were one ever stored, is not asked."""
        async with asking(server) as validators:
            assert await reason_of(validators, server.url.replace("https", "http")) == "its address is not https"

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            (Settings(validator_allow="10.0.0.0/99"), "EXECLAVE_SERVER_VALIDATOR_ALLOW"),
            (Settings(validator_ca_file="/nowhere.pem"), "EXECLAVE_SERVER_VALIDATOR_CA_FILE"),
        ],
    )
    async def test_a_setting_that_cannot_be_used_is_an_error_at_start(self, settings, named):
        """A typing error shows when the server starts, under the setting's name."""
        with pytest.raises(SettingsError, match=named):
            ValidatorConnector(settings)


class TestBreaker:
    async def test_one_that_fails_is_left_alone_and_tried_again(self, server):
        """After failures in a row it is not asked for a while, then by one, and its recovery is noticed."""
        clock = SettableClock()
        server.answer = lambda _: Answer(status=500)
        async with asking(server, clock=clock) as validators:
            failed = [await ask(validators, server.url) for _ in range(FAILURES_MAX + 3)]
            asked = len(server.asked)
            server.answer = lambda _: Answer()
            still = await ask(validators, server.url)
            clock.advance(us=OPEN_US)
            healed = [await ask(validators, server.url) for _ in range(2)]

        assert set(failed) == {None}
        assert asked == FAILURES_MAX
        assert still is None
        assert healed == [ValidatorDecision.ALLOW] * 2

    async def test_one_that_fails_takes_no_other_down(self, server):
        """Each validator has a breaker of its own, and a new address is a new validator."""
        server.answer = lambda question: Answer(status=500 if question.path == "/bad" else 200)
        bad, good = server.url.replace("/judge", "/bad"), server.url
        async with asking(server) as validators:
            for _ in range(FAILURES_MAX):
                await ask(validators, bad)
            other = await ask(validators, good)

        assert other is ValidatorDecision.ALLOW

    async def test_a_caller_that_goes_away_counts_for_nothing(self, server):
        """A request that is cancelled while it waits is no failure of the validator."""
        server.answer = lambda _: Answer(after_s=1.0)
        async with asking(server) as validators:
            for _ in range(FAILURES_MAX):
                task = asyncio.create_task(ask(validators, server.url))
                await asyncio.sleep(0.05)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            server.answer = lambda _: Answer()
            assert await ask(validators, server.url) is ValidatorDecision.ALLOW
