"""The records of this room's interface: requests, results and the entries that undo needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from maclip_daemon.files.signature import ExactSignature

Mode = Literal["sidecar", "embed"]
Owner = Literal["none", "maclip", "person"]
CopySource = Literal["photo", "file"]
COPY_SOURCES: tuple[CopySource, ...] = get_args(CopySource)
PreparedStatus = Literal["prepared", "unchanged", "person", "skipped"]
NameKind = Literal["full", "stem"]
"""The name of a sidecar: `full` is IMG.jpg.xmp, `stem` is IMG.xmp."""
PickMarks = Literal["flags", "label", "library"]
"""`flags`: the fields of digiKam and Lightroom. `label`: a green label. `library`: nothing in the file."""
UndoStatus = Literal["restored", "removed", "taken_out", "gone", "already", "changed"]

NO_STARS = "no_stars"  # of `may_replace`: stars may be written where the person took ours away
REJECTED = -1  # xmp:Rating of a rejected photo in darktable and Lightroom; digiKam reads it as unrated


@dataclass(frozen=True)
class QualityProperties:
    """One score as it goes into the file, in the namespace http://ns.maclip-daemon/quality/1.0/."""

    score: float
    percentile: float | None
    """Per cent of the library's photos that score lower, 0 to 100; None where the library is too small."""
    stars: int
    """1 to 5."""
    metric: str
    model: str
    protocol: str
    scored_at: datetime
    """Aware, the time of the score and not of this write, so that a second write changes nothing."""
    reasons: tuple[str, ...] = ()
    """What was measured on the photo to be wrong with it, the strongest first."""

    def __post_init__(self) -> None:
        if type(self.stars) is not int or not 1 <= self.stars <= 5:
            raise ValueError(f"stars must be a whole number from 1 to 5, not {self.stars!r}")
        if self.scored_at.tzinfo is None:
            raise ValueError("scored_at must be aware: a time without its zone means nothing in a file")


@dataclass(frozen=True)
class Partner:
    """The other file of a shot, RAW or JPEG: a person's rating of either counts for both."""

    photo: Path
    last_written: int | None = None
    """As in `RatingRequest`."""
    is_without_stars: bool = False
    """Whether the library knows that a person took its stars away."""


@dataclass(frozen=True)
class RatingRequest:
    """One photo to rate."""

    photo: Path
    quality: QualityProperties
    mode: Mode = "sidecar"
    last_written: int | None = None
    """The rating of our last committed write to this photo (1 to 5, or -1); None if there was none."""
    reject: bool = False
    """Write -1 in place of the stars."""
    bucket_tags: bool = False
    """Also write a tag such as `quality|80-89`."""
    pixel_hash: str | None = None
    """The photo's pixel hash, for the proof; None when it is not known."""
    library_id: str | None = None
    """The id of the library that writes, for the proof."""
    first_star: int | None = None
    """A rating that may be replaced where it may be darktable's own first star."""
    sidecar_name: NameKind | None = None
    """How new sidecars are called; None: as most sidecars in the folder are."""
    partners: tuple[Partner, ...] = ()
    """The other files of this shot."""
    burst_id: str | None = None
    """The group of photos of one moment that it is in; None: it is alone."""
    burst_rank: int | None = None
    """Its place in that group, 1 the best; None where no frame is better."""
    is_tagged_best: bool = False
    """Also write the tag `maclip|burst|best`."""
    may_replace: str | None = None
    """Which rating of a person the person allowed to replace, as `photos.may_replace` has it."""

    @property
    def rating(self) -> int:
        """Return the integer for xmp:Rating and maclip:Stars."""
        return REJECTED if self.reject else self.quality.stars


@dataclass(frozen=True)
class DecisionRequest:
    """A person's decision about one photo, as it is to be written into the photo's rating file."""

    photo: Path
    rating: int | None
    """1 to 5, 0 for no stars, or -1 to reject; None leaves the rating as it is."""
    seen: int | None = None
    """The person's rating of before, as it was shown to them; None: none was shown."""
    pick: bool | None = None
    """Set or clear the flags of a picked photo; None leaves them as they are."""
    pick_marks: PickMarks = "flags"
    """What a pick, and a reject beside its rating, is written as."""
    mode: Mode = "sidecar"
    last_written: int | None = None
    """As in `RatingRequest`."""
    sidecar_name: NameKind | None = None
    """As in `RatingRequest`."""


@dataclass(frozen=True)
class WriteProof:
    """The proof, found in a file, that a maclip wrote its rating and nobody changed it since.

    Any maclip's proof counts, whatever its own database holds.
    """

    rating: int
    """1 to 5, or -1."""
    pixel_hash: str | None
    """The photo that was rated. Another one than today's: the file's name was used again."""
    library_id: str | None
    """The library that wrote it."""
    is_whole: bool
    """Whether maclip made this sidecar, and it holds nothing but our properties and what the photo held."""


@dataclass(frozen=True)
class FoundRating:
    """The rating that photo managers see: the sidecar's where there is one, else the photo's own."""

    owner: Owner
    rating: int | None
    """-1 to 5; None where the photo carries no rating at all."""
    stars: int | None
    """Our own maclip:Stars, if it is there."""
    source: Path
    """The file that was read."""
    source_hash: str | None
    """BLAKE3 of the sidecar, in hex; None where the photo itself is the source."""
    proof: WriteProof | None = None
    """Set when the file proves that its rating is an unedited write of a maclip."""
    by_darktable: bool = False
    """Whether the source is a sidecar that darktable wrote: it holds the stars of then."""
    score: float | None = None
    """Our own maclip:Score, if it is there."""
    is_first_star: bool = False
    """Whether nothing but darktable may have given this rating, when it imported the photo."""
    copied_from: CopySource | None = None
    """The file from which maclip copied this person's rating into its sidecar, which follows that one."""

    @property
    def is_cleared(self) -> bool:
        """Return whether a sidecar says "no stars". Not a photo: a Canon R6 writes that into each."""
        return self.owner == "none" and self.rating == 0 and self.source_hash is not None


@dataclass(frozen=True)
class Prepared:
    """The result of the first phase: nothing a person can see has changed yet.

    `status` is `prepared` (journal it, then `commit`), `unchanged` (the file has these values already),
    `person` (a person's rating, never touched) or `skipped` (with the `reason`, for `maclip status`).
    The fields from `target` on are set for `prepared` only; `target` and `before_hash` for `unchanged` too.
    """

    photo: Path
    status: PreparedStatus
    rating: int
    """The rating to be written; record it as `last_written` of the next request once it is committed."""
    reason: str = ""
    found: FoundRating | None = None
    """The rating before; None when the metadata could not be read."""
    notes: tuple[str, ...] = ()
    """Lines for the log, such as metadata that could not be carried into a new sidecar."""
    target: Path | None = None
    temporary: Path | None = None
    created: bool = False
    """Whether the target is a new sidecar."""
    before_hash: str | None = None
    """BLAKE3 of the target before, in hex; None for a new sidecar."""
    after_hash: str | None = None
    """BLAKE3 of the target after the commit, in hex."""
    photo_signature: ExactSignature | None = None
    """That of the photo when it was read."""
    before_signature: ExactSignature | None = None
    """That of the target when it was read; None for a new sidecar."""
    temporary_signature: ExactSignature | None = None
    owner: Owner = "maclip"
    """Whose the rating in the file is after the commit; `person` where it follows a person's."""
    has_more: bool = False
    """Whether another sidecar of this photo is to be written after this one."""
    beside: tuple[str, ...] = ()
    """The names of the photo's sidecars when it was read."""
    restore: bytes = b""
    """An encoded `undo_delta.UndoDelta` that restores the old bytes: store it with the journal row."""

    @property
    def undo_entry(self) -> UndoEntry:
        """Return the entry for the journal; only for the status `prepared`."""
        if self.target is None or self.after_hash is None:
            raise ValueError(f"nothing was prepared for {self.photo}")
        return UndoEntry(self.target, self.before_hash, self.after_hash, self.restore)


@dataclass(frozen=True)
class UndoEntry:
    """One committed write, as the journal keeps it. Undo the newest entry of a file first."""

    target: Path
    before_hash: str | None
    """None: we created the file."""
    after_hash: str
    restore: bytes
    is_created: bool = False
    """Whether we created the file by this write, or by an older one that is not undone either."""
    is_exact: bool = False
    """Leave a file alone that another program wrote since, instead of taking out what is ours."""


@dataclass(frozen=True)
class UndoOutcome:
    """The result of undo, with the reason why a file was left alone."""

    status: UndoStatus
    """`restored`: the bytes of before. `removed`: a sidecar of ours. `taken_out`: another program wrote the
    file since, and it keeps all that is not ours. `gone`: a sidecar of ours was removed by others before.
    `already`: it is as before, or holds nothing of ours. `changed`: left alone.
    """
    reason: str = ""
    persons_rating: int | None = None
    """The rating that a person gave to a file that was written since; 0: the person took our stars away."""
    is_copied_into_photo: bool = False
    """Another program copied what was in our sidecar into the photo, where it stays."""
