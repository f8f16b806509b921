"""What Datadog's search language means, case by case: the rule, a search, the logs it finds and those it does not.

A log is what is searched: keys of `SearchableLog`, anything else is an attribute.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One rule at work."""

    rule: str
    query: str
    found: Sequence[dict[str, Any]]
    not_found: Sequence[dict[str, Any]] = ()


def said(message: str) -> dict[str, Any]:
    """A log with this message."""
    return {"message": message}


def has(**attributes: Any) -> dict[str, Any]:
    """A log with these attributes."""
    return attributes


def tagged(*tags: str) -> dict[str, Any]:
    """A log with these tags."""
    return {"tags": list(tags)}


ANY_LOG = {"message": "checkout failed", "status": "error", "agent_id": "billing-bot"}

EVERYTHING = [
    Case("the empty search finds everything", "", [ANY_LOG, {}]),
    Case("blanks alone are the empty search", " \t\n ", [ANY_LOG, {}]),
    Case("* finds everything", "*", [ANY_LOG, {}]),
    Case("*:* finds everything", "*:*", [ANY_LOG, {}]),
    Case("-* finds nothing", "-*", [], [ANY_LOG, {}]),
    Case("* beside a term changes nothing", "* @a:1", [has(a=1)], [has(a=2), {}]),
]

OPERATORS = [
    Case("a blank is AND", "timeout refund", [said("refund timeout")], [said("refund"), said("timeout")]),
    Case("AND", "timeout AND refund", [said("refund timeout")], [said("refund"), said("timeout")]),
    Case("&& is AND", "timeout && refund", [said("refund timeout")], [said("refund"), said("timeout")]),
    Case("&& needs no blanks", "timeout&&refund", [said("refund timeout")], [said("refund")]),
    Case("OR", "timeout OR refund", [said("refund"), said("timeout")], [said("else")]),
    Case("|| is OR", "timeout || refund", [said("refund"), said("timeout")], [said("else")]),
    Case("|| needs no blanks", "timeout||refund", [said("refund"), said("timeout")], [said("else")]),
    Case("a blank binds tighter than OR", "a b OR c", [said("a b"), said("c")], [said("a"), said("b")]),
    Case(
        "a blank binds tighter than OR on its right too", "a OR b c", [said("a"), said("b c")], [said("b"), said("c")]
    ),
    Case("AND binds tighter than OR", "a OR b AND c", [said("a"), said("b c")], [said("b"), said("c")]),
    Case("lower-case and is a word", "cats and dogs", [said("cats and dogs")], [said("cats dogs")]),
    Case("lower-case or is a word", "now or never", [said("now or never")], [said("now"), said("never")]),
    Case("lower-case not is a word", "not found", [said("not found")], [said("found")]),
    Case("And is a word", "And", [said("this and that")], [said("this")]),
    Case("a word may begin with an operator", "ANDROID NOTE ORDER", [said("android note order")], [said("note")]),
    Case("- negates", "-timeout", [said("refund"), {}], [said("timeout")]),
    Case("NOT negates", "NOT timeout", [said("refund")], [said("timeout")]),
    Case("! negates", "!timeout", [said("refund")], [said("timeout")]),
    Case("NOT before a parenthesis", "NOT(a OR b)", [said("c")], [said("a"), said("b")]),
    Case("- before a parenthesis", "-(a b)", [said("a"), said("c")], [said("a b")]),
    Case("a negation holds for one term", "-a b", [said("b")], [said("a b"), said("c")]),
    Case("AND NOT", "a AND NOT b", [said("a")], [said("a b"), said("b")]),
    Case("OR NOT", "a OR NOT b", [said("a b"), said("c")], [said("b")]),
    Case("two negations cancel", "--a", [said("a")], [said("b")]),
    Case("NOT - cancels", "NOT -a", [said("a")], [said("b")]),
    Case("a hyphen within a word is no negation", "read-only", [said("read-only file")], [said("read file")]),
    Case("parentheses group", "(a OR b) c", [said("a c"), said("b c")], [said("a"), said("c"), said("a b")]),
    Case("parentheses nest", "((a OR (b c)))", [said("a"), said("b c")], [said("b"), said("c")]),
    Case("parentheses need no blanks", "(a)(b)", [said("a b")], [said("a"), said("b")]),
]

WORDS = [
    Case("a word is searched in the message", "timeout", [said("a timeout occurred")], [has(note="timeout")]),
    Case("a word is not searched in attributes", "refused", [said("refused")], [has(error="refused")]),
    Case("a word is not searched in tags", "prod", [said("prod down")], [tagged("env:prod", "prod")]),
    Case("a word does not mind capitals", "TimeOut", [said("timeout"), said("TIMEOUT")], [said("time out")]),
    Case("capitals of other scripts neither", "ÉTÉ", [said("un été chaud")], [said("ete")]),
    Case("a word is a whole word", "time", [said("time is up")], [said("timeout"), said("overtime")]),
    Case("punctuation ends a word", "failed", [said("failed: refund"), said("(failed)")], [said("failedover")]),
    Case("an underscore is part of a word", "policy_blocked", [said("tool policy_blocked")], [said("policy blocked")]),
    Case("so a part of such a word is not found", "blocked", [said("blocked")], [said("policy_blocked")]),
    Case("marks in a word are gaps", "gpt-4o", [said("model gpt-4o"), said("gpt 4o")], [said("4o gpt")]),
    Case("a dot is a gap", "example.com", [said("to example.com now")], [said("com example")]),
    Case("marks alone are found nowhere", "...", [], [said("well..."), said("")]),
    Case("a number in the message is a word", "503", [said("got 503")], [said("got 5030"), has(code=503)]),
    Case("no message, no word", "a", [], [{}]),
    Case(
        "quotes make a phrase",
        '"refund refused"',
        [said("the refund refused")],
        [said("refused refund"), said("refund")],
    ),
    Case("a phrase's words are neighbours", '"a c"', [said("a c")], [said("a b c")]),
    Case("a phrase does not mind capitals", '"Refund REFUSED"', [said("refund refused")]),
    Case("a phrase takes marks for gaps", '"refund, refused"', [said("refund refused")], [said("refund")]),
    Case("a phrase of one word is the word", '"refund"', [said("a refund")], [said("refunds")]),
    Case("a phrase may hold an operator", '"a AND b"', [said("a and b")], [said("a b")]),
    Case("a phrase may hold parentheses and colons", '"call(a): x"', [said("call(a): x")], [said("call")]),
    Case("no wildcard in a phrase", '"refun*"', [said("refun it")], [said("refund")]),
    Case("a quote in a phrase is escaped", r'"say \"no\""', [said('they say "no"')], [said("say yes")]),
    Case("a backslash in a phrase is escaped", r'@a:"c:\\x"', [has(a="c:\\x")], [has(a="c:x")]),
    Case("an empty phrase is found in no message", '""', [], [said("a"), {}]),
]

WILDCARDS = [
    Case("* is any run at a word's end", "time*", [said("timeout"), said("time"), said("a timer")], [said("overtime")]),
    Case("* at a word's beginning", "*out", [said("timeout"), said("out")], [said("outer")]),
    Case("* within a word", "t*t", [said("timeout"), said("tt")], [said("time to")]),
    Case("* on both sides", "*meo*", [said("timeout")], [said("time")]),
    Case("* does not leave the word", "refund*refused", [said("refundXrefused")], [said("refund refused")]),
    Case("wildcards in a message do not mind capitals", "TIME*", [said("timeout")]),
    Case("? is one character", "colo?r", [said("colour")], [said("color"), said("colouur")]),
    Case("?? are two", "??", [said("ab")], [said("a"), said("abc")]),
    Case(
        "* in an attribute's value", "@agent_id:billing*", [has(agent_id="billing-bot")], [has(agent_id="ops-billing")]
    ),
    Case("* at a value's beginning", "@agent_id:*bot", [has(agent_id="billing-bot")], [has(agent_id="bots")]),
    Case("* on both sides of a value", "@url:*pay*", [has(url="/v1/pay/1"), has(url="pay")], [has(url="/v1")]),
    Case("* within a value crosses blanks", "@name:a*z", [has(name="a to z"), has(name="az")], [has(name="a to z!")]),
    Case("several * in a value", "@p:/*/b/*", [has(p="/a/b/c")], [has(p="/a/c")]),
    Case("? in a value", "@code:E?1", [has(code="E21")], [has(code="E1"), has(code="E221")]),
    Case("? takes a blank", "@name:hello?world", [has(name="hello world")], [has(name="helloworld")]),
    Case("wildcards in a value mind capitals", "@agent_id:Bill*", [has(agent_id="Bill")], [has(agent_id="billing")]),
    Case("no wildcard in a quoted value", '@a:"b*"', [has(a="b*")], [has(a="bc")]),
    Case("an escaped * is a star", r"@a:b\*", [has(a="b*")], [has(a="bc")]),
    Case("an escaped ? is a question mark", r"@a:b\?", [has(a="b?")], [has(a="bc")]),
    Case("an escaped * beside a wildcard", r"@a:\**", [has(a="*bold*")], [has(a="bold")]),
    Case(
        "a wildcard in a number's digits",
        "@http.status_code:5*",
        [has(http={"status_code": 503})],
        [has(http={"status_code": 404})],
    ),
    Case("a wildcard in a tag", "env:prod*", [tagged("env:production"), tagged("env:prod")], [tagged("env:staging")]),
    Case("a wildcard in a reserved attribute", "service:agents-*", [{"service": "agents-prod"}], [{"service": "web"}]),
    Case("what looks like a pattern's mark is itself", "@a:a.c*", [has(a="a.cd")], [has(a="abcd")]),
]

ATTRIBUTES = [
    Case(
        "@ names an attribute",
        "@agent_id:billing-bot",
        [has(agent_id="billing-bot")],
        [tagged("agent_id:billing-bot"), {}],
    ),
    Case(
        "a value is matched as a whole", "@agent_id:billing", [has(agent_id="billing")], [has(agent_id="billing-bot")]
    ),
    Case("a value minds capitals", "@agent_id:Billing", [has(agent_id="Billing")], [has(agent_id="billing")]),
    Case("a name minds capitals", "@Agent:x", [has(Agent="x")], [has(agent="x")]),
    Case("a quoted value may hold blanks", '@name:"Billing Bot"', [has(name="Billing Bot")], [has(name="Billing")]),
    Case("a quoted value is the whole value", '@name:"Billing"', [has(name="Billing")], [has(name="Billing Bot")]),
    Case("a quoted value minds capitals", '@name:"billing bot"', [], [has(name="Billing Bot")]),
    Case("an empty value is asked for in quotes", '@name:""', [has(name="")], [has(name="x"), {}]),
    Case("a slash is not special", "@path:/v1/pay", [has(path="/v1/pay")], [has(path="/v1")]),
    Case("an @ in a value is not special", "@user:a@b.example", [has(user="a@b.example")], [has(user="a")]),
    Case("a hyphen in a value is not special", "@model:gpt-4o-mini", [has(model="gpt-4o-mini")], [has(model="gpt-4o")]),
    Case(
        "a path goes into objects", "@http.status:ok", [has(http={"status": "ok"})], [has(status="ok"), has(http="ok")]
    ),
    Case("a dotted key is the same path", "@http.status:ok", [{"http.status": "ok"}], [{"http.code": "ok"}]),
    Case(
        "part dotted, part nested",
        "@a.b.c:x",
        [{"a.b": {"c": "x"}}, {"a": {"b.c": "x"}}, {"a": {"b": {"c": "x"}}}],
        [{"a.b": "x"}],
    ),
    Case("dotted and nested side by side", "@a.b:x", [{"a.b": "y", "a": {"b": "x"}}, {"a.b": "x", "a": {"b": "y"}}]),
    Case("a negated attribute finds logs without it", "-@a:x", [has(a="y"), {}], [has(a="x")]),
    Case(
        "a key spreads over its group",
        "@status:(error OR timeout)",
        [{"attributes": {"status": "error"}}],
        [{"attributes": {"status": "success"}}],
    ),
    Case(
        "a blank in a group is AND",
        "@tags:(a b)",
        [{"attributes": {"tags": ["a", "b"]}}],
        [{"attributes": {"tags": ["a"]}}],
    ),
    Case("a negation in a group", "@a:(x* -xy)", [has(a="xz")], [has(a="xy"), has(a="z")]),
    Case("NOT in a group", "@a:(NOT x)", [has(a="y"), {}], [has(a="x")]),
    Case("a group within a group", "@a:(x OR (y* -yz))", [has(a="x"), has(a="ya")], [has(a="yz"), has(a="z")]),
    Case("a quoted value in a group", '@a:("x y" OR z)', [has(a="x y"), has(a="z")], [has(a="x")]),
    Case("a negated group", "-@a:(x OR y)", [has(a="z"), {}], [has(a="x"), has(a="y")]),
    Case(
        "true is a boolean's text", "@idp_bound:true", [has(idp_bound=True)], [has(idp_bound=False), has(idp_bound=1)]
    ),
    Case(
        "false is a boolean's text",
        "@idp_bound:false",
        [has(idp_bound=False)],
        [has(idp_bound=True), has(idp_bound=0), {}],
    ),
    Case("an object has no value of its own", "@a:x", [has(a="x")], [has(a={"x": "x"})]),
    Case("the name of an attribute may be escaped", r"@a\:b:x", [{"a:b": "x"}], [{"a": "x"}]),
    Case(
        "the original status is an attribute",
        "@status:policy_blocked",
        [{"status": "info", "attributes": {"status": "policy_blocked"}}],
        [{"status": "policy_blocked"}],
    ),
]

TERM_CASES = [*EVERYTHING, *OPERATORS, *WORDS, *WILDCARDS, *ATTRIBUTES]
