from . import Screen

SCREENS = (
    Screen("sign-in", "/sign-in", role=None),
    Screen("not-found", "/nothing"),
    Screen("profile", "/settings/profile"),
    Screen("sessions", "/settings/sessions"),
    Screen("menu", "/settings/profile", then=lambda page: page.locator(".person summary").click()),
)
