"""More cases of Datadog's search language: arrays, numbers, existence, reserved names, tags, networks, escapes."""

from search_cases import Case, has, said, tagged

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

VALUE_CASES = [
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
