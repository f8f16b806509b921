"""Ask customers' own endpoints about an action, before it is decided and outside any transaction."""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from execlave_server.actions.circuit_breaker import CircuitBreaker
from execlave_server.actions.reach_validator import UnreachableError, ValidatorConnector
from execlave_server.clock import Clock
from execlave_server.model.keys import signature_of
from execlave_server.model.secret import Secret
from execlave_server.policy.action import Action, ValidatorDecision
from execlave_server.policy.breaches import CannotEvaluateError
from execlave_server.policy.checks.custom_validator import judge_answer, question_of
from execlave_server.policy.engine import ValidatorCall

QUESTION_BYTES_MAX = 1_000_000  # what an endpoint can be expected to take; beyond it the failure mode applies
BREAKERS_MAX = 10_000  # validators of all organizations; forgotten all at once when there are more
SECRET_PREFIX = "evs_"  # noqa: S105 - tells a validator's secret from an API key
_PURPOSE = b"execlave validator secret\x00"

log = structlog.get_logger()

Answers = dict[ValidatorCall, ValidatorDecision | None]


class Validators:
    """Asks validators, each behind a breaker of its own."""

    def __init__(self, connector: ValidatorConnector, pepper: Secret, clock: Clock) -> None:
        self._connector = connector
        self._pepper = pepper
        self._clock = clock
        self._breakers: dict[ValidatorCall, CircuitBreaker] = {}

    def secret_of(self, policy_id: str) -> Secret:
        """What a policy's questions are signed with: derived from the installation's sealed secret, kept nowhere."""
        mac = hmac.digest(self._pepper.reveal().encode(), _PURPOSE + policy_id.encode(), hashlib.sha256)
        return Secret(SECRET_PREFIX + mac.hex())

    async def ask(self, calls: Iterable[ValidatorCall], action: Action) -> Answers:
        """What each says of the action, all asked at once; None for one that said nothing that can be used."""
        wanted = list(dict.fromkeys(calls))
        if not wanted:
            return {}
        asked_us = self._clock.now_us()
        question = await asyncio.to_thread(_question, action, asked_us)
        if question is None:
            log.warning("validator.question_too_large", policies=[call.policy_id for call in wanted])
            return dict.fromkeys(wanted)
        answers = await asyncio.gather(*(self._ask(call, question, asked_us) for call in wanted))
        return dict(zip(wanted, answers, strict=True))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._connector.close()

    async def _ask(self, call: ValidatorCall, question: bytes, asked_us: int) -> ValidatorDecision | None:
        breaker = self._breaker(call)
        if not breaker.admits():
            return None
        try:
            reply = await self._connector.post(call.url, question, self._headers(call, question, asked_us))
            decision = judge_answer(reply.status, reply.body)
        except (UnreachableError, CannotEvaluateError) as error:
            breaker.failed()
            log.warning("validator.failed", policy=call.policy_id, reason=str(error), left_alone=breaker.is_open)
            return None
        except BaseException:
            breaker.gave_up()
            raise
        breaker.succeeded()
        return decision

    def _headers(self, call: ValidatorCall, question: bytes, asked_us: int) -> dict[str, str]:
        stamp = str(asked_us // 1_000_000)
        return {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "execlave-server",
            "X-Execlave-Signature": signature_of(self.secret_of(call.policy_id).reveal(), stamp, question),
            "X-Execlave-Timestamp": stamp,
            "X-Execlave-Validator-Id": call.policy_id,
            "X-Execlave-Delivery-Id": self._clock.uuid(),
        }

    def _breaker(self, call: ValidatorCall) -> CircuitBreaker:
        found = self._breakers.get(call)
        if found is None:
            if len(self._breakers) >= BREAKERS_MAX:
                self._breakers.clear()
            found = self._breakers[call] = CircuitBreaker(self._clock.elapsed_us)
        return found


def _question(action: Action, asked_us: int) -> bytes | None:
    """The body to send; None for one that is too large, or holds what JSON cannot."""
    stamp = datetime.fromtimestamp(asked_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    try:
        question = question_of(action, stamp)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    return question if len(question) <= QUESTION_BYTES_MAX else None
