"""Rules about what an injected text wants done: secrets shown, data sent out, tools misused."""

from execlave_server.policy.injection.rules import Rule, Severity
from execlave_server.policy.injection.words import (
    ADMIN,
    CREDENTIALS,
    DATA,
    EVIL_HOST,
    FETCH,
    OTHERS,
    RECORDS,
    RUN,
)

SECRETS = Rule(
    "secret_extraction",
    Severity.HIGH,
    "Asks for credentials, keys, or the planted markers that show whether a prompt leaked.",
    (
        (
            r"\b(?:reveal|leak|exfiltrate|dump|steal|harvest|extract|export|disclose|expose|print out|collect|print"
            "|output|display|append|include|hand over|give me|show me|tell me|email me|send me) "
            "(?:(?:all|any|every|the|your|our|its|their|stored|saved|hidden|internal|current|database|system|admin"
            f"|root|aws|cloud|user|users|production|server|other|secret|of|and) ){{0,6}}"
            rf"{CREDENTIALS} ?(?:and|to|in|from|for|you|stored|now|here|below|verbatim|at|via|with)\b"
        ),
        (
            r"\b(?:reveal|leak|exfiltrate|dump|steal|harvest|disclose|append|export|extract) (?:(?:all|any|every|the"
            f"|your|our|its|their|stored|hidden|internal|database|system|admin|user|secret|of) ){{0,5}}{CREDENTIALS}"
        ),
        r"\b(?:append|include|reveal|send|print|output|add|attach|embed) <4>(?:sys )?canary\b",
    ),
)
EXFILTRATION = Rule(
    "exfiltration",
    Severity.CRITICAL,
    "Sends data or secrets to a place the attacker reads.",
    (
        (
            r"\b(?:send|post|e ?mail|forward|upload|exfiltrate|leak|transmit|export|submit|deliver|copy|move|push"
            "|report|pass|bcc|cc|wire|mail|ship) "
            rf"(?:(?:\S+ ?){{0,4}} )?(?:{CREDENTIALS}|{DATA}|{RECORDS}|everything|it|them|results?|outputs?|answers?"
            f"|responses?|prompts?) <8>{EVIL_HOST}"
        ),
        (
            r"\b(?:send|post|e ?mail|forward|upload|exfiltrate|leak|transmit|submit|deliver|bcc"
            f"|mail) <4>{CREDENTIALS} <6>(?:to|at|via|into) (?:https?|www|[a-z0-9.-]+@)"
        ),
        (
            r"\b(?:send|post|forward|upload|exfiltrate|transmit|submit|encode|append|put) <6>(?:conversation"
            "|chat history|system prompt|context|api keys?|passwords?|secrets?|credentials|user data"
            "|personal data) <6>"
            r"(?:https?|url|query (?:string|parameter)|webhook|as (?:a )?(?:query|url|get) parameter)\b"
        ),
        (
            r"\bexfiltrat(?:e|ing) <4>(?:data|secrets?|records?|credentials|files?|database|everything|information"
            r"|contents?)\b"
        ),
        (
            r"\b(?:send|forward|e ?mail|post|upload|transmit) (?:all |the |any |your |our |every |these )*(?:customer"
            "|user|client|employee|confidential|secret|private|internal) (?:data|emails?|records?|secrets?|files?) "
            "(?:to )?(?:attacker|evil|hacker|external|outside)"
        ),
        r"\bsend (?:all |any |the |your |our )*secrets? (?:to|over)\b",
    ),
)
IMAGE = Rule(
    "image_exfiltration",
    Severity.CRITICAL,
    "An image or link whose address carries data out as soon as it is shown.",
    (
        (
            r"!\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s]{1,300}[?&](?:d|data|q|leak|exfil|secret|s|token|c|cookie"
            "|payload|content|msg|message|prompt|p|history|info|log|key|text|t|x)="
        ),
        r"!?\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s]{1,300}(?:[{\[<$]|%7b)\s?[a-z_ ]{1,40}(?:[}\]>]|%7d)",
        (
            r"!?\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s/]{0,60}(?:attacker|evil|hacker|malicious|exfil"
            r"|webhook\.site|ngrok|requestbin|burpcollaborator|oastify|interact\.sh|pipedream)"
        ),
        (
            r"<img[^>]{1,100}src\s?=\s?[\"']?https?://[^>\s]{1,200}[?&](?:d|data|q|leak|exfil|secret|token|c|cookie"
            "|payload|content|msg|prompt|history)="
        ),
        (
            r"\b(?:render|load|display|include|insert|add|show|embed|output) <4>(?:image|img|picture|pixel|link"
            "|markdown) <10>(?:secrets?|conversation|prompt|chat history|user data|api keys?|passwords?"
            r"|summary of)\b"
        ),
    ),
    compact=False,
)
TOOLS = Rule(
    "tool_abuse",
    Severity.HIGH,
    "Drives tools past their checks: approvals skipped, everything deleted, protections switched off.",
    (
        (
            rf"\b{RUN} (?:the )?(?:tool |function )?(?:read|get|fetch|dump|list|export|steal)_?(?:secrets?"
            r"|credentials?|passwords?|tokens?|env|keys?)\b"
        ),
        (
            rf"\b{RUN} <3>(?:execute_?command|run_?shell|shell_?exec|delete_?(?:record|file|user|all|database)s?"
            "|drop_?table|transfer_?funds|send_?(?:email|money)|http_?request|read_?secrets?|exec|eval) <3>(?:and"
            "|to|with|now|on|without) "
            "<6>(?:export|secrets?|credentials?|all|every|attacker|external|without|reveal|bypass|delete|password"
            r"|approval|confirmation|exfiltrate|database)\b"
        ),
        (
            r"\b(?:approve|accept|authori[sz]e|confirm|allow|grant) (?:all|every|the next|any"
            "|each)(?: of)?(?: the)? (?:pending |future |subsequent |remaining |other |outstanding )?(?:tool"
            "|function|api|transactions?|transfers?|payments?|permission|refunds?) ?(?:calls?|requests?|actions?"
            r"|executions?|invocations?|uses?)?\b"
        ),
        (
            r"\b(?:bypass|skip|circumvent|evade|ignore|disable|avoid|override|defeat|turn off|suppress|work around"
            "|get around) (?:the |all |any |human |manual |required |normal |usual |your |every |security "
            "|safety )*(?:approvals?|confirmations?|authori[sz]ation|permission checks?|human review"
            "|verification steps?|policy checks?|polic(?:y|ies)|safety checks?|security checks?|access controls?"
            r"|guardrails?|sandbox|content filters?|safety filters?|rate limits?|audit(?:ing| log| logs| trail)?)\b"
        ),
        (
            rf"\b(?:{RUN}|delete|send|transfer|approve|pay|wire|refund|deploy|install|issue|purchase|proceed|continue"
            "|grant) <8>without (?:any |further |the |user |human |asking for |waiting for |requiring |getting "
            "|explicit |prior )*(?:approval|confirmation|authori[sz]ation|permission|consent|human review"
            r"|verification|asking|checks?|review)\b"
        ),
        (
            r"\b(?:delete|drop|erase|wipe|destroy|truncate|purge|remove) (?:all|every|the entire|each|all of the"
            r"|the whole|everything in)(?: the| of the| my| our| your)? (?:\w+ )?(?:records?|files?|users?|data"
            "|databases?|tables?|rows|backups?|accounts?|logs?|repositor(?:y|ies)|branches|emails|customers?|system"
            r"|disk|drive|directory|production)\b"
        ),
        (
            r"\b(?:disable|turn off|stop|kill|remove|uninstall|deactivate) (?:the |all |any |your ){0,3}(?:(?:all"
            "|audit|security|safety) (?:logging|monitoring|logs?|alerts?|checks?|controls?|filters?|trail)|auditing"
            r"|guardrails?|firewall|antivirus|mfa|2fa|two factor|kill switch)\b"
        ),
        (
            r"\b(?:transfer|wire|send) (?:all |the |any |\S+ )*(?:funds?|money|balance|bitcoin|btc|eth"
            r"|crypto) (?:\S+ ){0,4}to (?:attacker|this (?:account|address|wallet)|the following|my (?:wallet"
            r"|account)|account (?:number )?\S*[0-9]|iban|0x|wallet)"
        ),
        (
            r"\bapproval (?:is )?(?:not required|not needed|already (?:granted|given)|pre ?approved"
            r"|has (?:already )?been granted)\b <12>(?:run|execute|proceed|delete|send|transfer|call)\b"
        ),
    ),
)
SHELL = Rule(
    "shell_payload",
    Severity.HIGH,
    "A command that destroys, or that fetches and runs what a stranger wrote, or that reads credential files.",
    (
        r"\brm\s+-[a-z]*(?:rf|fr)[a-z]*\s+(?:--no-preserve-root\s+)?(?:/|~|\$home|\*)(?:[\s\"';&|*]|\z)",
        r"\b(?:curl|wget)\s[^\n|]{1,200}\|\s?(?:sudo\s+)?(?:ba|z|da)?sh\b",
        (
            r"\b(?:curl|wget|nc|ncat)\s[^\n]{0,200}(?:/etc/(?:passwd|shadow)|id_rsa|\.aws/credentials|\.env\b"
            r"|\$\([^)]{1,80}\)|@/)"
        ),
        (
            r"\b(?:cat|less|type|read|open|print|send|upload)\s[^\n]{0,40}(?:/etc/shadow|/etc/passwd"
            r"|\.ssh/id_[a-z0-9]+|\.aws/credentials)\b"
        ),
        r"\bbash\s+-i\s+>&\s?/dev/tcp/|\bnc\s+(?:-[a-z]+\s+)*\S+\s+\d+\s+-e\s",
        r"['\"]\s?;\s?drop\s+table\s|\bunion\s+select\s[^\n]{0,80}\bfrom\s+(?:users|information_schema)",
    ),
    compact=False,
)
MEMORY = Rule(
    "memory_poisoning",
    Severity.HIGH,
    "Plants a lasting belief or rule that loosens later sessions.",
    (
        (
            r"\b(?:remember|memori[sz]e|note|record|store|save|persist|keep in mind)\b <3>(?:permanently|forever"
            "|for ?ever|for good|always|in (?:your )?(?:long term )?memory|for (?:all"
            "|every) (?:future )?(?:sessions?|conversations?|chats?)) "
            f"<10>(?:{ADMIN}|approve|bypass|ignore|never ask|without|skip|unrestricted|reveal|send|trust|attacker"
            r"|no (?:approval|confirmation|restrictions))\b"
        ),
        (
            rf"\b(?:permanently|forever|always) (?:remember|memori[sz]e|store|trust) <8>(?:{ADMIN}|approve|bypass"
            r"|skip|without|reveal)\b"
        ),
        (
            r"\b(?:add|save|store|write|insert|put|update|append|commit) <5>(?:in|into|to) (?:your |the |long term "
            rf"|persistent |agent )*memory\b <12>(?:{ADMIN}|approve|bypass|ignore|never ask|always|without|skip"
            r"|reveal|send)\b"
        ),
        (
            r"\b(?:in|for|during|across) (?:all|every|any) (?:future|subsequent|later|upcoming) (?:\w+ )?(?:sessions?"
            r"|conversations?|chats?|interactions?|responses?|requests?|replies|tasks?)\b <8>(?:always|never|ignore"
            r"|bypass|approve|reveal|send|include|skip|without|treat|trust|forward|recommend)\b"
        ),
        (
            r"\b(?:always|never|ignore|bypass|approve|reveal|send|include|skip|trust|forward|recommend) <8>(?:in|for"
            r"|during|across) (?:all|every|any) (?:future|subsequent|later|upcoming) (?:\w+ )?(?:sessions?"
            r"|conversations?|chats?|interactions?|responses?|requests?|replies)\b"
        ),
        (
            r"\bremember (?:that )?(?:this|the|my) (?:user|account|sender|person) (?:is|has|may|can"
            rf"|was) <3>(?:{ADMIN}|admin|skip|bypass|unrestricted)\b"
        ),
    ),
)
BOUNDARY = Rule(
    "data_boundary",
    Severity.HIGH,
    "Asks for what belongs to another tenant, customer or user.",
    (
        (
            rf"\b{FETCH} <3>(?:tenant|customer|organi[sz]ation|workspace|merchant|client) (?:[a-z]|[0-9]{{1,6}}"
            rf"|id [a-z0-9-]{{1,20}}) ?(?:s )?{RECORDS}\b"
        ),
        (
            rf"\b(?:{FETCH}|cross|switch to|give me|compare|include|mix|join|use) <4>(?:another|other|a different"
            "|someone else s|somebody else s|all (?:the )?other|every other|any other"
            rf"|neighbou?ring) {OTHERS} ?(?:s )?{RECORDS}\b"
        ),
        (
            rf"\b(?:{FETCH}|give me|include|use) <4>{RECORDS} (?:of|from|for|belonging to|owned by) (?:another|other"
            rf"|a different|all (?:the )?other|every other|any other|neighbou?ring|someone else s) {OTHERS}\b"
        ),
        (
            r"\b(?:as|acting as|from|logged in as|for) (?:tenant|customer|organi[sz]ation|workspace|account"
            rf"|client) [a-z0-9]{{1,12}}\b <1>{FETCH} <2>(?:tenant|customer|organi[sz]ation|workspace|account"
            rf"|client) [a-z0-9]{{1,12}}\b"
        ),
        (
            r"\b(?:ignore|bypass|cross|disregard|remove|break|disable|escape) (?:the |all |any )*(?:tenant|customer"
            "|organi[sz]ation|workspace|data|trust|access) (?:boundar(?:y|ies)|isolation|scop(?:e|ing)|filters?"
            r"|separation|restrictions?|checks?)\b"
        ),
    ),
)

ACT_RULES = (SECRETS, EXFILTRATION, IMAGE, TOOLS, SHELL, MEMORY, BOUNDARY)
