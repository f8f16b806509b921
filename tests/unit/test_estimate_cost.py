import subprocess
import sys

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from execlave_server.actions.estimate_cost import CostEstimator

FLAT = ["gpt-4o", "gpt-4o-mini", "claude-3-5-haiku-latest"]
TIERED = ["gemini-2.5-pro", "claude-sonnet-4-5"]
COUNTS = st.integers(0, 2_000_000)


@pytest.fixture(scope="module")
def costs() -> CostEstimator:
    """The estimator."""
    return CostEstimator()


@pytest.mark.parametrize("model", FLAT + TIERED)
@given(prompt_tokens=COUNTS, completion_tokens=COUNTS)
def test_the_estimate_is_the_tables(model, prompt_tokens, completion_tokens):
    """The estimate is what the price table itself makes of the tokens, tiers of long prompts included."""
    usage = Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens)

    estimated = CostEstimator().estimate(model, prompt_tokens, completion_tokens)

    assert estimated == pytest.approx(float(calc_price(usage, model_ref=model).total_price), rel=1e-9, abs=1e-12)


def test_long_prompts_have_their_own_price(costs):
    """Where the table has tiers, a long prompt costs more per token than a short one."""
    short, long = costs.estimate("gemini-2.5-pro", 100_000, 0), costs.estimate("gemini-2.5-pro", 1_000_000, 0)

    assert long > short * 10 * 1.01


@pytest.mark.parametrize("model", FLAT)
def test_tokens_cost_money(costs, model):
    """A known model has a price above zero that grows with each kind of token; no tokens cost nothing."""
    base = costs.estimate(model, 1_000, 1_000)

    assert 0 < base < costs.estimate(model, 2_000, 1_000)
    assert base < costs.estimate(model, 1_000, 2_000)
    assert costs.estimate(model, 0, 0) == 0


def test_a_provider_before_the_name_is_understood(costs):
    """Gateways write the provider before the model; the price is the model's."""
    assert costs.estimate("openai/gpt-4o", 400, 12) == costs.estimate("gpt-4o", 400, 12) is not None


@pytest.mark.parametrize("model", ["", " ", "/", "openai/", "no-such-model", "x" * 10_000, "\x00", "ü/ü", "a/b/c"])
def test_an_unknown_model_has_no_price(costs, model):
    """A name the table does not know gives no estimate, and no error."""
    assert costs.estimate(model, 400, 12) is None


@pytest.mark.parametrize("model", [*FLAT, *TIERED, "no-such-model"])
@pytest.mark.parametrize("tokens", [-5, 10**18, 10**400], ids=["negative", "huge", "beyond a float"])
def test_absurd_counts_never_raise(costs, model, tokens):
    """Tokens are the client's word: a count that makes no sense gives some finite estimate or none, and no error."""
    for estimated in (costs.estimate(model, tokens, 1), costs.estimate(model, 1, tokens)):
        assert estimated is None or abs(estimated) < float("inf")


@given(st.text(max_size=30), st.integers(0, 10**6), st.integers(0, 10**6))
def test_no_name_raises(model, prompt_tokens, completion_tokens):
    """Model names are the client's word: whatever stands there is priced or not."""
    estimated = CostEstimator().estimate(model, prompt_tokens, completion_tokens)

    assert estimated is None or estimated >= 0


def test_loading_reads_the_table_beforehand():
    """A server reads the table when it starts, so that no trace waits for it; a program that never prices does not."""
    program = (
        "import sys; from execlave_server.actions.estimate_cost import CostEstimator; before = 'genai_prices' in "
        "sys.modules; CostEstimator().load(); print(before, 'genai_prices' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]
