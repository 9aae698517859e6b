"""Pings of a health checker: URL/start, URL, URL/fail, as at healthchecks.io/docs/http_api.

The checker raises an alarm when a ping fails to come: also when the whole machine is down.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Literal

from pydantic import SecretStr

PingKind = Literal["start", "success", "fail"]
TIMEOUT_S = 10.0  # for each step of one ping
_LONGEST_TEXT = 10_000  # characters; a checker keeps no more


@dataclass(frozen=True)
class Ping:
    """One ping."""

    kind: PingKind
    text: str = ""
    """What happened, which the checker shows beside the ping."""


def send(url: SecretStr, ping: Ping) -> str:
    """Send a ping; return why it failed, or an empty text. The URL is a secret, so no reason names it."""
    request = urllib.request.Request(
        _address(url.get_secret_value(), ping.kind),
        data=ping.text[:_LONGEST_TEXT].encode("utf-8", "backslashreplace"),
        headers={"User-Agent": "maclip", "Content-Type": "text/plain; charset=utf-8"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"its server answered {error.code}"
    except (OSError, http.client.HTTPException, ValueError):
        return "its server cannot be reached"


def _address(url: str, kind: str) -> str:
    if kind == "success":
        return url
    parts = urllib.parse.urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{kind}").geturl()
