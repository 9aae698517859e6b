"""All settings of one run, and where they are kept."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import platformdirs
from pydantic import BaseModel, Field, PrivateAttr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from maclip_daemon.files.paths import expanded
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
from maclip_daemon.settings.section import SettingsSection

APPLICATION = "maclip"


class Settings(BaseSettings):
    """All settings of one run, validated."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="MACLIP_",
        env_nested_delimiter="__",
    )

    data_dir: Path = Field(default_factory=lambda: default_data_dir())
    """Folder of the database and the imported models."""
    folders: FolderSettings = FolderSettings()
    decoding: DecodingSettings = DecodingSettings()
    scoring: ScoringSettings = ScoringSettings()
    rating: RatingSettings = RatingSettings()
    review: ReviewSettings = ReviewSettings()
    jobs: JobSettings = JobSettings()
    background: BackgroundSettings = BackgroundSettings()
    notify: NotifySettings = NotifySettings()
    listen: ListenSettings = ListenSettings()
    archive: ArchiveSettings = ArchiveSettings()
    log: LogSettings = LogSettings()

    _hints: tuple[str, ...] = PrivateAttr(())

    @field_validator("data_dir")
    @classmethod
    def _data_dir_is_absolute(cls, data_dir: Path) -> Path:
        return expanded(data_dir).absolute()

    @property
    def database_path(self) -> Path:
        """Path of the library database."""
        return self.data_dir / "library.db"

    @property
    def hints(self) -> tuple[str, ...]:
        """One sentence for each old name of a setting that was used."""
        return self._hints

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before the environment before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def default_data_dir() -> Path:
    """Return `$MACLIP_DATA_DIR`, else the platform's data folder (`$XDG_DATA_HOME/maclip`)."""
    given = os.environ.get("MACLIP_DATA_DIR")
    return expanded(given) if given else Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


def default_config_path() -> Path:
    """Return the platform's path of the configuration (`$XDG_CONFIG_HOME/maclip/config.toml`)."""
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / "config.toml"


def setting_descriptions() -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, description) of every setting; the section of top-level keys is ''."""
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, SettingsSection):
            texts = _texts_below(annotation)
            for key in annotation.model_fields:
                yield name, key, texts.get(key, "")
        else:
            yield "", name, _texts_below(Settings).get(name, "")


def _texts_below(section: type[BaseModel]) -> dict[str, str]:
    """Return the text below each key, from the source; pydantic would read that in each start."""
    (found,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(found, ast.ClassDef)
    return {
        key.target.id: inspect.cleandoc(text.value.value)
        for key, text in itertools.pairwise(found.body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
