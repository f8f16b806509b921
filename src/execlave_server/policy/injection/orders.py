"""Rules about what an injected text says to the model: drop your orders, be another, obey me."""

from execlave_server.policy.injection.rules import Rule, Severity
from execlave_server.policy.injection.words import (
    ACT,
    AGENT,
    EARLIER,
    IGNORE,
    ORDERS,
    REVEAL,
    SAID,
    UNBOUND,
    UNBOUND_BY,
    WHICH,
)

OVERRIDE = Rule(
    "instruction_override",
    Severity.CRITICAL,
    "Tells the model to drop the instructions it was given.",
    (
        (
            rf"\b{IGNORE} (?:absolutely |completely |entirely |literally )?{WHICH}{{0,5}}{EARLIER} "
            rf"{WHICH}{{0,3}}<1>{ORDERS}\b"
        ),
        (
            rf"\b{IGNORE} (?:absolutely )?(?:all|any|every|each)(?: of| one of)? (?:the |your |these "
            rf"|those )?{EARLIER} {WHICH}{{0,2}}{SAID}\b"
        ),
        (
            rf"\b{IGNORE} (?:the |your |those |these )?(?:{ORDERS}|{SAID}) <3>(?:above|before|earlier|previously"
            "|so far|until now"
            r"|(?:you|that) (?:were|was|have been|ve been|had been|got|received))\b"
        ),
        (
            rf"\b{IGNORE} (?:everything|anything|all|whatever|what) <4>(?:above|before|previously|prior|earlier"
            r"|until now|you (?:were|have been|ve been|had been|are) (?:told|given|instructed|taught|trained))\b"
        ),
        (
            r"\b(?:your|the) (?:new|real|true|actual|only|updated) (?:instructions?|directive|task|goal|objective"
            "|orders|rules|mission) "
            r"(?:is|are|now|will be)\b"
        ),
        (
            r"\b(?:new|updated|revised) (?:system )?(?:instructions?|directives?|orders) (?:override|replace"
            "|supersede|follow now)"
        ),
        (
            r"\b(?:previous|prior|earlier|above|all) (?:instructions?|rules|directives?|guidelines|prompts?) (?:are"
            "|is|were|have been|no longer) "
            "(?:now |hereby )?(?:void|invalid|obsolete|cancell?ed|superseded|overridden|replaced|revoked|suspended"
            r"|apply|lifted|ignored)\b"
        ),
        (
            r"\b(?:assistants?|ai|agents?|llms?|models?|chatbots?|bots?|you) (?:must|should|shall|has to|have to"
            f"|needs? to|will|can) (?:now )?{IGNORE} "
            rf"{WHICH}{{0,3}}(?:{ORDERS}|{SAID})\b"
        ),
    ),
)
ROLE = Rule(
    "role_change",
    Severity.HIGH,
    "Gives the model another role, or a mode, in which its rules are said not to hold.",
    (
        (
            r"\b(?:you are|you re|act|acting|behave|pretend|imagine|roleplay|role play|respond|answer|simulate"
            "|become|be|play) "
            rf"<8>{UNBOUND}\b"
        ),
        r"\b(?:do|can do) anything now\b",
        (
            r"\b(?:enable|enter|activate|switch (?:in)?to|turn on|go into|engage|initiate|unlock|you are (?:now )?in"
            "|boot into|start) "
            "<2>(?:developer|debug|god|dan|jailbreak|jailbroken|admin|root|sudo|unrestricted|maintenance|chaos|dev"
            r"|unsafe|evil|unfiltered) mode\b"
        ),
        (
            r"\b(?:developer|god|jailbreak|dan|unrestricted|unfiltered|sudo) mode (?:is )?(?:now )?(?:enabled"
            "|activated|engaged|on|active|unlocked"
            rf"|{UNBOUND})\b"
        ),
        r"\byou (?:are|re) (?:no longer|not) (?:bound|restricted|limited|constrained|governed|subject)\b",
        rf"\byou (?:have|now have) (?:no restrictions|{UNBOUND_BY})\b",
        (
            r"\byou (?:are|re) (?:now |going to (?:be|act as) |going to pretend to be )(?:dan|stan|dude|aim|an? evil"
            "|an? hacker|an? jailbroken|root|the admin"
            r"|an admin|developermode|in charge of yourself)\b"
        ),
        (
            r"\b(?:break|breaking|stay out of|out of) (?:your )?(?:character|programming|rules) (?:and"
            r"|to) <3>(?:answer|reveal|tell|say|do)\b"
        ),
        r"\b(?:evil|opposite|unfiltered|jailbroken) (?:twin|version of yourself|version of you|persona|alter ego)\b",
        (
            r"\b(?:two|both|second|dual) (?:responses?|answers?|outputs?)\b <12>(?:jailbreak|dan|unfiltered"
            r"|developer mode)\b"
        ),
    ),
)
PROMPT = Rule(
    "prompt_extraction",
    Severity.HIGH,
    "Asks for the system prompt or other hidden instructions.",
    (
        (
            rf"\b{REVEAL} <5>(?:system|hidden|initial|original|secret|internal|developer|base|pre|confidential"
            "|private|core|full|exact|your) "
            "(?:system |hidden |own |initial )?(?:prompts?|instructions?|messages? (?:verbatim|above)|guidelines"
            "|directives?|preamble|system message"
            r"|configuration|rules verbatim|programming)\b"
        ),
        (
            r"\bwhat (?:is|are|was|were|does|do) (?:in )?(?:your|the) (?:\bexact |full |complete |entire "
            "|current )?(?:system|initial|original|hidden|first|secret|internal|developer|starting) "
            r"(?:prompts?|instructions?|messages?|guidelines|directives?|rules)\b"
        ),
        (
            r"\bwhat (?:were|was|instructions were|rules were) you <2>(?:told|instructed|given|prompted"
            r"|programmed) <4>(?:before|above|beginning|start|first|initially|this conversation|to do)\b"
        ),
        (
            r"\b(?:repeat|print|output|copy|recite|echo|return|write|give me|show me|tell me"
            "|summari[sz]e) <3>(?:everything|all|the (?:text|words|content|lines|message|sentences?)|anything|words"
            "|text) "
            r"<4>(?:above|before this|preceding|prior to this)\b"
        ),
        (
            r"\b(?:begin|start|starting|beginning) (?:with|from) <2>(?:you are (?:a|an|chatgpt|claude|the)\b"
            "|the (?:first|very first) (?:word|line|sentence) of)"
        ),
        r"\b(?:ignore|skip) <4>(?:and|then) <2>(?:print|reveal|repeat|output|show) <3>(?:prompts?|instructions?)\b",
        (
            r"\b(?:system prompt|hidden instructions|initial instructions) (?:verbatim|word for word|in full"
            r"|in a code block|as is|exactly as)\b"
        ),
    ),
)
DELIMITER = Rule(
    "fake_delimiter",
    Severity.HIGH,
    "Imitates the marks that separate system, user and tool messages, so that data reads as orders.",
    (
        (
            r"<\|\s?(?:im_start|im_end|im_sep|system|user|assistant|endoftext|endofprompt|end_of_turn|start_header_id"
            r"|end_header_id|eot_id|begin_of_text|tool|fim_[a-z]+)\s?\|>"
        ),
        r"\[/?inst\]|<</?sys>>|<(?:start|end)_of_turn>|<\\?/?s>\s?\[inst|\[/?system_?prompt\]|\[/?system\]",
        (
            "</?(?:system[ _-]?prompt|system[ _-]?(?:message|instructions?|override|reminder)"
            "|admin[ _-]?(?:instructions?|override)|user_input|untrusted(?:_content|_input)?|tool_result"
            "|tool_response|function_results?)>"
        ),
        (
            r"(?:^|\n|[\]>*#-])\s?#{0,4}\s?(?:system|developer|admin(?:istrator)?|root)(?: (?:message|override|note"
            r"|prompt|instructions?|update|notice|alert|command))?\s?[:>]\s?[*_]{0,2}\s?"
            "(?:<3>)(?:you|ignore|reveal|approve|override|disregard|from now|execute|run|send|call|forget|must"
            r"|do not|new|print|disable|grant|delete|email|forward|output|enable|transfer)\b"
        ),
        (
            r"\b(?:end|start|begin|beginning) of (?:the )?(?:system|user|developer|trusted|untrusted"
            "|original)? ?(?:prompt|instructions?|user input|system message|untrusted (?:data"
            r"|content))\b\s?[\]=>#*-]{1,}"
        ),
        (
            r"[-=#*\[<]{2,}\s?(?:end|stop|begin|start|new) (?:of )?(?:the )?(?:system |user |new |all "
            r"|previous )*(?:prompt|instructions?|input|context|document|data)\b"
        ),
        (
            r"\b(?:system|admin|priority|emergency|developer|security) (?:override|bypass) (?:code|mode|command"
            r"|activated|enabled|authori[sz]ed|protocol|in effect)\b"
        ),
        r"#{2,}\s?(?:new |updated |system |hidden |secret )+instructions?\b",
    ),
    compact=False,
)
HIDDEN = Rule(
    "hidden_text",
    Severity.HIGH,
    "Speaks to the model where a person does not see it: comments, invisible styles, alternative texts.",
    (
        (
            rf"<!--[^>]{{0,200}}\b(?:{AGENT}|system|model|instructions?)\b[^>]{{0,40}}\b(?:must|should|please|ignore"
            rf"|reveal|send|do not|{ACT})\b"
        ),
        r"<!--[^>]{0,200}\b(?:ignore|disregard|override) [^>]{0,60}\b(?:instructions?|rules|prompts?|polic)",
        (
            r"(?:display\s?:\s?none|font-size\s?:\s?[01](?:px|pt|em)?\b|visibility\s?:\s?hidden"
            r"|opacity\s?:\s?0(?:\.0\d*)?\b|color\s?:\s?(?:white|transparent|#fff(?:fff)?\b))"
            rf"[^<]{{0,120}}>[^<]{{0,200}}\b(?:{AGENT}|ignore|instructions?|system prompt|disregard|reveal)\b"
        ),
        r"\balt\s?=\s?[\"'][^\"']{0,80}\b(?:ignore|disregard|reveal|system prompt|instructions)\b",
    ),
    compact=False,
)
ADDRESS = Rule(
    "addresses_agent",
    Severity.HIGH,
    "Content that turns to the agent reading it and gives it orders.",
    (
        (
            r"\b(?:attention|note(?: to)?|dear|hey|hello|message (?:for|to)|instructions? (?:for|to)|notice to"
            f"|important for|memo to|to) (?:all |any |the |every |whichever )?{AGENT} <8>(?:you|ignore|must|should"
            rf"|please|reading|processing|do not|{ACT})\b"
        ),
        (
            r"\bif you (?:are|re) (?:an? |the )?(?:ai|llm|language model|chatbot|bot|automated"
            rf"|large language)\b[^.\n]{{0,120}}\b{ACT}\b"
        ),
        (
            r"\b(?:when|while|before|after) (?:you (?:are )?)?(?:summari[sz]ing|reading|processing|parsing"
            "|analy[sz]ing|summari[sz]e|read|process|indexing|translating) (?:this|the) (?:page|document|email"
            rf"|e mail|file|text|website|message|ticket|article|content)\b[^.\n]{{0,80}}\b{ACT}\b"
        ),
        (
            rf"\b{ACT} [^.\n]{{1,60}} (?:when|while|before|after) (?:summari[sz]ing|reading|processing|parsing"
            "|analy[sz]ing|indexing) (?:this|the) (?:page|document|email|e mail|file|text|website|message|ticket"
            r"|article|content)\b"
        ),
        (
            r"\b(?:the |this |any |all )(?:assistants?|ai|ai agents?|agents?|llms?|language models?|chatbots?"
            "|bot) (?:must|should|shall|has to|have to|needs? to|is (?:required|instructed) to|will) (?:now |also "
            f"|immediately |always |first |then |silently )?{ACT} "
        ),
    ),
    compact=False,  # without blanks `ai` stands in too many words
)
CONCEALMENT = Rule(
    "concealment",
    Severity.HIGH,
    "Tells the model to keep what it does from the people it works for.",
    (
        (
            r"\b(?:do not|don t|never|without|avoid|must not) (?:ever )?(?:tell|telling|mention|mentioning|inform"
            "|informing|alert|alerting|notify|notifying|reveal|revealing|disclose|disclosing|warn|warning|let) "
            "(?:this |it |any of this |anything |about this )?(?:to )?(?:the )?(?:users?|humans?|operators?"
            r"|administrators?|anyone|anybody|owner|security team|supervisors?|developers?|them know)\b"
        ),
        (
            r"\b(?:hide|conceal|keep) (?:this|it|that|these|your actions?|the (?:change|action|transfer"
            "|instructions?)) (?:hidden |secret )?(?:from|secret from) (?:the |any )?(?:users?|humans?|operators?"
            r"|admins?|logs?|owner|everyone|anyone)\b"
        ),
        (
            r"\b(?:silently|secretly|covertly|quietly) (?:send|forward|e ?mail|upload|copy|delete|approve|transfer"
            r"|exfiltrate|bcc|execute|run|install|disable|add|insert)\b"
        ),
    ),
)
AUTHORITY = Rule(
    "authority_claim",
    Severity.HIGH,
    "Claims a rank that nothing proves, to be obeyed.",
    (
        (
            r"\bi (?:am|m) (?:now )?(?:your|the|an?|one of your) (?:\w+ )?(?:developers?|creators?|admin(?:istrator)?"
            "|system administrator|sysadmin|owner|ceo|cto|programmer|engineer at (?:openai|anthropic|google)"
            r"|security (?:engineer|officer|researcher)|maintainer|root user|superuser|boss)\b[^\n]{0,80}"
            r"\b(?:override|authori[sz]e|grant|access|ignore|reveal|disable|must|show|give|unlock|bypass|obey"
            r"|test(?:ing)?|debug|comply|permission|tell|need you)\b"
        ),
        (
            r"\b(?:authori[sz]ed|approved|instructed|requested|mandated|cleared|signed off|sent) by (?:openai"
            "|anthropic|google|microsoft|your (?:developers?|creators?)|the (?:system )?(?:administrator"
            r"|security team|ceo|developers?))\b[^\n]{0,80}"
            r"\b(?:ignore|override|reveal|disable|bypass|unlock|skip|grant|export|dump|without|send|show)\b"
        ),
        (
            r"\bas (?:an?|the|your) (?:system )?(?:admin(?:istrator)?|developer|owner|root user|superuser"
            r"|creator)[, ]+i (?:\w+ )?(?:authori[sz]e|order|command|instruct|grant|permit|demand|require|allow)\b"
        ),
        (
            r"\b(?:treat|consider|regard|recogni[sz]e|accept|trust) (?:this|the|me|my|all|every|any) <4>(?:as |to be "
            "|is )(?:an? |the |from (?:an? |the )?)?(?:admin(?:istrator)?|root|superuser|trusted|authori[sz]ed"
            r"|system (?:message|instruction|prompt)|privileged|developer)\b"
        ),
        (
            r"\b(?:user|account|requester|i) (?:is|am|has|have) (?:now |been )?(?:an? |granted "
            "|given )?(?:admin(?:istrator)?|root|superuser|full admin|unrestricted)(?: (?:access|rights|privileges?"
            r"|permissions?))?\b <4>(?:and|so|therefore|reveal|bypass|skip|grant|always)\b"
        ),
    ),
)
REFUSAL = Rule(
    "refusal_suppression",
    Severity.MEDIUM,
    "Forbids the model to refuse, warn or add caveats.",
    (
        (
            r"\b(?:you )?(?:can ?not|can t|must not|may not|must never|will never|never|are not allowed to|do not"
            r"|don t) (?:ever )?(?:refuse|say no|decline|reject) (?:any|to|this|my|the|a|anything|requests?|me)\b"
        ),
        (
            r"\b(?:begin|start) (?:your |the |every |each )?(?:response|reply|answer|message|output) with <2>(?:sure"
            r"|absolutely|of course|yes|certainly|okay)\b"
        ),
        (
            r"\b(?:do not|don t|never|without) <2>(?:disclaimers?|moral(?:izing|ising)?|ethical (?:warnings?"
            "|considerations?)|apologi[sz](?:e|ing)|safety warnings?) <4>(?:answer|just|only|comply|respond|and"
            "|refus)"
        ),
        (
            r"\b(?:comply with|obey|follow) (?:all|every|any) (?:of )?(?:my |the user s |user )?(?:commands?|orders?"
            r"|requests?|instructions?) (?:no matter|regardless|without|unconditionally|blindly)\b"
        ),
    ),
)
PAYLOAD = Rule(
    "encoded_order",
    Severity.HIGH,
    "Asks the model to decode something and do what it says.",
    (
        (
            r"\b(?:decode|decrypt|deobfuscate|unscramble|base64 decode|translate|reverse) [^.\n]{0,80}\b(?:and"
            "|then) (?:then )?(?:execute|follow|run|obey|do|perform|carry out|comply with|act on|apply) (?:it|them"
            r"|the (?:instructions?|result|output|command|decoded)|what|whatever|those|that)\b"
        ),
        (
            r"\b(?:execute|follow|run|obey|perform|carry out) <4>(?:base64|rot13|hex|encoded|encrypted|decoded"
            r"|obfuscated) <2>(?:instructions?|commands?|message|text|payload|string|prompt)\b"
        ),
    ),
)

ORDER_RULES = (OVERRIDE, ROLE, PROMPT, DELIMITER, HIDDEN, ADDRESS, CONCEALMENT, AUTHORITY, REFUSAL, PAYLOAD)
