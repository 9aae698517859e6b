"""Settings: the TOML file, the environment and the flags, checked before any work begins.

Later sources win: defaults, `config.toml`, `MACLIP_<SECTION>__<KEY>` in the environment, flags. An unknown
key or a bad value raises an error that names it. A renamed key is accepted for one version, with a hint.
"""

from __future__ import annotations

from maclip_daemon.settings.all_settings import (
    APPLICATION,
    Settings,
    default_config_path,
    default_data_dir,
    setting_descriptions,
)
from maclip_daemon.settings.load_settings import load
from maclip_daemon.settings.photo_sections import (
    ArchiveSettings,
    DecodingSettings,
    FolderSettings,
    RatingSettings,
    ScoringSettings,
)
from maclip_daemon.settings.program_sections import (
    BackgroundSettings,
    JobSettings,
    ListenSettings,
    LogSettings,
    NotifySettings,
    ReviewSettings,
)

__all__ = [
    "APPLICATION",
    "ArchiveSettings",
    "BackgroundSettings",
    "DecodingSettings",
    "FolderSettings",
    "JobSettings",
    "ListenSettings",
    "LogSettings",
    "NotifySettings",
    "RatingSettings",
    "ReviewSettings",
    "ScoringSettings",
    "Settings",
    "default_config_path",
    "default_data_dir",
    "load",
    "setting_descriptions",
]
