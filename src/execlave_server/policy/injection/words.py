"""Words that several rules speak of."""

IGNORE = (
    "(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|discard(?:ing)?|neglect|override|overriding|overrule"
    "|bypass(?:ing)?|abandon"
    "|disobey|violat(?:e|ing)|circumvent(?:ing)?|overwrite|supersede|set aside|throw (?:out|away)|pay no attention to"
    "|put aside"
    "|(?:do not|don t|stop|no longer|quit) (?:follow|obey|comply with|adhere to|listen to|respect)(?:ing)?"
    "|cease following)"
)
EARLIER = (
    "(?:previous(?:ly)?|prior|preceding|earlier|above|foregoing|original|initial|existing|system|developer|safety"
    "|built in"
    "|all|any|every|your|its)"
)
WHICH = (
    f"(?:(?:{EARLIER}|of|the|these|those|this|that|other|and|or|given|stated|hidden|internal|default|content|security"
    "|ethical|moral|strict|current|single|such|or all|openai s?|anthropic s?|company) )"
)
ORDERS = (
    "(?:instructions?|directions|directives?|rules?|rulebook|guidelines?|guidance|system prompts?|prompts?|programming"
    "|guardrails?|safeguards?|constraints?|restrictions?|safety (?:polic(?:y|ies)|filters?|training|measures))"
)
SAID = (
    "(?:commands?|orders|messages?|context|conversation|polic(?:y|ies)|text|tasks?|requests?|limitations|protocols?"
    "|filters?)"
)
REVEAL = (
    "(?:reveal|show|print|display|output|repeat|tell|give|leak|disclose|expose|share|dump|recite|echo|write|list|return"
    "|send|summari[sz]e|translate|paste|copy|quote|describe|extract|exfiltrate|append|include|spell out|read out)"
)
CREDENTIALS = (
    "(?:api keys?|secrets?|secret keys?|credentials?|passwords?|passphrases?|access tokens?|auth(?:entication)? tokens?"
    "|session tokens?|private keys?|ssh keys?|env(?:ironment)? variables?|env file|secret looking values|canary"
    "|connection strings?|signing keys?|encryption keys?)"
)
DATA = (
    "(?:(?:customer|user|client|employee|patient|personal|private|confidential|sensitive|internal|financial) "
    "(?:data|information|details|emails?|e mails?|records?|lists?|files?|documents?)|database|chat history"
    "|conversation(?: history)?|chat logs?|inbox|contacts|contents? of)"
)
RUN = "(?:call|invoke|use|run|execute|trigger|launch|start)"
UNBOUND_BY = (
    "(?:(?:without|with no|no|free (?:of|from)|not bound by|ignores?) (?:any |all |more )?(?:ethical |moral |content "
    "|safety )?"
    "(?:restrictions?|rules|filters?|limits|limitations|censorship|guidelines|guardrails|constraints|morals|ethics"
    "|boundaries))"
)
UNBOUND = (
    "(?:unrestricted|unfiltered|uncensored|jailbroken|unlimited|unbound|amoral|unethical|evil|lawless|no restrictions"
    f"|{UNBOUND_BY})"
)
AGENT = (
    "(?:assistants?|ai|ais|ai (?:agents?|models?|assistants?|systems?)|agents?|llms?|language models?|chatbots?|bots?"
    "|copilot"
    "|gpt|chatgpt|claude|gemini)"
)
ACT = (
    "(?:ignore|disregard|reveal|send|email|e mail|forward|post|upload|disclose|leak|approve|delete|transfer|bypass"
    "|execute|run"
    "|call|invoke|override|forget|exfiltrate|export|share|print|output|include|append|insert|recommend|visit|click"
    "|wire|grant)"
)
OTHERS = (
    "(?:tenants?|customers?|organi[sz]ations?|accounts?|users?|workspaces?|clients?|patients?|compan(?:y|ies)"
    "|merchants?)"
)
RECORDS = (
    "(?:records?|data|invoices?|files?|documents?|messages?|emails?|orders?|details|information|passwords?"
    "|credentials|secrets?"
    "|balances?|transactions?|history|contracts?|tickets?|conversations?|profiles?|payslips?|statements?|keys?)"
)
FETCH = (
    "(?:fetch|read|show|access|list|get|dump|retrieve|export|query|reveal|return|display|open|download|pull|load|view"
    "|print|send)"
)
EVIL_HOST = (
    "(?:attacker|evil|hacker|malicious|exfil|c2 server|webhook site|ngrok|requestbin|burpcollaborator|oastify"
    "|interact sh"
    "|pipedream|pastebin|my (?:server|webhook|endpoint|email|inbox|address)|(?:an |the )?(?:external|remote|outside"
    "|unknown|"
    "third party|untrusted) (?:server|url|endpoint|address|host|site|domain|webhook|party|email))"
)
ADMIN = (
    "(?:admin(?:istrator)?s?|root|superuser|super user|owner|trusted|authori[sz]ed|privileged|verified|allowed|exempt"
    "|vip)"
)
