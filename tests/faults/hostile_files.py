"""Names, sidecars and checkpoints of an attacker."""

from __future__ import annotations

import os
import pickle
import shlex
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

SECRET = b"the secret that only a file outside holds"
MARK = "executed"  # a file that executed input would create

NAMES = (
    *("-rf.jpg", "--help.jpg", "--config=x.jpg", "-.jpg", "%s%n%99999d{0}{x}.jpg", "$(touch executed).jpg"),
    *(
        "`touch executed`.jpg",
        "; touch executed; .jpg",
        "| touch executed #.jpg",
        "[red]x.jpg",
        "[link=x].jpg",
    ),
    *(
        "\x1b[31mred\x1b]0;title\x07.jpg",
        "two\n2026-01-01T00:00:00Z [error    ] forged.jpg",
        "~.jpg",
        "*.jpg",
    ),
    *("'\";drop table photos.jpg", "<script>&amp;.jpg", "%00.jpg", "a..jpg.jpg", "file:\\\\x.jpg"),
    *("\u202egpj.exe.jpg", "[not a tag] [[.jpg"),
)

ENTITY = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file://%s">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:format>&e;</dc:format>
</rdf:Description></rdf:RDF></x:xmpmeta>"""
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "laughing">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
    + b"]>"
    + ENTITY.partition(b"]>")[2].replace(b"&e;", b"&a11;")
)


class Runs:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {shlex.quote(str(self.mark))}",)


def hostile_checkpoints(folder: Path, mark: Path) -> Iterator[Path]:
    """Yield a pickle, a torch checkpoint, a TorchScript archive, and a header that claims a tebibyte."""
    plain = folder / "plain.pt"
    plain.write_bytes(pickle.dumps({"visual.conv1.weight": Runs(mark)}))
    yield plain
    saved = folder / "saved.pt"
    torch.save({"state_dict": {"visual.conv1.weight": torch.zeros(1), "x": Runs(mark)}}, saved)
    yield saved
    archive = folder / "archive.pt"
    with zipfile.ZipFile(archive, "w") as parts:
        parts.writestr("archive/data.pkl", pickle.dumps(Runs(mark), protocol=2))
        parts.writestr("archive/constants.pkl", pickle.dumps(Runs(mark), protocol=2))
        parts.writestr("archive/version", "3")
        parts.writestr("archive/code/__torch__.py", f"import os\nos.system('touch {mark}')\n")
    yield archive
    promising = folder / "promising.safetensors"
    promising.write_bytes((1 << 40).to_bytes(8, "little") + b'{"a":{}}')
    yield promising
