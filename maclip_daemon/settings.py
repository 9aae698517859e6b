"""Settings: the TOML file, the environment and the flags, checked before any work begins.

Later sources win: defaults, `config.toml`, `MACLIP_<SECTION>__<KEY>` in the environment, flags. A key or a
value that is wrong is an error that names it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from maclip_daemon.errors import ConfigurationError, EnvironmentUnfit
from maclip_daemon.files.paths import expanded

APPLICATION = "maclip"
Seconds = Annotated[float, Field(gt=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FolderSettings(_Section):
    """Which folders are watched, and how."""

    paths: list[Path] = []
    """Folders to watch when `maclip run` is given none."""
    exclude: list[str] = []
    """Patterns (as in .gitignore) to leave alone, beside hidden folders, trash folders and @eaDir."""
    settle_s: Seconds = 2.0
    """Seconds without any change before a new file counts as whole."""
    rescan_interval_s: Seconds = 300.0
    """Seconds between full scans, the safety net for events that the system lost."""
    poll_interval_s: Seconds = 60.0
    """Seconds between scans of network folders, where no events arrive."""
    answer_s: Seconds = 60.0
    """Seconds a network folder may take to answer; then it counts as away until it does."""
    watch: bool = True
    """Listen for file events. Off: scans alone find new photos."""


class DecodingSettings(_Section):
    """How photo files become pixels."""

    workers: int = Field(default=0, ge=0, le=64)
    """Decoder processes; 0: one a processor core, at most sixteen. They start when there is work for them."""
    timeout_s: Seconds = 60.0
    """Seconds one photo may take."""
    memory_mb: int = Field(default=3072, ge=512)
    """Address space of one decoder process, in MiB; a photo that needs more fails."""
    max_megapixels: float = Field(default=300.0, gt=0)
    """Larger photos fail: most are decompression bombs."""
    look_ahead_mb: int = Field(default=256, ge=1)
    """Decoded pixels that may wait for the scorer, in MiB; a larger photo waits alone."""
    exif_rotation: bool = True
    """Turn photos upright as their EXIF orientation says. Off only to compare with the authors' code."""
    two_step_reduction: bool = True
    """Reduce large photos in two steps, JPEG already while it is decoded. Off: in one, as the authors do."""


class ScoringSettings(_Section):
    """Which judge scores the photos, and on what device."""

    model: str = "auto"
    """`auto`, a catalogue name, `file:PATH`, or any open_clip `ARCH/TAG`."""
    metric: str = "maclip"
    """`maclip`, `clipiqa`, `qualiclip` or `magnitude`."""
    protocol: str = "auto"
    """`auto` (the model's own), `spaq448`, `native`, `agiqa224`, or `long-edge-N`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the encoder; `auto` takes what the device does best."""
    batch_photos: int = Field(default=16, ge=1, le=1024)
    """Photos that go to the encoder together; it divides them as is fastest here, and as memory allows."""
    gpu_memory_mib: int = Field(default=0, ge=0)
    """Memory of a CUDA device that scoring may take, in MiB; 0: what is free."""
    threads: int = Field(default=0, ge=0)
    """Processor threads of the encoder; 0: all cores."""
    idle_exit_s: Seconds = 60.0
    """Seconds without work after which the scoring process ends and the device is free again."""
    timeout_s: Seconds = 600.0
    """Seconds one batch may take, loading the model included."""


class RatingSettings(_Section):
    """How scores become stars, and where the stars are written."""

    mode: Literal["sidecar", "embed", "off"] = "sidecar"
    """`sidecar`: XMP files beside the photos. `embed`: into JPEG, PNG and WebP. `off`: the database only."""
    shares: tuple[float, float, float, float, float] = (10, 20, 40, 20, 10)
    """Per cent of your photos that get 1, 2, 3, 4 and 5 stars."""
    edges: tuple[float, float, float, float] | None = None
    """Absolute scores at which 2, 3, 4 and 5 stars begin. Unset: the shares of your own library decide."""
    minimum_photos: int = Field(default=30, ge=2)
    """Scored photos needed before the library has stars of its own."""
    reject_below_percentile: float = Field(default=0.0, ge=0, le=100)
    """Photos below this percentile are marked rejected (-1). 0: never."""
    pairs: Literal["one", "separate"] = "one"
    """`one`: a RAW and its JPEG are one photo and both get the RAW's stars. `separate`: each has its own."""
    bucket_tags: bool = False
    """Also tag photos with their percentile in tens, such as 80-89 below quality; sorts finer than stars."""
    darktable_library: str = "auto"
    """darktable's `library.db`, asked for edits that a new sidecar would end: `auto`, a path, or `off`."""

    @field_validator("shares")
    @classmethod
    def _shares_make_a_whole(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if min(shares) < 0 or abs(sum(shares) - 100) > 1e-6:
            raise ValueError(f"must be five shares of at least 0 that add up to 100, not {sum(shares):g}")
        return shares

    @field_validator("edges")
    @classmethod
    def _edges_ascend(cls, edges: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if edges is not None and list(edges) != sorted(edges):
            raise ValueError("must ascend")
        return edges


class JobSettings(_Section):
    """How often failed work is tried again."""

    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts before a photo counts as failed."""
    retry_base_s: Seconds = 2.0
    """Seconds before the second attempt; doubled for each further one."""
    lease_s: Seconds = 900.0
    """Seconds after which the work of a process that died without a word is taken back."""
    pause_s: Seconds = 30.0
    """Seconds before work that lacked disk space, the model or the database is tried again."""


class BackgroundSettings(_Section):
    """How the daemon (`maclip run` without `--once`) steps back behind everything else on the machine."""

    nice: int = Field(default=10, ge=0, le=19)
    """Processor priority of all its processes: 0 as any program, 19 only what nobody else wants."""
    disk: Literal["normal", "low", "idle"] = "low"
    """Disk priority: `low` behind all others, `idle` only while nobody else reads (can starve for ever)."""
    pause_on_battery: bool = True
    """Score nothing while the machine runs on battery; `maclip status` says so, and it goes on by itself."""


class LogSettings(_Section):
    """What the daemon says."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important message that is printed."""
    format: Literal["auto", "plain", "json"] = "auto"
    """`auto`: colours on a terminal, else plain lines."""


class Settings(BaseSettings):
    """All settings of one run, validated."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="MACLIP_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    data_dir: Path = Field(default_factory=lambda: default_data_dir())
    """Where the database and imported models live."""
    folders: FolderSettings = FolderSettings()
    decoding: DecodingSettings = DecodingSettings()
    scoring: ScoringSettings = ScoringSettings()
    rating: RatingSettings = RatingSettings()
    jobs: JobSettings = JobSettings()
    background: BackgroundSettings = BackgroundSettings()
    log: LogSettings = LogSettings()

    @field_validator("data_dir")
    @classmethod
    def _data_dir_is_absolute(cls, data_dir: Path) -> Path:
        return expanded(data_dir).absolute()

    @property
    def database_path(self) -> Path:
        """The library database."""
        return self.data_dir / "library.db"

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
    """`$MACLIP_DATA_DIR`, else the platform's data folder (`$XDG_DATA_HOME/maclip`)."""
    given = os.environ.get("MACLIP_DATA_DIR")
    return expanded(given) if given else Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


def default_config_path() -> Path:
    """The platform's place for the configuration (`$XDG_CONFIG_HOME/maclip/config.toml`)."""
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / "config.toml"


def load(config_path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read and validate the settings.

    `config_path`: a file that must exist; None: the default place, where a missing file is fine.
    `flags`: values of command-line flags, nested by section; they win over everything.
    Raises `ConfigurationError` that names the file and every bad key.
    """
    path = config_path or default_config_path()
    if config_path is not None and not path.is_file():
        raise ConfigurationError(
            f"The configuration file {path} does not exist. `maclip config init` writes one."
        )

    class FromThisFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return FromThisFile(**dict(flags or {}))
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigurationError(f"{path} (or the environment, or a flag): {problems}.") from None
    except SettingsError as error:
        raise ConfigurationError(
            f"A MACLIP_ variable cannot be read ({error}). Lists are JSON, for example "
            """MACLIP_FOLDERS__PATHS='["/photos"]'."""
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise EnvironmentUnfit(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None


def environment_names() -> Iterator[str]:
    """Every environment variable that sets something, for the documentation and its test."""
    for section, key, _ in setting_descriptions():
        yield f"MACLIP_{section}__{key}".upper() if section else f"MACLIP_{key}".upper()


def setting_descriptions() -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, description) of every setting; top-level keys have the section ''."""
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, _Section):
            for key, inner in annotation.model_fields.items():
                yield name, key, inner.description or ""
        else:
            yield "", name, field.description or ""


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"the setting {where} is not known (`maclip config init --print` lists them all)"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}, not {problem['input']!r}"
