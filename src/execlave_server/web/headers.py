"""The headers of every page. The one place that says what a page may load and do: only what this server serves."""

from types import MappingProxyType

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

SECURITY_HEADERS = MappingProxyType({
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
})  # fmt: skip

PAGE_HEADERS = MappingProxyType({**SECURITY_HEADERS, "Cache-Control": "no-store"})
"""Of a page, which may show what only this person may see."""

STATIC_HEADERS = MappingProxyType({**SECURITY_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"})
"""Of a file whose address changes with its content."""
