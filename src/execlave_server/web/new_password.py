"""A new password as it is asked for everywhere: typed twice."""

from execlave_server.errors import ValidationFailedError
from execlave_server.model.secret import Secret
from execlave_server.web.exchange import Form


def typed_twice(form: Form) -> Secret:
    """The fields `password` and `again`. Raises ValidationFailedError where they differ."""
    password = form.raw("password")
    if form.raw("again") != password:
        raise ValidationFailedError(
            "The two passwords are not the same. Type the new one twice.", fields={"again": "is another password"}
        )
    return Secret(password)
