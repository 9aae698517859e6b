"""Read sidecars as any other program would; uses none of the program's code."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

NAMESPACES = {
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.maclip-daemon/quality/1.0/": "maclip",
}
_DESCRIPTION = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"


def read_sidecar(path: str) -> dict[str, str] | None:
    """Return the simple properties of a sidecar, or None without one; use none of the program's code.

    Raises `ElementTree.ParseError` for an incomplete sidecar.
    """
    data = bytes_of(path)
    if data is None:
        return None
    found: dict[str, str] = {}
    for description in ElementTree.fromstring(data).iter(_DESCRIPTION):
        leaves = [*description.attrib.items(), *((child.tag, child.text or "") for child in description)]
        for tag, text in leaves:
            uri, _, name = tag.removeprefix("{").partition("}")
            if uri in NAMESPACES:
                found[f"{NAMESPACES[uri]}:{name}"] = text
    return found


def read_in_another_case(path: str) -> dict[str, str] | None:
    """Return the properties of a sidecar whose name differs in case: it stays the photo's after a rename."""
    folder, name = os.path.split(path)
    others = (each for each in os.listdir(folder) if each != name and each.lower() == name.lower())  # noqa: PTH208
    return next((read_sidecar(os.path.join(folder, other)) for other in others), None)


def is_in_another_case(path: str) -> bool:
    """Return whether a sidecar lies there whose name differs in case alone."""
    return os.path.isdir(os.path.dirname(path)) and read_in_another_case(path) is not None  # noqa: PTH112, PTH120


def bytes_of(path: str) -> bytes | None:
    """Return the content of a file; None where there is none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
