"""What an injected instruction says, in English: one rule for each thing it tries.

How the patterns are written: they see folded text (`disguises.fold_text`), so lower case without accents. A blank stands
for any run of blanks and signs, `<n>` for up to n words and the blank behind each. The same pattern, without blanks,
reads text whose words were run together, spaced out or written in leet.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How sure a rule's finding means harm, and how much."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named reason to distrust a text. `compact` says that its patterns also mean it without word boundaries."""

    id: str
    severity: Severity
    why: str
    patterns: tuple[str, ...]
    compact: bool = True


_IGNORE = (
    "(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|discard(?:ing)?|neglect|override|overriding|overrule|bypass(?:ing)?|abandon"
    "|disobey|violat(?:e|ing)|circumvent(?:ing)?|overwrite|supersede|set aside|throw (?:out|away)|pay no attention to|put aside"
    "|(?:do not|don t|stop|no longer|quit) (?:follow|obey|comply with|adhere to|listen to|respect)(?:ing)?|cease following)"
)
_EARLIER = (
    "(?:previous(?:ly)?|prior|preceding|earlier|above|foregoing|original|initial|existing|system|developer|safety|built in"
    "|all|any|every|your|its)"
)
_WHICH = (
    f"(?:(?:{_EARLIER}|of|the|these|those|this|that|other|and|or|given|stated|hidden|internal|default|content|security"
    "|ethical|moral|strict|current|single|such|or all|openai s?|anthropic s?|company) )"
)
_ORDERS = (
    "(?:instructions?|directions|directives?|rules?|rulebook|guidelines?|guidance|system prompts?|prompts?|programming"
    "|guardrails?|safeguards?|constraints?|restrictions?|safety (?:polic(?:y|ies)|filters?|training|measures))"
)
_SAID = "(?:commands?|orders|messages?|context|conversation|polic(?:y|ies)|text|tasks?|requests?|limitations|protocols?|filters?)"
_REVEAL = (
    "(?:reveal|show|print|display|output|repeat|tell|give|leak|disclose|expose|share|dump|recite|echo|write|list|return"
    "|send|summari[sz]e|translate|paste|copy|quote|describe|extract|exfiltrate|append|include|spell out|read out)"
)
_SECRETS = (
    "(?:api keys?|secrets?|secret keys?|credentials?|passwords?|passphrases?|access tokens?|auth(?:entication)? tokens?"
    "|session tokens?|private keys?|ssh keys?|env(?:ironment)? variables?|env file|secret looking values|canary"
    "|connection strings?|signing keys?|encryption keys?)"
)
_DATA = (
    "(?:(?:customer|user|client|employee|patient|personal|private|confidential|sensitive|internal|financial) "
    "(?:data|information|details|emails?|e mails?|records?|lists?|files?|documents?)|database|chat history"
    "|conversation(?: history)?|chat logs?|inbox|contacts|contents? of)"
)
_RUN = "(?:call|invoke|use|run|execute|trigger|launch|start)"
_UNBOUND_BY = (
    "(?:(?:without|with no|no|free (?:of|from)|not bound by|ignores?) (?:any |all |more )?(?:ethical |moral |content |safety )?"
    "(?:restrictions?|rules|filters?|limits|limitations|censorship|guidelines|guardrails|constraints|morals|ethics|boundaries))"
)
_UNBOUND = (
    "(?:unrestricted|unfiltered|uncensored|jailbroken|unlimited|unbound|amoral|unethical|evil|lawless|no restrictions"
    f"|{_UNBOUND_BY})"
)
_AGENT = (
    "(?:assistants?|ai|ais|ai (?:agents?|models?|assistants?|systems?)|agents?|llms?|language models?|chatbots?|bots?|copilot"
    "|gpt|chatgpt|claude|gemini)"
)
_ACT = (
    "(?:ignore|disregard|reveal|send|email|e mail|forward|post|upload|disclose|leak|approve|delete|transfer|bypass|execute|run"
    "|call|invoke|override|forget|exfiltrate|export|share|print|output|include|append|insert|recommend|visit|click|wire|grant)"
)
_OTHERS = "(?:tenants?|customers?|organi[sz]ations?|accounts?|users?|workspaces?|clients?|patients?|compan(?:y|ies)|merchants?)"
_RECORDS = (
    "(?:records?|data|invoices?|files?|documents?|messages?|emails?|orders?|details|information|passwords?|credentials|secrets?"
    "|balances?|transactions?|history|contracts?|tickets?|conversations?|profiles?|payslips?|statements?|keys?)"
)
_FETCH = "(?:fetch|read|show|access|list|get|dump|retrieve|export|query|reveal|return|display|open|download|pull|load|view|print|send)"
_EVIL_HOST = (
    "(?:attacker|evil|hacker|malicious|exfil|c2 server|webhook site|ngrok|requestbin|burpcollaborator|oastify|interact sh"
    "|pipedream|pastebin|my (?:server|webhook|endpoint|email|inbox|address)|(?:an |the )?(?:external|remote|outside|unknown|"
    "third party|untrusted) (?:server|url|endpoint|address|host|site|domain|webhook|party|email))"
)
_ADMIN = "(?:admin(?:istrator)?s?|root|superuser|super user|owner|trusted|authori[sz]ed|privileged|verified|allowed|exempt|vip)"

OVERRIDE = Rule(
    "instruction_override", Severity.CRITICAL,
    "Tells the model to drop the instructions it was given.",
    (
        rf"\b{_IGNORE} (?:absolutely |completely |entirely |literally )?{_WHICH}{{0,5}}{_EARLIER} {_WHICH}{{0,3}}<1>{_ORDERS}\b",
        rf"\b{_IGNORE} (?:absolutely )?(?:all|any|every|each)(?: of| one of)? (?:the |your |these |those )?{_EARLIER} {_WHICH}{{0,2}}{_SAID}\b",
        rf"\b{_IGNORE} (?:the |your |those |these )?(?:{_ORDERS}|{_SAID}) <3>(?:above|before|earlier|previously|so far|until now"
        r"|(?:you|that) (?:were|was|have been|ve been|had been|got|received))\b",
        rf"\b{_IGNORE} (?:everything|anything|all|whatever|what) <4>(?:above|before|previously|prior|earlier|until now"
        r"|you (?:were|have been|ve been|had been|are) (?:told|given|instructed|taught|trained))\b",
        rf"\b(?:your|the) (?:new|real|true|actual|only|updated) (?:instructions?|directive|task|goal|objective|orders|rules|mission) "
        r"(?:is|are|now|will be)\b",
        r"\b(?:new|updated|revised) (?:system )?(?:instructions?|directives?|orders) (?:override|replace|supersede|follow now)",
        r"\b(?:previous|prior|earlier|above|all) (?:instructions?|rules|directives?|guidelines|prompts?) (?:are|is|were|have been|no longer) "
        r"(?:now |hereby )?(?:void|invalid|obsolete|cancell?ed|superseded|overridden|replaced|revoked|suspended|apply|lifted|ignored)\b",
        rf"\b(?:assistants?|ai|agents?|llms?|models?|chatbots?|bots?|you) (?:must|should|shall|has to|have to|needs? to|will|can) (?:now )?{_IGNORE} "
        rf"{_WHICH}{{0,3}}(?:{_ORDERS}|{_SAID})\b",
    ),
)  # fmt: skip
ROLE = Rule(
    "role_change", Severity.HIGH,
    "Gives the model another role, or a mode, in which its rules are said not to hold.",
    (
        rf"\b(?:you are|you re|act|acting|behave|pretend|imagine|roleplay|role play|respond|answer|simulate|become|be|play) "
        rf"<8>{_UNBOUND}\b",
        r"\b(?:do|can do) anything now\b",
        r"\b(?:enable|enter|activate|switch (?:in)?to|turn on|go into|engage|initiate|unlock|you are (?:now )?in|boot into|start) "
        r"<2>(?:developer|debug|god|dan|jailbreak|jailbroken|admin|root|sudo|unrestricted|maintenance|chaos|dev|unsafe|evil|unfiltered) mode\b",
        r"\b(?:developer|god|jailbreak|dan|unrestricted|unfiltered|sudo) mode (?:is )?(?:now )?(?:enabled|activated|engaged|on|active|unlocked"
        rf"|{_UNBOUND})\b",
        r"\byou (?:are|re) (?:no longer|not) (?:bound|restricted|limited|constrained|governed|subject)\b",
        rf"\byou (?:have|now have) (?:no restrictions|{_UNBOUND_BY})\b",
        r"\byou (?:are|re) (?:now |going to (?:be|act as) |going to pretend to be )(?:dan|stan|dude|aim|an? evil|an? hacker|an? jailbroken|root|the admin"
        r"|an admin|developermode|in charge of yourself)\b",
        r"\b(?:break|breaking|stay out of|out of) (?:your )?(?:character|programming|rules) (?:and|to) <3>(?:answer|reveal|tell|say|do)\b",
        r"\b(?:evil|opposite|unfiltered|jailbroken) (?:twin|version of yourself|version of you|persona|alter ego)\b",
        r"\b(?:two|both|second|dual) (?:responses?|answers?|outputs?)\b <12>(?:jailbreak|dan|unfiltered|developer mode)\b",
    ),
)  # fmt: skip
PROMPT = Rule(
    "prompt_extraction", Severity.HIGH,
    "Asks for the system prompt or other hidden instructions.",
    (
        rf"\b{_REVEAL} <5>(?:system|hidden|initial|original|secret|internal|developer|base|pre|confidential|private|core|full|exact|your) "
        r"(?:system |hidden |own |initial )?(?:prompts?|instructions?|messages? (?:verbatim|above)|guidelines|directives?|preamble|system message"
        r"|configuration|rules verbatim|programming)\b",
        r"\bwhat (?:is|are|was|were|does|do) (?:in )?(?:your|the) (?:\bexact |full |complete |entire |current )?(?:system|initial|original|hidden|first|secret|internal|developer|starting) "
        r"(?:prompts?|instructions?|messages?|guidelines|directives?|rules)\b",
        r"\bwhat (?:were|was|instructions were|rules were) you <2>(?:told|instructed|given|prompted|programmed) <4>(?:before|above|beginning|start|first|initially|this conversation|to do)\b",
        r"\b(?:repeat|print|output|copy|recite|echo|return|write|give me|show me|tell me|summari[sz]e) <3>(?:everything|all|the (?:text|words|content|lines|message|sentences?)|anything|words|text) "
        r"<4>(?:above|before this|preceding|prior to this)\b",
        r"\b(?:begin|start|starting|beginning) (?:with|from) <2>(?:you are (?:a|an|chatgpt|claude|the)\b|the (?:first|very first) (?:word|line|sentence) of)",
        r"\b(?:ignore|skip) <4>(?:and|then) <2>(?:print|reveal|repeat|output|show) <3>(?:prompts?|instructions?)\b",
        r"\b(?:system prompt|hidden instructions|initial instructions) (?:verbatim|word for word|in full|in a code block|as is|exactly as)\b",
    ),
)  # fmt: skip
SECRETS = Rule(
    "secret_extraction", Severity.HIGH,
    "Asks for credentials, keys, or the planted markers that show whether a prompt leaked.",
    (
        rf"\b(?:reveal|leak|exfiltrate|dump|steal|harvest|extract|export|disclose|expose|print out|collect|print|output|display|append|include|hand over|give me|show me|tell me|email me|send me) "
        rf"(?:(?:all|any|every|the|your|our|its|their|stored|saved|hidden|internal|current|database|system|admin|root|aws|cloud|user|users|production|server|other|secret|of|and) ){{0,6}}"
        rf"{_SECRETS} ?(?:and|to|in|from|for|you|stored|now|here|below|verbatim|at|via|with)\b",
        rf"\b(?:reveal|leak|exfiltrate|dump|steal|harvest|disclose|append|export|extract) (?:(?:all|any|every|the|your|our|its|their|stored|hidden|internal|database|system|admin|user|secret|of) ){{0,5}}{_SECRETS}",
        r"\b(?:append|include|reveal|send|print|output|add|attach|embed) <4>(?:sys )?canary\b",
    ),
)  # fmt: skip
EXFILTRATION = Rule(
    "exfiltration", Severity.CRITICAL,
    "Sends data or secrets to a place the attacker reads.",
    (
        rf"\b(?:send|post|e ?mail|forward|upload|exfiltrate|leak|transmit|export|submit|deliver|copy|move|push|report|pass|bcc|cc|wire|mail|ship) "
        rf"(?:(?:\S+ ?){{0,4}} )?(?:{_SECRETS}|{_DATA}|{_RECORDS}|everything|it|them|results?|outputs?|answers?|responses?|prompts?) <8>{_EVIL_HOST}",
        rf"\b(?:send|post|e ?mail|forward|upload|exfiltrate|leak|transmit|submit|deliver|bcc|mail) <4>{_SECRETS} <6>(?:to|at|via|into) (?:https?|www|[a-z0-9.-]+@)",
        r"\b(?:send|post|forward|upload|exfiltrate|transmit|submit|encode|append|put) <6>(?:conversation|chat history|system prompt|context|api keys?|passwords?|secrets?|credentials|user data|personal data) <6>"
        r"(?:https?|url|query (?:string|parameter)|webhook|as (?:a )?(?:query|url|get) parameter)\b",
        r"\bexfiltrat(?:e|ing) <4>(?:data|secrets?|records?|credentials|files?|database|everything|information|contents?)\b",
        r"\b(?:send|forward|e ?mail|post|upload|transmit) (?:all |the |any |your |our |every |these )*(?:customer|user|client|employee|confidential|secret|private|internal) (?:data|emails?|records?|secrets?|files?) "
        r"(?:to )?(?:attacker|evil|hacker|external|outside)",
        r"\bsend (?:all |any |the |your |our )*secrets? (?:to|over)\b",
    ),
)  # fmt: skip
IMAGE = Rule(
    "image_exfiltration", Severity.CRITICAL,
    "An image or link whose address carries data out as soon as it is shown.",
    (
        r"!\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s]{1,300}[?&](?:d|data|q|leak|exfil|secret|s|token|c|cookie|payload|content|msg|message|prompt|p|history|info|log|key|text|t|x)=",
        r"!?\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s]{1,300}(?:[{\[<$]|%7b)\s?[a-z_ ]{1,40}(?:[}\]>]|%7d)",
        r"!?\[[^\]\n]{0,100}\]\s?\(\s?<?https?://[^)\s/]{0,60}(?:attacker|evil|hacker|malicious|exfil|webhook\.site|ngrok|requestbin|burpcollaborator|oastify|interact\.sh|pipedream)",
        r"<img[^>]{1,100}src\s?=\s?[\"']?https?://[^>\s]{1,200}[?&](?:d|data|q|leak|exfil|secret|token|c|cookie|payload|content|msg|prompt|history)=",
        r"\b(?:render|load|display|include|insert|add|show|embed|output) <4>(?:image|img|picture|pixel|link|markdown) <10>(?:secrets?|conversation|prompt|chat history|user data|api keys?|passwords?|summary of)\b",
    ),
    compact=False,
)  # fmt: skip
DELIMITER = Rule(
    "fake_delimiter", Severity.HIGH,
    "Imitates the marks that separate system, user and tool messages, so that data reads as orders.",
    (
        r"<\|\s?(?:im_start|im_end|im_sep|system|user|assistant|endoftext|endofprompt|end_of_turn|start_header_id|end_header_id|eot_id|begin_of_text|tool|fim_[a-z]+)\s?\|>",
        r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|<\\?/?s>\s?\[inst|\[/?system_?prompt\]|\[/?system\]",
        r"</?(?:system[ _-]?prompt|system[ _-]?(?:message|instructions?|override|reminder)|admin[ _-]?(?:instructions?|override)|user_input|untrusted(?:_content|_input)?|tool_result|tool_response|function_results?)>",
        r"(?:^|\n|[\]>*#-])\s?#{0,4}\s?(?:system|developer|admin(?:istrator)?|root)(?: (?:message|override|note|prompt|instructions?|update|notice|alert|command))?\s?[:>]\s?[*_]{0,2}\s?"
        r"(?:<3>)(?:you|ignore|reveal|approve|override|disregard|from now|execute|run|send|call|forget|must|do not|new|print|disable|grant|delete|email|forward|output|enable|transfer)\b",
        r"\b(?:end|start|begin|beginning) of (?:the )?(?:system|user|developer|trusted|untrusted|original)? ?(?:prompt|instructions?|user input|system message|untrusted (?:data|content))\b\s?[\]=>#*-]{1,}",
        r"[-=#*\[<]{2,}\s?(?:end|stop|begin|start|new) (?:of )?(?:the )?(?:system |user |new |all |previous )*(?:prompt|instructions?|input|context|document|data)\b",
        r"\b(?:system|admin|priority|emergency|developer|security) (?:override|bypass) (?:code|mode|command|activated|enabled|authori[sz]ed|protocol|in effect)\b",
        r"#{2,}\s?(?:new |updated |system |hidden |secret )+instructions?\b",
    ),
    compact=False,
)  # fmt: skip
HIDDEN = Rule(
    "hidden_text", Severity.HIGH,
    "Speaks to the model where a person does not see it: comments, invisible styles, alternative texts.",
    (
        rf"<!--[^>]{{0,200}}\b(?:{_AGENT}|system|model|instructions?)\b[^>]{{0,40}}\b(?:must|should|please|ignore|reveal|send|do not|{_ACT})\b",
        rf"<!--[^>]{{0,200}}\b(?:ignore|disregard|override) [^>]{{0,60}}\b(?:instructions?|rules|prompts?|polic)",
        r"(?:display\s?:\s?none|font-size\s?:\s?[01](?:px|pt|em)?\b|visibility\s?:\s?hidden|opacity\s?:\s?0(?:\.0\d*)?\b|color\s?:\s?(?:white|transparent|#fff(?:fff)?\b))"
        rf"[^<]{{0,120}}>[^<]{{0,200}}\b(?:{_AGENT}|ignore|instructions?|system prompt|disregard|reveal)\b",
        rf"\balt\s?=\s?[\"'][^\"']{{0,80}}\b(?:ignore|disregard|reveal|system prompt|instructions)\b",
    ),
    compact=False,
)  # fmt: skip
ADDRESS = Rule(
    "addresses_agent", Severity.HIGH,
    "Content that turns to the agent reading it and gives it orders.",
    (
        rf"\b(?:attention|note(?: to)?|dear|hey|hello|message (?:for|to)|instructions? (?:for|to)|notice to|important for|memo to|to) (?:all |any |the |every |whichever )?{_AGENT} <8>(?:you|ignore|must|should|please|reading|processing|do not|{_ACT})\b",
        rf"\bif you (?:are|re) (?:an? |the )?(?:ai|llm|language model|chatbot|bot|automated|large language)\b[^.\n]{{0,120}}\b{_ACT}\b",
        rf"\b(?:when|while|before|after) (?:you (?:are )?)?(?:summari[sz]ing|reading|processing|parsing|analy[sz]ing|summari[sz]e|read|process|indexing|translating) (?:this|the) (?:page|document|email|e mail|file|text|website|message|ticket|article|content)\b[^.\n]{{0,80}}\b{_ACT}\b",
        rf"\b{_ACT} [^.\n]{{1,60}} (?:when|while|before|after) (?:summari[sz]ing|reading|processing|parsing|analy[sz]ing|indexing) (?:this|the) (?:page|document|email|e mail|file|text|website|message|ticket|article|content)\b",
        rf"\b(?:the |this |any |all )(?:assistants?|ai|ai agents?|agents?|llms?|language models?|chatbots?|bot) (?:must|should|shall|has to|have to|needs? to|is (?:required|instructed) to|will) (?:now |also |immediately |always |first |then |silently )?{_ACT} ",
    ),
    compact=False,  # without blanks `ai` stands in too many words
)  # fmt: skip
CONCEALMENT = Rule(
    "concealment", Severity.HIGH,
    "Tells the model to keep what it does from the people it works for.",
    (
        r"\b(?:do not|don t|never|without|avoid|must not) (?:ever )?(?:tell|telling|mention|mentioning|inform|informing|alert|alerting|notify|notifying|reveal|revealing|disclose|disclosing|warn|warning|let) "
        r"(?:this |it |any of this |anything |about this )?(?:to )?(?:the )?(?:users?|humans?|operators?|administrators?|anyone|anybody|owner|security team|supervisors?|developers?|them know)\b",
        r"\b(?:hide|conceal|keep) (?:this|it|that|these|your actions?|the (?:change|action|transfer|instructions?)) (?:hidden |secret )?(?:from|secret from) (?:the |any )?(?:users?|humans?|operators?|admins?|logs?|owner|everyone|anyone)\b",
        r"\b(?:silently|secretly|covertly|quietly) (?:send|forward|e ?mail|upload|copy|delete|approve|transfer|exfiltrate|bcc|execute|run|install|disable|add|insert)\b",
    ),
)  # fmt: skip
TOOLS = Rule(
    "tool_abuse", Severity.HIGH,
    "Drives tools past their checks: approvals skipped, everything deleted, protections switched off.",
    (
        rf"\b{_RUN} (?:the )?(?:tool |function )?(?:read|get|fetch|dump|list|export|steal)_?(?:secrets?|credentials?|passwords?|tokens?|env|keys?)\b",
        rf"\b{_RUN} <3>(?:execute_?command|run_?shell|shell_?exec|delete_?(?:record|file|user|all|database)s?|drop_?table|transfer_?funds|send_?(?:email|money)|http_?request|read_?secrets?|exec|eval) <3>(?:and|to|with|now|on|without) "
        rf"<6>(?:export|secrets?|credentials?|all|every|attacker|external|without|reveal|bypass|delete|password|approval|confirmation|exfiltrate|database)\b",
        r"\b(?:approve|accept|authori[sz]e|confirm|allow|grant) (?:all|every|the next|any|each)(?: of)?(?: the)? (?:pending |future |subsequent |remaining |other |outstanding )?(?:tool|function|api|transactions?|transfers?|payments?|permission|refunds?) ?(?:calls?|requests?|actions?|executions?|invocations?|uses?)?\b",
        r"\b(?:bypass|skip|circumvent|evade|ignore|disable|avoid|override|defeat|turn off|suppress|work around|get around) (?:the |all |any |human |manual |required |normal |usual |your |every |security |safety )*(?:approvals?|confirmations?|authori[sz]ation|permission checks?|human review|verification steps?|policy checks?|polic(?:y|ies)|safety checks?|security checks?|access controls?|guardrails?|sandbox|content filters?|safety filters?|rate limits?|audit(?:ing| log| logs| trail)?)\b",
        rf"\b(?:{_RUN}|delete|send|transfer|approve|pay|wire|refund|deploy|install|issue|purchase|proceed|continue|grant) <8>without (?:any |further |the |user |human |asking for |waiting for |requiring |getting |explicit |prior )*(?:approval|confirmation|authori[sz]ation|permission|consent|human review|verification|asking|checks?|review)\b",
        r"\b(?:delete|drop|erase|wipe|destroy|truncate|purge|remove) (?:all|every|the entire|each|all of the|the whole|everything in)(?: the| of the| my| our| your)? (?:\w+ )?(?:records?|files?|users?|data|databases?|tables?|rows|backups?|accounts?|logs?|repositor(?:y|ies)|branches|emails|customers?|system|disk|drive|directory|production)\b",
        r"\b(?:disable|turn off|stop|kill|remove|uninstall|deactivate) (?:the |all |any |your ){0,3}(?:(?:all|audit|security|safety) (?:logging|monitoring|logs?|alerts?|checks?|controls?|filters?|trail)|auditing|guardrails?|firewall|antivirus|mfa|2fa|two factor|kill switch)\b",
        r"\b(?:transfer|wire|send) (?:all |the |any |\S+ )*(?:funds?|money|balance|bitcoin|btc|eth|crypto) (?:\S+ ){0,4}to (?:attacker|this (?:account|address|wallet)|the following|my (?:wallet|account)|account (?:number )?\S*[0-9]|iban|0x|wallet)",
        r"\bapproval (?:is )?(?:not required|not needed|already (?:granted|given)|pre ?approved|has (?:already )?been granted)\b <12>(?:run|execute|proceed|delete|send|transfer|call)\b",
    ),
)  # fmt: skip
SHELL = Rule(
    "shell_payload", Severity.HIGH,
    "A command that destroys, or that fetches and runs what a stranger wrote, or that reads credential files.",
    (
        r"\brm\s+-[a-z]*(?:rf|fr)[a-z]*\s+(?:--no-preserve-root\s+)?(?:/|~|\$home|\*)(?:[\s\"';&|*]|\z)",
        r"\b(?:curl|wget)\s[^\n|]{1,200}\|\s?(?:sudo\s+)?(?:ba|z|da)?sh\b",
        r"\b(?:curl|wget|nc|ncat)\s[^\n]{0,200}(?:/etc/(?:passwd|shadow)|id_rsa|\.aws/credentials|\.env\b|\$\([^)]{1,80}\)|@/)",
        r"\b(?:cat|less|type|read|open|print|send|upload)\s[^\n]{0,40}(?:/etc/shadow|/etc/passwd|\.ssh/id_[a-z0-9]+|\.aws/credentials)\b",
        r"\bbash\s+-i\s+>&\s?/dev/tcp/|\bnc\s+(?:-[a-z]+\s+)*\S+\s+\d+\s+-e\s",
        r"['\"]\s?;\s?drop\s+table\s|\bunion\s+select\s[^\n]{0,80}\bfrom\s+(?:users|information_schema)",
    ),
    compact=False,
)  # fmt: skip
AUTHORITY = Rule(
    "authority_claim", Severity.HIGH,
    "Claims a rank that nothing proves, to be obeyed.",
    (
        r"\bi (?:am|m) (?:now )?(?:your|the|an?|one of your) (?:\w+ )?(?:developers?|creators?|admin(?:istrator)?|system administrator|sysadmin|owner|ceo|cto|programmer|engineer at (?:openai|anthropic|google)|security (?:engineer|officer|researcher)|maintainer|root user|superuser|boss)\b[^\n]{0,80}"
        r"\b(?:override|authori[sz]e|grant|access|ignore|reveal|disable|must|show|give|unlock|bypass|obey|test(?:ing)?|debug|comply|permission|tell|need you)\b",
        r"\b(?:authori[sz]ed|approved|instructed|requested|mandated|cleared|signed off|sent) by (?:openai|anthropic|google|microsoft|your (?:developers?|creators?)|the (?:system )?(?:administrator|security team|ceo|developers?))\b[^\n]{0,80}"
        r"\b(?:ignore|override|reveal|disable|bypass|unlock|skip|grant|export|dump|without|send|show)\b",
        r"\bas (?:an?|the|your) (?:system )?(?:admin(?:istrator)?|developer|owner|root user|superuser|creator)[, ]+i (?:\w+ )?(?:authori[sz]e|order|command|instruct|grant|permit|demand|require|allow)\b",
        r"\b(?:treat|consider|regard|recogni[sz]e|accept|trust) (?:this|the|me|my|all|every|any) <4>(?:as |to be |is )(?:an? |the |from (?:an? |the )?)?(?:admin(?:istrator)?|root|superuser|trusted|authori[sz]ed|system (?:message|instruction|prompt)|privileged|developer)\b",
        rf"\b(?:user|account|requester|i) (?:is|am|has|have) (?:now |been )?(?:an? |granted |given )?(?:admin(?:istrator)?|root|superuser|full admin|unrestricted)(?: (?:access|rights|privileges?|permissions?))?\b <4>(?:and|so|therefore|reveal|bypass|skip|grant|always)\b",
    ),
)  # fmt: skip
MEMORY = Rule(
    "memory_poisoning", Severity.HIGH,
    "Plants a lasting belief or rule that loosens later sessions.",
    (
        rf"\b(?:remember|memori[sz]e|note|record|store|save|persist|keep in mind)\b <3>(?:permanently|forever|for ?ever|for good|always|in (?:your )?(?:long term )?memory|for (?:all|every) (?:future )?(?:sessions?|conversations?|chats?)) "
        rf"<10>(?:{_ADMIN}|approve|bypass|ignore|never ask|without|skip|unrestricted|reveal|send|trust|attacker|no (?:approval|confirmation|restrictions))\b",
        rf"\b(?:permanently|forever|always) (?:remember|memori[sz]e|store|trust) <8>(?:{_ADMIN}|approve|bypass|skip|without|reveal)\b",
        rf"\b(?:add|save|store|write|insert|put|update|append|commit) <5>(?:in|into|to) (?:your |the |long term |persistent |agent )*memory\b <12>(?:{_ADMIN}|approve|bypass|ignore|never ask|always|without|skip|reveal|send)\b",
        r"\b(?:in|for|during|across) (?:all|every|any) (?:future|subsequent|later|upcoming) (?:\w+ )?(?:sessions?|conversations?|chats?|interactions?|responses?|requests?|replies|tasks?)\b <8>(?:always|never|ignore|bypass|approve|reveal|send|include|skip|without|treat|trust|forward|recommend)\b",
        r"\b(?:always|never|ignore|bypass|approve|reveal|send|include|skip|trust|forward|recommend) <8>(?:in|for|during|across) (?:all|every|any) (?:future|subsequent|later|upcoming) (?:\w+ )?(?:sessions?|conversations?|chats?|interactions?|responses?|requests?|replies)\b",
        rf"\bremember (?:that )?(?:this|the|my) (?:user|account|sender|person) (?:is|has|may|can|was) <3>(?:{_ADMIN}|admin|skip|bypass|unrestricted)\b",
    ),
)  # fmt: skip
BOUNDARY = Rule(
    "data_boundary", Severity.HIGH,
    "Asks for what belongs to another tenant, customer or user.",
    (
        rf"\b{_FETCH} <3>(?:tenant|customer|organi[sz]ation|workspace|merchant|client) (?:[a-z]|[0-9]{{1,6}}|id [a-z0-9-]{{1,20}}) ?(?:s )?{_RECORDS}\b",
        rf"\b(?:{_FETCH}|cross|switch to|give me|compare|include|mix|join|use) <4>(?:another|other|a different|someone else s|somebody else s|all (?:the )?other|every other|any other|neighbou?ring) {_OTHERS} ?(?:s )?{_RECORDS}\b",
        rf"\b(?:{_FETCH}|give me|include|use) <4>{_RECORDS} (?:of|from|for|belonging to|owned by) (?:another|other|a different|all (?:the )?other|every other|any other|neighbou?ring|someone else s) {_OTHERS}\b",
        rf"\b(?:as|acting as|from|logged in as|for) (?:tenant|customer|organi[sz]ation|workspace|account|client) [a-z0-9]{{1,12}}\b <1>{_FETCH} <2>(?:tenant|customer|organi[sz]ation|workspace|account|client) [a-z0-9]{{1,12}}\b",
        rf"\b(?:ignore|bypass|cross|disregard|remove|break|disable|escape) (?:the |all |any )*(?:tenant|customer|organi[sz]ation|workspace|data|trust|access) (?:boundar(?:y|ies)|isolation|scop(?:e|ing)|filters?|separation|restrictions?|checks?)\b",
    ),
)  # fmt: skip
REFUSAL = Rule(
    "refusal_suppression", Severity.MEDIUM,
    "Forbids the model to refuse, warn or add caveats.",
    (
        r"\b(?:you )?(?:can ?not|can t|must not|may not|must never|will never|never|are not allowed to|do not|don t) (?:ever )?(?:refuse|say no|decline|reject) (?:any|to|this|my|the|a|anything|requests?|me)\b",
        r"\b(?:begin|start) (?:your |the |every |each )?(?:response|reply|answer|message|output) with <2>(?:sure|absolutely|of course|yes|certainly|okay)\b",
        r"\b(?:do not|don t|never|without) <2>(?:disclaimers?|moral(?:izing|ising)?|ethical (?:warnings?|considerations?)|apologi[sz](?:e|ing)|safety warnings?) <4>(?:answer|just|only|comply|respond|and|refus)",
        r"\b(?:comply with|obey|follow) (?:all|every|any) (?:of )?(?:my |the user s |user )?(?:commands?|orders?|requests?|instructions?) (?:no matter|regardless|without|unconditionally|blindly)\b",
    ),
)  # fmt: skip
PAYLOAD = Rule(
    "encoded_order", Severity.HIGH,
    "Asks the model to decode something and do what it says.",
    (
        r"\b(?:decode|decrypt|deobfuscate|unscramble|base64 decode|translate|reverse) [^.\n]{0,80}\b(?:and|then) (?:then )?(?:execute|follow|run|obey|do|perform|carry out|comply with|act on|apply) (?:it|them|the (?:instructions?|result|output|command|decoded)|what|whatever|those|that)\b",
        r"\b(?:execute|follow|run|obey|perform|carry out) <4>(?:base64|rot13|hex|encoded|encrypted|decoded|obfuscated) <2>(?:instructions?|commands?|message|text|payload|string|prompt)\b",
    ),
)  # fmt: skip

ENGLISH_RULES = (
    OVERRIDE, ROLE, PROMPT, SECRETS, EXFILTRATION, IMAGE, DELIMITER, HIDDEN, ADDRESS, CONCEALMENT, TOOLS, SHELL, AUTHORITY, MEMORY,
    BOUNDARY, REFUSAL, PAYLOAD,
)  # fmt: skip
