"""Tags such as `quality|80-89`, the percentile in steps of ten, and `maclip|burst|best`, for filtering.

They go where photo managers keep tags. darktable takes lr:hierarchicalSubject before dc:subject, digiKam its
own list before both, and neither merges: so a list that is new starts with the tags of the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HIERARCHICAL_KEY = "Xmp.lr.hierarchicalSubject"  # Lightroom's, levels divided by |
FLAT_KEY = "Xmp.dc.subject"
DIGIKAM_KEY = "Xmp.digiKam.TagsList"  # levels divided by /
LIST_KEYS = (FLAT_KEY, HIERARCHICAL_KEY, DIGIKAM_KEY)
LIST_NAMES = ("dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList")  # the same in XMP's words
# Tags of Windows, ACDSee and Media Pro, which digiKam takes after its own list: a new one would hide them.
_DIGIKAM_READS_TOO = (
    "Xmp.MicrosoftPhoto.LastKeywordXMP",
    "Xmp.acdsee.categories",
    "Xmp.mediapro.CatalogSets",
)
_STEP = 10  # per cent
BEST = "maclip|burst|best"
_OURS = re.compile(r"quality[|/](?:0-9|(?P<ten>[1-9])0-(?P=ten)9)|maclip[|/]burst[|/]best")


def is_ours(tag: str) -> bool:
    """Return whether a tag is one of maclip's."""
    return _OURS.fullmatch(tag) is not None


def bucket_of(percentile: float | None) -> str | None:
    """Return the step of a percentile (0 to 100), such as `80-89`; the last one holds 100 too."""
    if percentile is None:
        return None
    begin = min(int(percentile // _STEP) * _STEP, 100 - _STEP)
    return f"{begin}-{begin + _STEP - 1}"


def wanted_lists(
    present: Mapping[str, object], bucket: str | None, *, is_best: bool = False
) -> dict[str, list[str] | None]:
    """Return the lists to change in a file that holds `present`: exiv2 key → items; None removes a list.

    The user's tags stay, in their order. Those of ours that are not asked for are removed.
    """
    asked = ([] if bucket is None else [f"quality|{bucket}"]) + ([BEST] if is_best else [])
    flat, hierarchical, digikam = (_items(present.get(key)) for key in LIST_KEYS)
    keys: tuple[str, ...] = LIST_KEYS
    if asked:
        hierarchical = hierarchical or flat
        if not digikam and any(key in present for key in _DIGIKAM_READS_TOO):
            keys = LIST_KEYS[:2]
        digikam = digikam or [tag.replace("|", "/") for tag in hierarchical]
    wanted: dict[str, list[str] | None] = {}
    for key, items in zip(keys, (flat, hierarchical, digikam), strict=False):
        separator = "/" if key == DIGIKAM_KEY else "|"
        tags = [tag.replace("|", separator) for tag in asked]
        if [each for each in items if is_ours(each)] == tags:
            changed = items
        else:
            changed = [each for each in items if not is_ours(each)] + tags
        if changed != _items(present.get(key)):
            wanted[key] = changed or None
    return wanted


def _items(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None or value == "" else [str(value)]
