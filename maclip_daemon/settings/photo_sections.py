"""Settings of the way of a photo: folders, decoding, scoring, stars; and of archives."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from maclip_daemon.settings.section import Seconds, SettingsSection


class FolderSettings(SettingsSection):
    """Which folders are watched, and how."""

    paths: list[Path] = Field(default=[])
    """Folders to watch when `maclip run` names none."""
    exclude: list[str] = Field(default=[])
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


class DecodingSettings(SettingsSection):
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


class ScoringSettings(SettingsSection):
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


class RatingSettings(SettingsSection):
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


class ArchiveSettings(SettingsSection):
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
    """Processor cores that share one loaded model; 0: half of the smallest
    machine's, so that two work there. Each graphics card has one."""
    storage_attempts: int = Field(default=8, ge=1, le=100)
    """How often storage is asked for a file before it counts as failed."""
    storage_pause_s: Seconds = 0.5
    """Seconds before storage is asked again; the time doubles with each further one, up to 30."""
    largest_file_mib: int = Field(default=2048, ge=1)
    """Larger files are not fetched from storage, in MiB."""
    planning_mib: int = Field(default=512, ge=64)
    """Memory for the comparison of what is listed with what is done, in MiB; beyond it a disk is used."""
