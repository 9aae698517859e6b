"""Settings of the program: the page, retries, priority, log, and who may watch and is told."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from maclip_daemon.settings.section import Seconds, SettingsSection

LISTEN_ADDRESS = r"(?:(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]*):)?(\d{1,5})"
QUIET_HOURS = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d"


class ReviewSettings(SettingsSection):
    """The review page (`maclip review`)."""

    port: int = Field(default=8737, ge=0, le=65535)
    """Port of the page; 0, or one that is taken: any free one."""
    pick: Literal["flags", "label", "library"] = "flags"
    """What a pick is written as. `flags`: digiKam's accepted and Lightroom's flag; a reject beside its -1,
    too. `label`: a green label, as darktable and Lightroom show it. `library`: only the database knows it."""
    cache_mib: int = Field(default=2048, ge=16)
    """Disk space for previews, in MiB; the least recently seen leave first."""


class JobSettings(SettingsSection):
    """How often failed work is tried again."""

    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts before a photo counts as failed."""
    retry_base_s: Seconds = 2.0
    """Seconds before the second attempt; the time doubles with each further one."""
    lease_s: Seconds = 900.0
    """Seconds before the work of a process that died is queued again."""
    pause_s: Seconds = 30.0
    """Seconds before work is tried again that lacked disk space, the model or the database."""


class BackgroundSettings(SettingsSection):
    """How the daemon (`maclip run` without `--once`) gives way to other programs."""

    nice: int = Field(default=10, ge=0, le=19)
    """Nice value of all its processes: from 0, like any program, to 19, the lowest priority."""
    disk: Literal["normal", "low", "idle"] = "low"
    """Disk priority: `low`, or `idle`: only while no other program uses the disk, which may be never."""
    pause_on_battery: bool = True
    """Score nothing while the machine runs on battery; `maclip status` shows the pause."""
    quiet_hours: tuple[str, ...] = ()
    """Hours in which the daemon scores and rates nothing, such as ["22:00-07:00"]; photos are still found."""

    @field_validator("quiet_hours")
    @classmethod
    def _quiet_hours_are_times_of_day(cls, quiet_hours: tuple[str, ...]) -> tuple[str, ...]:
        for each in quiet_hours:
            if not re.fullmatch(QUIET_HOURS, each) or each[:5] == each[-5:]:
                raise ValueError(f"must be hours of the day such as 22:00-07:00, not {each!r}")
        return quiet_hours


class ListenSettings(SettingsSection):
    """Where a running daemon can be watched: a status page, `/health`, and `/metrics` for Prometheus."""

    address: str = ""
    """HOST:PORT, or a port of this machine alone. Empty: nowhere."""
    names: tuple[str, ...] = ()
    """Further names of this machine that may stand in the address, such as the one that Prometheus uses."""

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Return the address in its parts."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)

    @field_validator("address")
    @classmethod
    def _is_host_and_port(cls, address: str) -> str:
        found = re.fullmatch(LISTEN_ADDRESS, address)
        if address and (found is None or int(found[1]) > 65_535):
            raise ValueError(f"must be HOST:PORT, such as 127.0.0.1:9464, not {address!r}")
        return address


class NotifySettings(SettingsSection):
    """Who is told what the daemon did: services by Apprise (the extra `notify`), and a health checker."""

    urls: tuple[SecretStr, ...] = ()
    """Services to notify, as URLs of Apprise (github.com/caronc/apprise/wiki); ["dbus://"]: the desktop."""
    events: tuple[Literal["finished", "folder", "disk", "failure"], ...] = (
        "finished",
        "folder",
        "disk",
        "failure",
    )
    """What is told: an import is finished, a folder is paused, a disk is full, the daemon cannot work."""
    quiet_s: Seconds = 120.0
    """Seconds without work after which an import counts as finished."""
    minimum_photos: int = Field(default=10, ge=1)
    """Imports of fewer photos are not told."""
    health_url: SecretStr | None = None
    """Ping URL of a health checker such as Healthchecks. Pinged: URL/start, URL when done, URL/fail."""
    health_interval_s: Seconds = 3600.0
    """Seconds between pings while there is nothing to do, so that the checker notices when they end."""

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_more(cls, urls: object) -> object:
        return (urls,) if isinstance(urls, str) else urls

    @field_validator("health_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"https?://[^/\s]", url.get_secret_value()):
            raise ValueError("must begin with https:// or http:// and name a server")
        return url


class LogSettings(SettingsSection):
    """What the daemon logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is printed."""
    format: Literal["auto", "plain", "json"] = "auto"
    """`auto`: colours on a terminal, plain lines elsewhere."""
