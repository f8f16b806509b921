"""Tells a phrase that is talked about from one that is said: security notes quote attacks without being any."""

import re2

from execlave_server.policy.injection.disguises import fold_pattern

QUOTE_CHARS_MAX = 100  # a longer quotation has room for more than the phrase
AROUND_CHARS = 160  # how far from the quotation its cues may stand
_QUOTES = "'\"`"
# One of these is enough; of the others, two different ones.
_STRONG = re2.compile(
    fold_pattern(
        r"\b(?:injections?|jailbreak(?:s|ing)?|attack(?:s|er|ers)?|adversarial|malicious|red[ -]team(?:ing|ers?)?"
        r"|owasp|fixtures?|literal string|paraphrases?|untrusted|detectors?|phrases? (?:like|such as)|prompts like"
        r"|ataques?|attaques?|angriff(?:e|en)?|angreifer|attacc(?:o|hi)|aanval(?:len)?|ataków|inyecci(?:ón|ones)"
        r"|injektion|iniezione)\b|атак|攻击|攻擊|攻撃|공격|注入|インジェクション"
    )
)
_WEAK = re2.compile(
    fold_pattern(
        r"\b(?:examples?|phrases?|patterns?|quot(?:e|es|ed|ing)|detection|tests?|regression|snapshot|documentation|docs"
        r"|readme|changelog|release notes?|lessons?|training|trainer|analysts?|learners?|students?|guidance|guardrails?"
        r"|defen[cs]es?|benchmarks?|corpor(?:a|us)|refus(?:e|es|ed|al)|classif(?:y|ies|ied)|risky|unsafe|review"
        r"|explain(?:s|er|ed)?|research|article|discuss(?:es|ing|ion)?|recogni[sz]e|rules?|sample|transcript|security"
        r"|report|evidence|shown|displays?|appears?|lists?|includes?|study|studies|workshop|slides?|quiz|policy"
        r"|ejemplos?|frases?|cita|manual|exemples?|cite|explique|beispiele?|zitiert|satz|bericht|exemplos?|esempi(?:o|i)"
        r"|voorbeeld)\b|пример|фраз|стать|例|文章|引用|表現|研修|资料|예시|문구"
    )
)
_TOLD_OF = re2.compile(  # attackers try to make the model ...
    r"\b(?:attack\w*|adversar\w+|injections?|jailbreak\w*|malicious)\b[^.;:!?\n]{0,60}\b(?:tell|ask|instruct|tr(?:y"
    "|ies)|attempt"
    r"|trick|convinc|caus|coerc|lead|get|make|say|like|such as|includ)\w*\b[^.;:!?\n]{0,40}\z"
)


def is_mention(text: str, start: int, end: int) -> bool:
    """Whether the stretch of a folded text is quoted, or told of, among words that say so. Constant time."""
    before = text[max(0, start - AROUND_CHARS) : start]
    if _TOLD_OF.search(before):
        return True
    opening = max(text.rfind(quote, max(0, start - QUOTE_CHARS_MAX), start) for quote in _QUOTES)
    closing = text.find(text[opening], end, opening + QUOTE_CHARS_MAX) if opening >= 0 else -1
    if closing < 0 or _is_value(text, opening, closing):
        return False
    around = f"{text[max(0, opening - AROUND_CHARS) : opening]} {text[closing + 1 : closing + AROUND_CHARS]}"
    return bool(_STRONG.search(around)) or len(set(_WEAK.findall(around))) > 1


def _is_value(text: str, opening: int, closing: int) -> bool:
    """Whether the quotation is a value in JSON or the like: there quotes mean nothing."""
    before, after = text[max(0, opening - 3) : opening].rstrip(), text[closing + 1 : closing + 4].lstrip()
    return before.endswith((":", ",", "[", "{", "\\")) and after.startswith((",", "]", "}", "\\"))
