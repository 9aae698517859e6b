"""`maclip notify`: a test of the notifications."""

from __future__ import annotations

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.printing import output


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(notify)


def notify(context: typer.Context) -> None:
    """Send a test to each service of the setting notify.urls, and a ping to notify.health_url.

    The daemon tells when an import is finished, a folder is paused, a disk is full, or it cannot work.
    Apprise knows the services: mail, the desktop, webhooks, messengers. Their addresses are never shown.
    """
    from maclip_daemon.daemon.notify import health_checker
    from maclip_daemon.daemon.notify.apprise_services import AppriseServices, Notice
    from maclip_daemon.daemon.notify.health_checker import Ping
    from maclip_daemon.errors import EnvironmentUnfit, UsageError

    settings = invocation.from_context(context).settings().notify
    if not settings.urls and settings.health_url is None:
        raise UsageError(
            "Nobody is to be notified yet. Set notify.urls or notify.health_url; `maclip config init` writes "
            "a file that explains them."
        )
    services = AppriseServices(settings.urls)
    test = Notice("maclip: a test", "Notifications of maclip reach you here.")
    failed = services.send(test) if settings.urls else []
    for name in services.names() if settings.urls else []:
        output.say(f"{name}: {'not sent' if name in failed else 'sent'}")
    reason = ""
    if settings.health_url is not None:
        reason = health_checker.send(settings.health_url, Ping("success", "a test of maclip"))
        output.say(f"health checker (notify.health_url): {reason or 'sent'}")
    if failed:
        raise EnvironmentUnfit(
            f"{output.count(len(failed), 'service')} took no notification. Check the address, and the "
            "network; `apprise -vv -b test ADDRESS` tells more."
        )
    if reason:
        raise EnvironmentUnfit(f"The health checker got no ping: {reason}. Check notify.health_url.")
