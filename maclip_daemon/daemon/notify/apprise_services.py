"""Services that Apprise knows: desktops, mail, webhooks, messengers. Their URLs hold secrets.

Apprise (the extra `notify`) gives each server four seconds to connect and four to answer; a URL may say
otherwise with `cto=` and `rto=`.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from maclip_daemon.errors import EnvironmentUnfit

INSTALL = "Notifications need Apprise: install it with `pip install 'maclip-daemon[notify]'`"


@dataclass(frozen=True)
class Notice:
    """One notification."""

    title: str
    body: str
    is_trouble: bool = False


class AppriseServices:
    """The services of the setting `notify.urls`. Apprise is loaded by the first use. Owned by one thread."""

    def __init__(self, urls: Sequence[SecretStr]) -> None:
        self._urls = urls
        self._services: list[tuple[str, Any]] | None = None

    def send(self, notice: Notice) -> list[str]:
        """Send a notification to all; return the names of the services that did not take it.

        A name tells no secret. Raises `EnvironmentUnfit` where Apprise is not installed.
        """
        apprise = _load()
        kind = apprise.NotifyType.WARNING if notice.is_trouble else apprise.NotifyType.SUCCESS
        return [
            name
            for name, service in self._named(apprise)
            if service is None or not service.notify(notice.body, title=notice.title, notify_type=kind)
        ]

    def names(self) -> list[str]:
        """Return the names of all. Raises like `send`."""
        return [name for name, _ in self._named(_load())]

    def _named(self, apprise: Any) -> list[tuple[str, Any]]:
        """Return each service with its name; None in place of one whose URL Apprise does not know."""
        if self._services is None:
            self._services = [_service(apprise, number, url) for number, url in enumerate(self._urls, 1)]
        return self._services


def is_installed() -> bool:
    """Return whether Apprise is there."""
    return importlib.util.find_spec("apprise") is not None


def _service(apprise: Any, number: int, url: SecretStr) -> tuple[str, Any]:
    service = apprise.Apprise()
    is_known = service.add(url.get_secret_value())
    kind = service[0].service_name if is_known else "an address that Apprise does not know"
    return f"{kind} (number {number} of notify.urls)", service if is_known else None


def _load() -> Any:
    if not is_installed():
        raise EnvironmentUnfit(f"{INSTALL}.")
    import apprise

    # Its messages, and those of errors in its services, may hold the secrets of the URLs.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return apprise
