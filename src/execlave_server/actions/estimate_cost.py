from functools import lru_cache
from typing import Any

from msgspec import Struct

MODELS_REMEMBERED = 4_096  # model names come from clients
_ANY_MODEL = "gpt-4o"
_TOKENS_PER_PRICE = 1_000_000  # prices are per million tokens

Tiers = list[tuple[int, float]]  # (more prompt tokens than this, USD per million), the longest prompts first


class CostEstimator:
    """Prices tokens by the table of genai-prices, kept in its release; nothing is fetched."""

    def load(self) -> None:
        """Read the table, some 0.1 s, which the first price would wait for otherwise. Any thread."""
        _prices_of(_ANY_MODEL)

    def estimate(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """USD for these tokens, or None when the table does not know the model or the counts are absurd."""
        prices = _prices_of(model)
        if prices is None or prompt_tokens < 0 or completion_tokens < 0:
            return None
        per_input = _rate(prices.input, prompt_tokens)
        per_output = _rate(prices.output, prompt_tokens)
        try:
            return round((prompt_tokens * per_input + completion_tokens * per_output) / _TOKENS_PER_PRICE, 12)
        except OverflowError:
            return None


class _Prices(Struct, frozen=True):
    """A model's prices. Which tier holds depends on the length of the prompt, and it holds for every token."""

    input: Tiers
    output: Tiers


@lru_cache(maxsize=MODELS_REMEMBERED)
def _prices_of(model: str) -> _Prices | None:
    """A model's prices. Names such as `openai/gpt-4o` are looked up without their prefix too."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - 30 MB that only a process which prices needs

    for name in dict.fromkeys((model, model.rpartition("/")[2])):
        try:
            found = calc_price(Usage(input_tokens=1, output_tokens=1), model_ref=name).model_price
        except (LookupError, ValueError):
            continue
        return _Prices(_tiers(found.input_mtok), _tiers(found.output_mtok))
    return None


def _tiers(price: Any) -> Tiers:
    """A price of the table: none, a Decimal, or one that depends on the length of the prompt."""
    if not hasattr(price, "tiers"):
        return [(-1, float(price or 0))]
    return [*((tier.start, float(tier.price)) for tier in reversed(price.tiers)), (-1, float(price.base))]


def _rate(tiers: Tiers, prompt_tokens: int) -> float:
    for start, rate in tiers:
        if prompt_tokens > start:
            return rate
    return tiers[-1][1]
