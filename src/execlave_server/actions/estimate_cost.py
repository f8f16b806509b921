from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from genai_prices import Usage, calc_price

MODELS_REMEMBERED = 4_096  # model names come from clients
_TOKENS_PER_PRICE = 1_000_000  # prices are per million tokens

Price = Callable[[int, int], float]


class CostEstimator:
    """Prices tokens by the table of genai-prices, kept in its release; nothing is fetched."""

    def estimate(self, model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
        """USD for these tokens, or None when the table does not know the model."""
        price = _price_of(model)
        return None if price is None else price(prompt_tokens, completion_tokens)


@lru_cache(maxsize=MODELS_REMEMBERED)
def _price_of(model: str) -> Price | None:
    """How to price a model's tokens. Names such as `openai/gpt-4o` are looked up without their prefix too."""
    for name in dict.fromkeys((model, model.rpartition("/")[2])):
        try:
            prices = calc_price(Usage(input_tokens=1, output_tokens=1), model_ref=name).model_price
        except (LookupError, ValueError):
            continue
        per_input, per_output = prices.input_mtok, prices.output_mtok
        if isinstance(per_input, Decimal | None) and isinstance(per_output, Decimal | None):
            return _flat(float(per_input or 0), float(per_output or 0))
        return _tiered(name)
    return None


def _flat(per_input: float, per_output: float) -> Price:
    return lambda prompt, completion: round((prompt * per_input + completion * per_output) / _TOKENS_PER_PRICE, 12)


def _tiered(name: str) -> Price:
    """The table's own arithmetic, for prices that depend on how long the prompt is."""
    return lambda prompt, completion: float(
        calc_price(Usage(input_tokens=prompt, output_tokens=completion), model_ref=name).total_price
    )
