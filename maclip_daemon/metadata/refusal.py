"""The one exception that says: this file is left alone on purpose, and why."""

from __future__ import annotations

from maclip_daemon.errors import MaclipError


class Refused(MaclipError):
    """Writing here could lose something, or is not permitted; the text becomes the reason in `status`."""

    exit_code = 0
