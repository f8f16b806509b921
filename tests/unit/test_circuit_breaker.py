"""The breaker: closed, open, half open."""

from clocks import SettableClock
from execlave_server.actions.circuit_breaker import FAILURES_MAX, OPEN_US, CircuitBreaker


def failed(times: int, clock: SettableClock) -> CircuitBreaker:
    """A breaker after so many failures in a row."""
    breaker = CircuitBreaker(clock.elapsed_us)
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_it_opens_after_failures_in_a_row():
    """The last failure that is allowed leaves it closed, the next one opens it."""
    assert failed(FAILURES_MAX - 1, SettableClock()).admits()
    assert not failed(FAILURES_MAX, SettableClock()).admits()


def test_a_success_forgets_the_failures():
    """Only failures in a row count."""
    breaker = failed(FAILURES_MAX - 1, SettableClock())
    breaker.succeeded()
    breaker.failed()

    assert breaker.admits()


def test_after_a_while_one_probes_and_the_rest_wait():
    """Half open it admits one; its success admits all again, its failure nobody for as long again."""
    clock = SettableClock()
    breaker = failed(FAILURES_MAX, clock)
    clock.advance(us=OPEN_US - 1)
    early = breaker.admits()
    clock.advance(us=1)
    probing = [breaker.admits() for _ in range(3)]
    breaker.failed()
    after_failure = breaker.admits()
    clock.advance(us=OPEN_US)
    again = [breaker.admits() for _ in range(2)]
    breaker.succeeded()

    assert (early, probing, after_failure, again) == (False, [True, False, False], False, [True, False])
    assert [breaker.admits() for _ in range(3)] == [True] * 3


def test_a_probe_that_was_given_up_leaves_its_place_to_another():
    """A caller that went away proves nothing and blocks nobody."""
    clock = SettableClock()
    breaker = failed(FAILURES_MAX, clock)
    clock.advance(us=OPEN_US)
    assert breaker.admits()
    breaker.gave_up()

    assert breaker.admits()
