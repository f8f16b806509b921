"""The expression of an arithmetic processor: numbers, attributes, + - * / and brackets."""

from collections.abc import Callable

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, VisitError

Lookup = Callable[[str], float]
Expression = Callable[[Lookup], float]

EXPRESSION_CHARS_MAX = 1_000  # far above any formula; bounds the parser's work

# A name may hold `-`, so subtraction needs a blank before it, as Datadog asks for.
GRAMMAR = r"""
?start: sum
?sum: product | sum "+" product -> add | sum "-" product -> subtract
?product: atom | product "*" atom -> multiply | product "/" atom -> divide
?atom: NUMBER -> number | NAME -> name | "-" atom -> negate | "(" sum ")"
NUMBER.2: /\d+(\.\d+)?(?![\w.@-])/
NAME: /[A-Za-z_@][\w.@-]*/
%ignore /\s+/
"""


@v_args(inline=True)
class _Compile(Transformer[Token, Expression]):
    def number(self, token: Token) -> Expression:
        value = float(token)
        return lambda _lookup: value

    def name(self, token: Token) -> Expression:
        path = str(token).removeprefix("@")
        return lambda lookup: lookup(path)

    def add(self, left: Expression, right: Expression) -> Expression:
        return lambda lookup: left(lookup) + right(lookup)

    def subtract(self, left: Expression, right: Expression) -> Expression:
        return lambda lookup: left(lookup) - right(lookup)

    def multiply(self, left: Expression, right: Expression) -> Expression:
        return lambda lookup: left(lookup) * right(lookup)

    def divide(self, left: Expression, right: Expression) -> Expression:
        return lambda lookup: left(lookup) / right(lookup)

    def negate(self, inner: Expression) -> Expression:
        return lambda lookup: -inner(lookup)


_PARSER = Lark(GRAMMAR, parser="lalr")


def compile_expression(text: str) -> Expression:
    """What computes `text` from a look-up of attributes. Raises ValueError where it is no expression."""
    if len(text) > EXPRESSION_CHARS_MAX:
        raise ValueError(f"the expression is over {EXPRESSION_CHARS_MAX} characters")
    try:
        return _Compile().transform(_PARSER.parse(text))
    except (LarkError, VisitError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"cannot read the expression {text!r}: {reason}") from error
