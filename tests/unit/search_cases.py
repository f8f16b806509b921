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

ARRAYS = [
    Case(
        "any element of an array",
        "@policy_ids:p2",
        [has(policy_ids=["p1", "p2"]), has(policy_ids="p2")],
        [has(policy_ids=["p1"]), has(policy_ids=[])],
    ),
    Case("a wildcard on any element", "@ids:p*", [has(ids=["x", "p1"])], [has(ids=["x"])]),
    Case("a number among the elements", "@codes:>5", [has(codes=[1, 9])], [has(codes=[1, 2])]),
    Case(
        "a path into objects of an array",
        "@items.name:b",
        [has(items=[{"name": "a"}, {"name": "b"}])],
        [has(items=[{"name": "a"}])],
    ),
    Case(
        "a path through two arrays",
        "@a.b.c:x",
        [has(a=[{"b": [{"c": "y"}, {"c": "x"}]}])],
        [has(a=[{"b": [{"d": "x"}]}])],
    ),
    Case("arrays in arrays", "@a:x", [has(a=[["y"], ["x"]])], [has(a=[["y"]])]),
    Case("two terms may be met by two elements", "@a.b:1 @a.c:2", [has(a=[{"b": 1}, {"c": 2}])], [has(a=[{"b": 1}])]),
    Case("a negation asks all elements", "-@a:x", [has(a=["y"]), has(a=[])], [has(a=["y", "x"])]),
]

NUMBERS = [
    Case(
        "> compares numbers",
        "@duration_ms:>100",
        [has(duration_ms=101), has(duration_ms=100.5)],
        [has(duration_ms=100), has(duration_ms=99)],
    ),
    Case(">=", "@duration_ms:>=100", [has(duration_ms=100), has(duration_ms=1e9)], [has(duration_ms=99.9)]),
    Case("<", "@cost_usd:<0.5", [has(cost_usd=0.49), has(cost_usd=-1)], [has(cost_usd=0.5)]),
    Case("<=", "@cost_usd:<=0.5", [has(cost_usd=0.5), has(cost_usd=0)], [has(cost_usd=0.51)]),
    Case("a number may be negative", "@t:>-5", [has(t=-4)], [has(t=-5)]),
    Case("a number may have an exponent", "@t:>1e3", [has(t=1001)], [has(t=1000)]),
    Case("numbers compare as numbers, not as text", "@n:>9", [has(n=10)], [has(n=8)]),
    Case("a text of digits is no number", "@n:>9", [], [has(n="10")]),
    Case("a boolean is no number", "@n:>=0", [has(n=0)], [has(n=True), has(n=False)]),
    Case("nothing is no number", "@n:<5", [], [{}, has(n=None)]),
    Case("[ ] has its ends", "@code:[400 TO 499]", [has(code=400), has(code=499)], [has(code=399), has(code=500)]),
    Case("{ } leaves its ends out", "@code:{400 TO 499}", [has(code=401)], [has(code=400), has(code=499)]),
    Case("[ } has the lower end", "@code:[400 TO 500}", [has(code=400)], [has(code=500)]),
    Case("{ ] has the upper end", "@code:{400 TO 500]", [has(code=500)], [has(code=400)]),
    Case("* is no upper limit", "@code:[400 TO *]", [has(code=9_999)], [has(code=399)]),
    Case("* is no lower limit", "@code:[* TO 400]", [has(code=-1)], [has(code=401)]),
    Case("a range of fractions", "@cost_usd:[0.1 TO 0.2]", [has(cost_usd=0.15)], [has(cost_usd=0.25)]),
    Case("a range of negative numbers", "@t:[-5 TO -1]", [has(t=-3)], [has(t=0)]),
    Case("a range the wrong way round is empty", "@n:[5 TO 1]", [], [has(n=3)]),
    Case("a comparison in a group", "@n:(>5 <10)", [has(n=7)], [has(n=5), has(n=10)]),
    Case("ranges in a group", "@n:([0 TO 1] OR [8 TO 9])", [has(n=1), has(n=8)], [has(n=5)]),
    Case("a negated comparison finds logs without it", "-@n:>5", [has(n=5), {}], [has(n=6)]),
    Case("an equal number", "@n:100", [has(n=100), has(n=100.0), has(n="100")], [has(n=1000), has(n=10)]),
    Case("equal numbers may be written differently", "@n:1.50", [has(n=1.5), has(n="1.50")], [has(n="1.5")]),
    Case("a quoted number is equal too", '@n:"100"', [has(n=100), has(n="100")], [has(n=101)]),
    Case("a negative number is a value", "@n:-5", [has(n=-5)], [has(n=5)]),
    Case(
        "a whole number may be very long",
        "@id:9007199254740993",
        [has(id=9007199254740993)],
        [has(id=9007199254740992)],
    ),
    Case("true is not one", "@n:1", [has(n=1)], [has(n=True)]),
]

EXISTENCE = [
    Case("@a:* is any value", "@a:*", [has(a="x"), has(a=0), has(a=False), has(a=["x"])], [{}, has(b="x")]),
    Case("null is no value", "@a:*", [], [has(a=None), has(a=[]), has(a=[None])]),
    Case("an object exists where something is in it", "@a:*", [has(a={"b": 1})], [has(a={}), has(a={"b": None})]),
    Case("a nested path exists", "@a.b:*", [has(a={"b": 1}), {"a.b": 1}], [has(a={"c": 1})]),
    Case("-@a:* is its absence", "-@a:*", [{}, has(b=1)], [has(a=1)]),
    Case("_exists_ takes an attribute", "_exists_:@a", [has(a=1)], [{}, tagged("a:1")]),
    Case("_missing_ takes an attribute", "_missing_:@a", [{}], [has(a=1)]),
    Case("_exists_ takes a tag's key", "_exists_:env", [tagged("env:prod")], [has(env="prod"), {}]),
    Case("_missing_ takes a tag's key", "_missing_:env", [{}, has(env="prod")], [tagged("env:prod")]),
    Case("_exists_ takes a reserved attribute", "_exists_:host", [{"host": "h"}], [{}]),
    Case("_exists_ takes a group", "_exists_:(@a OR @b)", [has(a=1), has(b=1)], [has(c=1)]),
    Case("env:* is any value of a tag", "env:*", [tagged("env:prod"), tagged("env")], [tagged("environment:prod")]),
    Case("host:* is any host", "host:*", [{"host": "h"}], [{}, {"attributes": {"host": "h"}}]),
    Case("message:* is any message", "message:*", [said("a")], [{}, said("")]),
    Case("an empty text is a value", "@a:*", [has(a="")]),
]

RESERVED = [
    Case(
        "source is reserved",
        "source:execlave",
        [{"source": "execlave"}],
        [{"source": "nginx"}, {"attributes": {"source": "execlave"}}],
    ),
    Case(
        "service is reserved",
        "service:agents-prod",
        [{"service": "agents-prod"}],
        [{"attributes": {"service": "agents-prod"}}],
    ),
    Case("host is reserved", "host:node-1", [{"host": "node-1"}], [{"attributes": {"host": "node-1"}}]),
    Case(
        "status is the severity",
        "status:error",
        [{"status": "error"}],
        [{"status": "info", "attributes": {"status": "error"}}],
    ),
    Case(
        "so an outcome is never found by it",
        "status:policy_blocked",
        [],
        [{"status": "info", "attributes": {"status": "policy_blocked"}}],
    ),
    Case(
        "status spreads over a group",
        "status:(error OR warn)",
        [{"status": "error"}, {"status": "warn"}],
        [{"status": "info"}],
    ),
    Case("only the nine words of status are searched", "status:warning", [], [{"status": "warn"}]),
    Case("trace_id is reserved", "trace_id:abc", [{"trace_id": "abc"}], [{"attributes": {"trace_id": "abc"}}]),
    Case("a trace id with hyphens", "trace_id:7b0c-41d2", [{"trace_id": "7b0c-41d2"}], [{"trace_id": "7b0c"}]),
    Case("message: is the message", "message:refused", [said("refund refused")], [has(note="refused")]),
    Case("message: takes a phrase", 'message:"refund refused"', [said("refund refused")], [said("refused refund")]),
    Case("message: takes a group", "message:(a OR b)", [said("a"), said("b")], [said("c")]),
    Case("message: takes a wildcard", "message:ref*", [said("a refund")], [said("pref")]),
    Case(
        "timestamp is a number",
        "timestamp:>=1700000000000",
        [{"timestamp_ms": 1_700_000_000_000}],
        [{"timestamp_ms": 1_699_999_999_999}],
    ),
    Case("timestamp takes a range", "timestamp:[1 TO 5}", [{"timestamp_ms": 1}], [{"timestamp_ms": 5}]),
    Case(
        "a reserved name with @ is an attribute", "@service:x", [{"attributes": {"service": "x"}}], [{"service": "x"}]
    ),
    Case("a reserved text is no number", "host:>5", [], [{"host": "6"}]),
    Case(
        "a reserved attribute is matched as a whole",
        "service:agents",
        [{"service": "agents"}],
        [{"service": "agents-prod"}],
    ),
]

TAGS = [
    Case(
        "without @ a name is a tag's key",
        "env:prod",
        [tagged("env:prod")],
        [has(env="prod"), tagged("environment:prod")],
    ),
    Case("an attribute is no tag", "span_type:tool", [tagged("span_type:tool")], [has(span_type="tool")]),
    Case("a tag's value is matched as a whole", "env:prod", [], [tagged("env:production")]),
    Case("a tag minds capitals, and is stored without", "env:Prod", [], [tagged("env:prod")]),
    Case("any of several tags", "team:b", [tagged("team:a", "team:b")], [tagged("team:a")]),
    Case("two tags", "env:prod team:a", [tagged("team:a", "env:prod")], [tagged("team:a"), tagged("env:prod")]),
    Case("a tag's key spreads over a group", "env:(prod OR staging)", [tagged("env:staging")], [tagged("env:dev")]),
    Case("a negated tag finds logs without it", "-env:prod", [{}, tagged("env:dev")], [tagged("env:prod")]),
    Case("a quoted tag value", 'env:"prod"', [tagged("env:prod")], [tagged("env:pro")]),
    Case("a tag's value may hold a colon", r"image:repo\:1.2", [tagged("image:repo:1.2")], [tagged("image:repo")]),
    Case(
        "tags: finds a bare tag",
        "tags:canary",
        [tagged("canary")],
        [tagged("canary:yes"), {"attributes": {"tags": "canary"}}],
    ),
    Case("tags: finds a whole tag", 'tags:"env:prod"', [tagged("env:prod")], [tagged("env:dev")]),
    Case("a tag is text and in no range", "shard:>5", [], [tagged("shard:6")]),
    Case("a tag's key minds no dot", "kube.app:x", [tagged("kube.app:x")], [tagged("kube:x")]),
]

FULL_TEXT = [
    Case("*: looks into the message", "*:refused", [said("refund refused")], [said("refund")]),
    Case("*: looks into every attribute", "*:refused", [has(error="it was refused")], [has(error="ok")]),
    Case("*: looks into nested ones", "*:refused", [has(a={"b": [{"c": "refused"}]})], [has(a={"refused": 1})]),
    Case("*: does not mind capitals", "*:REFUSED", [has(error="Refused")]),
    Case("*: finds whole words", "*:refuse", [has(error="refuse it")], [has(error="refused")]),
    Case("*: takes a wildcard", "*:refuse*", [has(error="was refused")], [has(error="prerefused")]),
    Case("*: takes a phrase", '*:"was refused"', [has(error="it was refused")], [has(error="refused was")]),
    Case("a phrase is within one value", '*:"a b"', [has(x="a b")], [has(x="a", y="b")]),
    Case("*: finds numbers", "*:503", [has(code=503)], [has(code=5030)]),
    Case("*: finds booleans", "*:true", [has(bound=True)], [has(bound=False)]),
    Case("*: does not look into tags", "*:prod", [], [tagged("env:prod")]),
    Case("*: takes a group", "*:(a OR b)", [has(x="a"), said("b")], [has(x="c")]),
    Case("a negated *: finds logs without it", "-*:refused", [has(a="ok")], [has(a="refused")]),
]

NETWORKS = [
    Case("CIDR finds an address in a network", "CIDR(@ip,10.0.0.0/8)", [has(ip="10.1.2.3")], [has(ip="11.0.0.1"), {}]),
    Case(
        "CIDR takes several networks",
        "CIDR(@ip,10.0.0.0/8, 192.168.0.0/16)",
        [has(ip="192.168.1.1"), has(ip="10.0.0.1")],
        [has(ip="172.16.0.1")],
    ),
    Case(
        "CIDR takes a nested attribute",
        "CIDR(@network.client.ip,13.0.0.0/8)",
        [has(network={"client": {"ip": "13.1.1.1"}})],
        [has(network={"client": {"ip": "14.1.1.1"}})],
    ),
    Case("NOT CIDR", "NOT(CIDR(@ip,10.0.0.0/8))", [has(ip="11.0.0.1"), {}], [has(ip="10.0.0.1")]),
    Case("-CIDR", "-CIDR(@ip,10.0.0.0/8)", [has(ip="11.0.0.1")], [has(ip="10.0.0.1")]),
    Case("CIDR beside a term", "CIDR(@ip,10.0.0.0/8) @a:1", [has(ip="10.0.0.1", a=1)], [has(ip="10.0.0.1")]),
    Case(
        "a network of IPv6",
        "CIDR(@ip,2001:db8::/32)",
        [has(ip="2001:db8::1")],
        [has(ip="2001:db9::1"), has(ip="10.0.0.1")],
    ),
    Case("one address is a network", "CIDR(@ip,10.0.0.1)", [has(ip="10.0.0.1")], [has(ip="10.0.0.2")]),
    Case("bits behind the network's do not count", "CIDR(@ip,10.9.9.9/8)", [has(ip="10.1.1.1")], [has(ip="11.9.9.9")]),
    Case(
        "any element may be in the network",
        "CIDR(@ips,10.0.0.0/8)",
        [has(ips=["1.1.1.1", "10.0.0.1"])],
        [has(ips=["1.1.1.1"])],
    ),
    Case(
        "what is no address is in no network",
        "CIDR(@ip,0.0.0.0/0)",
        [has(ip="1.2.3.4")],
        [has(ip="localhost"), has(ip=16909060)],
    ),
    Case("CIDR takes a tag", "CIDR(client_ip,10.0.0.0/8)", [tagged("client_ip:10.0.0.1")], [has(client_ip="10.0.0.1")]),
    Case("CIDR without parentheses is a word", "cidr", [said("a CIDR block")], [said("block")]),
]

ESCAPES = [
    Case("an escaped blank", r"@name:Billing\ Bot", [has(name="Billing Bot")], [has(name="Billing")]),
    Case("an escaped colon", r"@url:http\://x", [has(url="http://x")], [has(url="http")]),
    Case("an escaped equals sign", r"@q:a\=b", [has(q="a=b")]),
    Case("an escaped hyphen at the start", r"@q:\-x", [has(q="-x")], [has(q="x")]),
    Case("an escaped exclamation mark", r"@q:\!x", [has(q="!x")], [has(q="x")]),
    Case("escaped ampersands", r"@q:a\&\&b", [has(q="a&&b")], [has(q="a")]),
    Case("escaped bars", r"@q:a\|\|b", [has(q="a||b")], [has(q="a")]),
    Case("an escaped > is no comparison", r"@q:\>5", [has(q=">5")], [has(q=6)]),
    Case("an escaped < is no comparison", r"@q:\<5", [has(q="<5")], [has(q=4)]),
    Case("escaped >= and <=", r"@q:(\>=5 OR \<=5)", [has(q=">=5"), has(q="<=5")], [has(q=5)]),
    Case("escaped parentheses", r"@q:f\(x\)", [has(q="f(x)")], [has(q="f")]),
    Case("escaped braces", r"@q:\{x\}", [has(q="{x}")], [has(q="x")]),
    Case("escaped brackets", r"@q:\[1\ TO\ 5\]", [has(q="[1 TO 5]")], [has(q=3)]),
    Case("an escaped quote", r"@q:\"x\"", [has(q='"x"')], [has(q="x")]),
    Case("an escaped backslash", r"@q:a\\b", [has(q="a\\b")], [has(q="ab")]),
    Case("an escaped number sign", r"@q:\#1", [has(q="#1")], [has(q="1")]),
    Case("an escaped operator is a word", r"\AND", [said("this and that")], [said("this")]),
    Case("a single ampersand needs no escape", "@q:a&b", [has(q="a&b")], [has(q="a")]),
    Case("an equals sign needs none either", "@q:a=b", [has(q="a=b")], [has(q="a")]),
    Case("marks in the message cannot be searched", r"\(x\)", [said("x"), said("f(x)")], [said("y")]),
]

CALCULATED = [
    Case("a calculated field is found nowhere", "#cost_eur:>5", [], [has(cost_eur=6), {}]),
    Case("nor by its value", "#region:eu", [], [has(region="eu"), tagged("region:eu")]),
    Case("so its negation finds everything", "-#region:eu", [{}, has(region="eu")]),
]

SPECIFICATION = [
    Case(
        "printed query 1 finds nothing",
        "source:execlave status:(policy_blocked OR flagged_for_review OR limit_exceeded)",
        [],
        [{"source": "execlave", "status": "info", "attributes": {"status": "policy_blocked"}}],
    ),
    Case(
        "corrected query 1",
        "source:execlave @status:(policy_blocked OR flagged_for_review OR limit_exceeded)",
        [{"source": "execlave", "attributes": {"status": "flagged_for_review"}}],
        [{"source": "execlave", "attributes": {"status": "success"}}, {"attributes": {"status": "policy_blocked"}}],
    ),
    Case("query 2", "source:execlave", [{"source": "execlave"}], [{"source": "nginx"}]),
    Case(
        "printed query 3 finds nothing",
        "source:execlave status:policy_blocked span_type:tool @autonomy_level:autonomous",
        [],
        [
            {
                "source": "execlave",
                "status": "info",
                "attributes": {"status": "policy_blocked", "span_type": "tool", "autonomy_level": "autonomous"},
            }
        ],
    ),
    Case(
        "corrected query 3",
        "source:execlave @status:policy_blocked @span_type:tool @autonomy_level:autonomous",
        [
            {
                "source": "execlave",
                "attributes": {"status": "policy_blocked", "span_type": "tool", "autonomy_level": "autonomous"},
            }
        ],
        [{"source": "execlave", "attributes": {"status": "policy_blocked", "span_type": "tool"}}],
    ),
]

CASES = [
    *EVERYTHING,
    *OPERATORS,
    *WORDS,
    *WILDCARDS,
    *ATTRIBUTES,
    *ARRAYS,
    *NUMBERS,
    *EXISTENCE,
    *RESERVED,
    *TAGS,
    *FULL_TEXT,
    *NETWORKS,
    *ESCAPES,
    *CALCULATED,
    *SPECIFICATION,
]

# (what is wrong, the search, where, a part of what the error says)
ERRORS = [
    ("an unclosed parenthesis", "a (b OR c", 2, "never closed"),
    ("the innermost of two", "(a (b", 3, "never closed"),
    ("an unclosed group of a key", "@a:(b OR c", 3, "never closed"),
    ("a parenthesis too many", "a OR b)", 6, "closes none"),
    ("a parenthesis in quotes does not count", '(")"', 0, "never closed"),
    ("an escaped one neither", r"(a\)", 0, "never closed"),
    ("nothing in parentheses", "a () b", 3, "a term is missing"),
    ("nothing in a group", "@a:()", 4, "a term is missing"),
    ("an operator before a parenthesis", "(a AND)", 6, "a term is missing"),
    ("an unclosed quote", 'a "b c', 2, "never closed"),
    ("an unclosed quote of a value", '@a:"b', 3, "never closed"),
    ("AND at the end", "a AND", 2, "nothing follows AND"),
    ("OR at the end", "a OR", 2, "nothing follows OR"),
    ("NOT at the end", "a NOT", 2, "nothing follows NOT"),
    ("AND at the start", "AND a", 0, "no term on its left"),
    ("OR after a parenthesis", "(OR a)", 1, "no term on its left"),
    ("two operators", "a AND OR b", 6, "no term on its left"),
    ("&& at the end", "a &&", 2, "nothing follows &&"),
    ("a lone hyphen", "a - b", 2, "right before what it negates"),
    ("a lone exclamation mark", "! a", 0, "right before what it negates"),
    ("a hyphen at a value's start", "@a:-b", 3, "cannot start with -"),
    ("> without a number", "@a:> 5", 4, "none stands there"),
    ("> with a word", "@a:>fast", 4, "not 'fast'"),
    (">= with half a number", "@a:>=5ms", 5, "not '5ms'"),
    ("> without a key", "a >5", 2, "compares the number of an attribute"),
    ("> on the message", "message:>5", 8, "only an attribute's number"),
    ("> everywhere", "*:>5", 2, "only an attribute's number"),
    ("a number that is too large", "@a:>1e999", 4, "not '1e999'"),
    ("a range without TO", "@a:[1 5]", 3, "is not a range"),
    ("a range with a lower-case to", "@a:[1 to 5]", 3, "is not a range"),
    ("a range of words", "@a:[x TO 5]", 4, "'x' is none"),
    ("a range to a word", "@a:[1 TO y]", 9, "'y' is none"),
    ("an unclosed range", "@a:[1 TO 5", 3, "begins a range"),
    ("a range without a key", "[1 TO 5]", 0, "begins a range"),
    ("a bracket too many", "a] b", 1, "closes no range"),
    ("a network that is none", "CIDR(@ip,10.0.0.0/33)", 9, "is not a network"),
    ("a second network that is none", "CIDR(@ip,10.0.0.0/8, lan)", 21, "is not a network"),
    ("CIDR without a network", "CIDR(@ip)", 0, "at least one network"),
    ("CIDR without an attribute", "CIDR(,10.0.0.0/8)", 0, "at least one network"),
    ("CIDR everywhere", "CIDR(*,10.0.0.0/8)", 0, "one attribute"),
    ("CIDR unclosed", "CIDR(@ip,10.0.0.0/8", 4, "never closed"),
    ("a blank behind the colon", "a: b", 1, "no value follows"),
    ("nothing behind the colon", "@a:", 2, "no value follows"),
    ("nothing before the colon", ":b", 0, "no name stands before"),
    ("a colon in a value", "@a:b:c", 4, "plain colon"),
    ("a key within a group", "@a:(b OR c:d)", 10, "plain colon"),
    ("an @ without a name", "@:x", 0, "between @ and the colon"),
    ("a # without a name", "b #:x", 2, "between # and the colon"),
    ("a wildcard in a name", "@agent*:x", 0, "cannot have a wildcard"),
    ("a path that is too long", "@" + "a." * 32 + "a:x", 0, "more than 32 parts"),
    ("_exists_ of a number", "_exists_:>5", 9, "name of an attribute"),
    ("_exists_ of anything", "_exists_:*", 9, "name of an attribute"),
    ("_missing_ of nothing", '_missing_:""', 10, "no name stands in the quotes"),
    ("a backslash at the end", "a\\", 1, "nothing follows this backslash"),
    ("an operator as a value", "@a:AND", 3, "AND"),
    ("a search that is too long", "a" * 10_001, 10_000, "may have 10,000"),
    ("parentheses too deep", "(" * 51 + "a" + ")" * 51, 51, "more than 50"),
    ("negations too deep", "-" * 51 + "a", 51, "more than 50"),
]
