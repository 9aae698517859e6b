"""Settings: the TOML file, the environment and the flags, checked before any work begins.

Later sources win: defaults, `config.toml`, `MACLIP_<SECTION>__<KEY>` in the environment, flags. An unknown
key or a bad value raises an error that names it. A renamed key is accepted for one version, with a hint.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
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
# (section, old key): new key. The old one is accepted for one version.
RENAMED = {("folders", "answer_s"): "filesystem_timeout_s"}
Seconds = Annotated[float, Field(gt=0)]
LISTEN_ADDRESS = r"(?:(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]*):)?(\d{1,5})"
QUIET_HOURS = r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FolderSettings(_Section):
    """Which folders are watched, and how."""

    paths: list[Path] = []
    """Folders to watch when `maclip run` names none."""
    exclude: list[str] = []
    """Patterns (as in .gitignore) of what to skip. Hidden folders, trash and @eaDir are always skipped."""
    settle_s: Seconds = 2.0
    """Seconds without any change before a new file counts as complete."""
    rescan_interval_s: Seconds = 300.0
    """Seconds between full scans, which find the files whose events the system lost."""
    poll_interval_s: Seconds = 60.0
    """Seconds between scans of network folders, where no events arrive."""
    filesystem_timeout_s: Seconds = 60.0
    """Seconds a network folder may take to respond. Beyond that it is offline until it responds again."""
    watch: bool = True
    """Watch for file events. Off: only scans find new photos."""


class DecodingSettings(_Section):
    """How photo files become pixels."""

    workers: int = Field(default=0, ge=0, le=64)
    """Decoder processes; 0: one for each processor core, at most sixteen. Each starts when it has work."""
    timeout_s: Seconds = 60.0
    """Seconds one photo may take."""
    memory_mb: int = Field(default=3072, ge=512)
    """Address space of one decoder process, in MiB; a photo that needs more fails."""
    max_megapixels: float = Field(default=300.0, gt=0)
    """Larger photos fail: most are decompression bombs."""
    look_ahead_mb: int = Field(default=256, ge=1)
    """Decoded pixels that may wait for scoring, in MiB; a larger photo waits alone."""
    exif_rotation: bool = True
    """Turn photos upright by their EXIF orientation. Off only to compare with the MA-CLIP authors' code."""
    colour_conversion: bool = True
    """Show photos in sRGB: colour profiles, HDR, transparency. Off only to compare with the authors' code."""
    two_step_reduction: bool = True
    """Reduce large photos in two steps, which is faster. Off: in one, as the MA-CLIP authors' code does."""


class ScoringSettings(_Section):
    """Which model scores the photos, and on what device."""

    model: str = "auto"
    """`auto`, a catalogue name, `file:PATH`, or any open_clip `ARCH/TAG`."""
    metric: str = "maclip"
    """`maclip`, `clipiqa`, `qualiclip` or `magnitude`."""
    protocol: str = "auto"
    """`auto` (the model's own), `spaq448`, `native`, `agiqa224`, or `long-edge-N`."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the encoder; `auto` takes the fastest that is accurate on the device."""
    batch_photos: int = Field(default=16, ge=1, le=1024)
    """Photos that are sent for scoring together. They are split further to fit the device's memory."""
    gpu_memory_mib: int = Field(default=0, ge=0)
    """Memory of a CUDA device that scoring may take, in MiB; 0: what is free."""
    threads: int = Field(default=0, ge=0)
    """Processor threads of the encoder; 0: all cores."""
    idle_exit_s: Seconds = 60.0
    """Seconds without work before the scoring process ends and frees the device."""
    timeout_s: Seconds = 600.0
    """Seconds one batch may take; loading the model counts."""


class RatingSettings(_Section):
    """How scores become stars, and where the stars are written."""

    mode: Literal["sidecar", "embed", "off"] = "sidecar"
    """`sidecar`: XMP files beside the photos. `embed`: into JPEG, PNG and WebP. `off`: the database only."""
    sidecar_name: Literal["auto", "full", "stem"] = "auto"
    """Name of new sidecars. `full`: IMG.jpg.xmp. `stem`: IMG.xmp, where no other photo or film shares it.
    `auto`: as your digiKam calls them, else as most sidecars in the folder are called."""
    shares: tuple[float, float, float, float, float] = (10, 20, 40, 20, 10)
    """Per cent of your photos that get 1, 2, 3, 4 and 5 stars."""
    edges: tuple[float, float, float, float] | None = None
    """Scores at which 2, 3, 4 and 5 stars begin. Unset: they follow from the shares of your own library."""
    minimum_photos: int = Field(default=30, ge=2)
    """Scored photos needed before maclip writes any stars."""
    reject_below_percentile: float = Field(default=0.0, ge=0, le=100)
    """Photos below this percentile are marked rejected (-1). 0: never."""
    pairs: Literal["one", "separate"] = "one"
    """`one`: a RAW and its JPEG are one photo and both get the RAW's stars. `separate`: each has its own."""
    bucket_tags: bool = False
    """Also tag photos with their percentile in steps of ten, such as `quality|80-89`: finer than stars."""
    bursts: Literal["off", "lift-best"] = "off"
    """`lift-best`: the best frame of a burst gets at least one star more than the others,
    unless it is too close to call. Never fewer."""
    burst_tags: bool = False
    """Also tag the best frame of each burst with `maclip|burst|best`, so that digiKam can filter."""
    darktable_library: str | tuple[str, ...] = "auto"
    """darktable's libraries, asked for your stars and edits that are in no file. `auto`: each `library*.db`
    in its configuration folders. Or files, or folders as for darktable's --configdir, also in a list.
    `off`: not asked."""

    @property
    def darktable_libraries(self) -> tuple[str, ...]:
        """Return the setting `darktable_library` as a list."""
        value = self.darktable_library
        return (value,) if isinstance(value, str) else value

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
            raise ValueError(f"must be in ascending order, not {list(edges)}")
        return edges


class ReviewSettings(_Section):
    """The review page (`maclip review`)."""

    port: int = Field(default=8737, ge=0, le=65535)
    """Port of the page; 0, or one that is taken: any free one."""
    pick: Literal["flags", "label", "library"] = "flags"
    """What a pick is written as. `flags`: digiKam's accepted and Lightroom's flag; a reject beside its -1,
    too. `label`: a green label, as darktable and Lightroom show it. `library`: only the database knows it."""
    cache_mib: int = Field(default=2048, ge=16)
    """Disk space for previews, in MiB; the least recently seen leave first."""


class JobSettings(_Section):
    """How often failed work is tried again."""

    max_attempts: int = Field(default=5, ge=1, le=100)
    """Attempts before a photo counts as failed."""
    retry_base_s: Seconds = 2.0
    """Seconds before the second attempt; the time doubles with each further one."""
    lease_s: Seconds = 900.0
    """Seconds before the work of a process that died is queued again."""
    pause_s: Seconds = 30.0
    """Seconds before work is tried again that lacked disk space, the model or the database."""


class BackgroundSettings(_Section):
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


class ListenSettings(_Section):
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


class NotifySettings(_Section):
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


class ArchiveSettings(_Section):
    """Bulk scoring of archives (`maclip archive`)."""

    rows_per_file: int = Field(default=1000, ge=1)
    """Photos in one result file. So many at most are judged again after a crash."""
    chunk_photos: int = Field(default=256, ge=1)
    """Photos that one decoder takes at a time, at most. So many are decoded again when a node is lost."""
    pixels_mib: int = Field(default=32, ge=1)
    """Decoded pixels that travel together from a decoder to a model, in MiB."""
    object_store_mib: int = Field(default=1024, ge=128)
    """Memory in which Ray keeps pixels on their way, in MiB. On a cluster its own settings count."""
    cores_per_model: int = Field(default=0, ge=0)
    """Processor cores that share one loaded model; 0: all of a machine. Each graphics card has one."""
    storage_attempts: int = Field(default=8, ge=1, le=100)
    """How often storage is asked for a file before it counts as failed."""
    storage_pause_s: Seconds = 0.5
    """Seconds before storage is asked again; the time doubles with each further one, up to 30."""
    largest_file_mib: int = Field(default=2048, ge=1)
    """Larger files are not fetched from storage, in MiB."""
    planning_mib: int = Field(default=512, ge=64)
    """Memory for the comparison of what is listed with what is done, in MiB; beyond it a disk is used."""


class LogSettings(_Section):
    """What the daemon logs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is printed."""
    format: Literal["auto", "plain", "json"] = "auto"
    """`auto`: colours on a terminal, plain lines elsewhere."""


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


def load(config_path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Return the validated settings.

    `config_path`: a file that must exist; None: the default path, where the file may be missing.
    `flags`: values of command-line flags, nested by section; they win over everything.
    Raises `ConfigurationError` that names the file and every bad key, `EnvironmentUnfit` when the file cannot
    be read.
    """
    path = config_path or default_config_path()
    if config_path is not None and not path.is_file():
        raise ConfigurationError(
            f"The configuration file {path} does not exist. `maclip config init` writes one."
        )

    hints: list[str] = []

    class FromThisFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

        @model_validator(mode="before")
        @classmethod
        def _accept_old_names(cls, values: dict[str, Any]) -> dict[str, Any]:
            hints.extend(_rename_old_keys(values))
            return values

    try:
        loaded = FromThisFile(**dict(flags or {}))
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigurationError(
            f"{problems}. Change it in {path}, in the MACLIP_ variables, or on the command line."
        ) from None
    except SettingsError as error:
        section = re.search('field "(.+?)"', str(error))
        variable = f"MACLIP_{section[1].upper()}" if section else "MACLIP_"
        raise ConfigurationError(
            f"A variable {variable}… has a value that cannot be read. Lists are JSON, for example "
            """MACLIP_FOLDERS__PATHS='["/photos"]'."""
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8. Save it as such, or write it anew.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise EnvironmentUnfit(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    loaded._hints = tuple(hints)
    return loaded


def setting_descriptions() -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, description) of every setting; the section of top-level keys is ''."""
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, _Section):
            for key, inner in annotation.model_fields.items():
                yield name, key, inner.description or ""
        else:
            yield "", name, field.description or ""


def _rename_old_keys(values: dict[str, Any]) -> list[str]:
    """Move renamed keys of `values` to their new names; return a hint for each. New names win."""
    hints = []
    for (section, old), new in RENAMED.items():
        keys = values.get(section)
        if isinstance(keys, dict) and old in keys:
            values[section] = {new: keys[old]} | {key: value for key, value in keys.items() if key != old}
            hints.append(
                f"the setting {section}.{old} is now called {section}.{new}. Rename it in the configuration; "
                "the next version will not accept the old name."
            )
    return hints


def _describe(problem: Any) -> str:
    """Return one problem of pydantic's in a sentence: the setting, the rule, the value."""
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"there is no setting {where} (`maclip config init --print` lists them all)"
    match problem["type"]:
        case "missing":
            return f"{where} is missing"
        case "model_type":
            return f"{where} must be a section of the file ([{where}]), not {problem['input']!r}"
        case "value_error":
            return f"{where} {problem['msg'].removeprefix('Value error, ')}"
    rule = problem["msg"].replace("Input should be", "must be")
    is_secret = where.startswith(("notify.urls", "notify.health_url"))  # never printed
    shown = "" if is_secret else f", not {problem['input']!r}"
    return f"{where} {re.split(', (?:unable|got)', rule)[0]}{shown}"
