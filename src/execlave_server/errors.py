"""Every error a person or a client can meet: what happened, why, and what to do, under one stable code."""

from collections.abc import Mapping


class ExeclaveServerError(Exception):
    """Root of the tree. `code` is stable and documented; the text says what, why and what to do."""

    code = "INTERNAL"
    status = 500
    retry_after_s: int | None = None

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        if not message.strip():
            raise ValueError("an error must say what happened")
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class BadRequestError(ExeclaveServerError):
    """The request cannot be understood as it stands."""

    code = "BAD_REQUEST"
    status = 400


class ValidationFailedError(BadRequestError):
    """The request is well formed but some of its values are not; `fields` names them."""

    code = "VALIDATION_ERROR"


class SearchSyntaxError(ValidationFailedError):
    """A search is not written as the search language says; `position` is where, in characters from 0."""

    code = "SEARCH_SYNTAX"

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(
            f"The search cannot be read: at character {position + 1}, {reason}.",
            fields={"query": reason, "position": str(position)},
        )
        self.position = position


class PayloadTooLargeError(ExeclaveServerError):
    """The body is over the documented limit."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class UnauthorizedError(ExeclaveServerError):
    """No valid API key came with the request."""

    code = "INVALID_API_KEY"
    status = 401


class RevokedKeyError(UnauthorizedError):
    """The API key was issued by this server and revoked since."""

    code = "API_KEY_REVOKED"


class BadSignatureError(UnauthorizedError):
    """The request carries an HMAC signature that does not verify."""

    code = "INVALID_SIGNATURE"


class SessionEndedError(UnauthorizedError):
    """The session is unknown, has expired or was ended, or its person was disabled."""

    code = "SESSION_ENDED"


class SignInFailedError(UnauthorizedError):
    """Email and password do not belong together here; the answer never says which of them is wrong."""

    code = "SIGN_IN_FAILED"


class TooManySignInsError(ExeclaveServerError):
    """Too many attempts to sign in, for this email or from this address."""

    code = "TOO_MANY_SIGN_INS"
    status = 429


class ForbiddenError(ExeclaveServerError):
    """Who calls is known, but the role of the API key or of the person does not allow this."""

    code = "FORBIDDEN"
    status = 403


class NotFoundError(ExeclaveServerError):
    """There is nothing here by that name in this organization."""

    code = "NOT_FOUND"
    status = 404


class ConflictError(ExeclaveServerError):
    """The request contradicts the present state."""

    code = "CONFLICT"
    status = 409


class UnavailableError(ExeclaveServerError):
    """The server cannot commit right now; the same request may succeed later."""

    code = "UNAVAILABLE"
    status = 503


class DiskLowError(UnavailableError):
    """The disk is so full that what is left is kept for decisions; traces are refused until there is space again."""

    code = "DISK_LOW"
    retry_after_s = 30


class SettingsError(ExeclaveServerError):
    """A setting is unknown, missing or wrong; the text names it."""

    code = "BAD_SETTING"


class DataDirError(ExeclaveServerError):
    """The data directory is missing, unreadable, in use, or of another version."""

    code = "DATA_DIR"


class BackupError(ExeclaveServerError):
    """A backup cannot be made, or a file is not one that can be restored."""

    code = "BACKUP"


class SecretError(ExeclaveServerError):
    """A sealed secret or its key-encryption key cannot be opened."""

    code = "SECRET"
