"""What darktable and digiKam must be told so that stars reach files, and nobody's stars are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from maclip_daemon.cli.doctor.finding import Finding
from maclip_daemon.metadata.managers import darktablerc, digikamrc
from maclip_daemon.metadata.managers.darktablerc import DarktableSettings
from maclip_daemon.metadata.managers.digikamrc import DigikamSettings

_ON_IMPORT = "Set 'write sidecar file for each image' to 'on import' (preferences, storage)."
_WRITE_MODES = {
    "never": "keeps your stars in its library only, and they are lost with it. maclip asks that library "
    f"before it writes; other programs cannot. {_ON_IMPORT}",
    "after edit": "since version 5 it writes no sidecar for stars on a photo without edits, and deletes the "
    "one that is there, at import too. Your stars are then in its library only, and maclip's sidecars "
    f"vanish. {_ON_IMPORT}",
}

_NAMES = {"full": "IMG.jpg.xmp", "stem": "IMG.xmp"}


def check(sidecar_name: str = "auto") -> Iterator[Finding]:
    """Yield what the settings of every digiKam and darktable of this user mean for stars.

    `sidecar_name`: the setting `rating.sidecar_name`.
    """
    digikams = digikamrc.find()
    for digikam in digikams:
        where = f" ({digikam.file})" if len(digikams) > 1 else ""
        yield _digikam(digikam, where)
        name = "stem" if digikam.compatible_file_name else "full"
        if digikam.reads_sidecars and sidecar_name not in ("auto", name):
            yield Finding(
                "digiKam",
                "note",
                f"looks for sidecars named {_NAMES[name]} and for no others, but rating.sidecar_name is "
                f'"{sidecar_name}". Set that to "auto", or change \'Use a compatible file name\' in its '
                f"settings, page Metadata, Sidecars{where}",
            )
    found = [
        each for folder in darktablerc.configuration_folders() for each in darktablerc.workspaces(folder)
    ]
    for darktable in found:
        for state, says in _darktable(darktable):
            yield Finding("darktable", state, says + (f" ({darktable.file})" if len(found) > 1 else ""))


def _digikam(settings: DigikamSettings, where: str) -> Finding:
    missing = [
        words
        for words, is_set in (
            ("Sidecars: Read from sidecar files", settings.reads_sidecars),
            ("Behavior: Rescan file when files are modified", settings.rescans),
            ("Behavior: Write Rating (else your stars stay in its database)", settings.saves_rating),
            (
                "Sidecars: Write to sidecar files, only or beside the photo (else your stars go into "
                "the photo, where maclip's sidecar hides them, and those of RAW files into no file)",
                settings.writes_sidecars,
            ),
        )
        if not is_set
    ]
    if missing:
        return Finding(
            "digiKam", "note", f"switch on in its settings, page Metadata: {'; '.join(missing)}{where}"
        )
    name = _NAMES["stem" if settings.compatible_file_name else "full"]
    return Finding("digiKam", "good", f"reads and writes sidecars (named {name}), and detects changes{where}")


def _darktable(settings: DarktableSettings) -> Iterator[tuple[Literal["good", "note"], str]]:
    problem = _WRITE_MODES.get(settings.write_sidecar_files)
    yield ("note", problem) if problem else ("good", "writes your stars to sidecars")
    if settings.ignores_ratings:
        yield (
            "note",
            "ignores ratings when it imports photos, those in sidecars too: maclip's stars are not seen. "
            "Switch off 'ignore EXIF rating' in its import module (ui_last/ignore_exif_rating).",
        )
    if settings.initial_rating:
        yield (
            "note",
            f"gives each photo without a rating {'★' * settings.initial_rating} when it imports it. Nobody "
            "can tell that from a rating of yours, so maclip leaves it alone. Set 'initial rating' to 0 in "
            "its import module.",
        )
