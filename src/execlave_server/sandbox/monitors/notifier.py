"""Posts notifications to one webhook on this machine."""

import asyncio
from ipaddress import ip_address
from typing import Any

import aiohttp
from yarl import URL

from execlave_server.sandbox.limits import NOTIFICATIONS_WAITING_MAX, NOTIFY_TIMEOUT_S
from execlave_server.sandbox.monitors.held_monitor import Event


class Notifier:
    """The webhook and the posts under way. Without a webhook notifications are kept in the history alone."""

    def __init__(self) -> None:
        self.url: URL | None = None
        self._session: aiohttp.ClientSession | None = None
        self._posting: set[asyncio.Task[None]] = set()

    def tell(self, monitor_id: int, event: Event, link: str) -> None:
        """Post a notification; the event says what became of it."""
        if self.url is None:
            event.posted = "no webhook is set"
        elif len(self._posting) >= NOTIFICATIONS_WAITING_MAX:
            event.posted = "not posted: too many wait"
        else:
            event.posted = "posting"
            task = asyncio.create_task(self._post(self.url, event, describe(monitor_id, event, link)))
            self._posting.add(task)
            task.add_done_callback(self._posting.discard)

    async def _post(self, url: URL, event: Event, body: dict[str, Any]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=NOTIFY_TIMEOUT_S))
        try:
            async with self._session.post(url, json=body, allow_redirects=False) as answer:
                event.posted = f"posted, answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            event.posted = f"not posted: {type(error).__name__}"

    async def settle(self) -> None:
        """Wait for the posts under way."""
        await asyncio.gather(*self._posting)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._posting:
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def is_local(url: URL) -> bool:
    """Whether a webhook is on this machine: an http address that is loopback by its own digits, or `localhost`."""
    if url.scheme != "http" or url.host is None or url.user is not None:
        return False
    if url.host == "localhost":
        return True
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return False


def describe(monitor_id: int, event: Event, link: str) -> dict[str, Any]:
    """The body: Datadog's default payload of a webhook, and what a local test asks for beside it."""
    return {
        "title": event.title,
        "body": event.body,
        "date": event.at_us // 1_000,
        "event_type": "log_alert",
        "alert_transition": event.transition,
        "alert_status": event.after,
        "alert_scope": event.group,
        "alert_id": monitor_id,
        "value": event.value,
        "link": link,
        "handles": event.handles,
    }
