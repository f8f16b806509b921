import re

_VARIABLE = re.compile(r"\{\{[^{}]*\}\}")
_HANDLE = re.compile(r"(?:^|(?<=[\s,;(]))@([A-Za-z0-9][\w+-]*(?:[.@][\w-]+)*)")


def find_handles(message: str) -> list[str]:
    """Whom a message is addressed to: its words that begin with @, such as @slack-sec, without what is a variable."""
    return list(dict.fromkeys(f"@{name}" for name in _HANDLE.findall(_VARIABLE.sub(" ", message))))
