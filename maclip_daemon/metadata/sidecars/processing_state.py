"""What of a photo's own XMP never goes into its sidecar: the state in which other programs keep their edits.

An exported photo carries the edits that made it. In a sidecar, the program would take them as still to be
done, and develop the photo twice. Photo managers show and search none of these properties.
"""

from __future__ import annotations

import functools
import re

# Programs, by a word of their namespace, and last the words by which unknown ones name their edits.
_PROGRAMS = re.compile(
    r"""\b(darktable | ansel | vkdt | captureone | phaseone | rawtherapee | dxo | bibblelabs | aftershot
    | alienskin | skylum | macphun | luminar | silkypix | topazlabs | affinity | polarr | vsco | snapseed
    | cyberlink | on1\.com | pixls\.us | exposure\.software | isl\.co\.jp | gimp\.org
    | ns\.adobe\.com/(camera-raw(-[a-z-]+)? | lightroom-?settings)  # crs, crss, crd, crlcp
    | apple\.com/adjustment-settings | nikon\.com/(asteroid | nine | sdc)  # Photos; NX Studio and ViewNX
    )\b
    | [/.\#-](edit|develop|processing|adjustment|raw)-?(s|history|settings|params|state)([/.\#-]|$)
    """,
    re.IGNORECASE | re.VERBOSE,
)
# The one property of darktable that a person gave, and that no other property holds.
_LABELS = ("http://darktable.sf.net/", "colorlabels")
_PROPERTIES = {
    "http://ns.adobe.com/xap/1.0/mm/": {
        "DerivedFrom",
        "History",
        "Ingredients",
        "ManagedFrom",
        "Manifest",
        "Pantry",
        "Versions",
    },
    # The suffix names the photo that another sidecar belongs to.
    "http://ns.adobe.com/photoshop/1.0/": {
        "DocumentAncestors",
        "History",
        "SidecarForExtension",
        "TextLayers",
    },
    "http://www.digikam.org/ns/1.0/": {"ImageHistory"},
    "http://ns.adobe.com/xmp/note/": {"HasExtendedXMP"},  # points into other segments of the photo
}


@functools.lru_cache(maxsize=4096)
def is_processing_state(namespace: str, name: str) -> bool:
    """Return whether a top-level property stays in the photo, by its namespace and name."""
    if (namespace, name) == _LABELS:
        return False
    return name in _PROPERTIES.get(namespace, ()) or _PROGRAMS.search(namespace) is not None
