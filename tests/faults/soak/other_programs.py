"""Ratings and labels that people write with other programs, into sidecars and photos.

exiftool, where installed, writes a new file and renames it; exiv2 in its own process writes in place.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.soak.model import Sidecar, sidecar_of
from tests.faults.soak.sidecar_files import read_sidecar
from tests.faults.soak.simulated_user import SimulatedUser

RATED_IN_THE_FILE = (".jpg", ".png")
TIMEOUT_S = 120
NOTICED_AFTER_S = 1.5  # the slack of `pipeline/rating/missed_edits.py`, plus the rounding of file times
EXIFTOOL = shutil.which("exiftool")
_EXIV2 = """
import os, sys, pyexiv2
pyexiv2.set_log_level(4)
name = os.fsencode(sys.argv[1]).decode("latin-1")  # pyexiv2 would refuse the encoding otherwise
with pyexiv2.Image(name, encoding="latin-1") as image:
    image.modify_xmp(dict([sys.argv[2].split("=", 1)]))
"""
_BARE_SIDECAR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{rating}"/>'
    "</rdf:RDF></x:xmpmeta>\n"
)


def rate_in_the_sidecar(user: SimulatedUser) -> bool:
    """Rate a photo in its sidecar, as darktable and digiKam do, with other stars than ours."""
    photo = user.photo()
    if photo is None or photo.content.score is None:
        return False
    path = sidecar_of(photo.path)
    before = read_sidecar(path) or {}
    present = {before.get("xmp:Rating"), before.get("maclip:Stars")}
    rating = user.chance.choice([stars for stars in range(1, 6) if str(stars) not in present])
    age_s = time.time() - os.lstat(path).st_mtime if before else 0.0
    if before:
        _write(user, path, "Xmp.xmp.Rating", str(rating))
    else:
        Path(path).write_text(_BARE_SIDECAR.format(rating=rating))
    after = read_sidecar(path) or {}
    sidecar = user.model.sidecar(photo.path)
    is_ours = "maclip:Stars" in before and not sidecar.is_from_another_photo
    is_first = is_ours and sidecar.rating is None and photo.embedded is None
    # Under another photo's name our sidecar may already have counted as a person's.
    is_first = is_first and not photo.has_replaced_another
    is_found_by_a_start = is_first and age_s > NOTICED_AFTER_S and not photo.sidecar_change
    photo.sidecar_change = "first" if is_found_by_a_start else "further"
    # Right after a start or the return of the drive there is no watcher yet.
    photo.is_unnoticed = user.model.interruptions > 0 and not is_found_by_a_start
    photo.log.append(f"{rating} stars by a person in the sidecar: {before} became {after}")
    if after.get("maclip:Stars") == str(rating):  # we just wrote the same stars: no difference is visible
        user.model.sidecars[path] = Sidecar(label=sidecar.label, is_from_another_photo=True)
    else:
        sidecar.rating, sidecar.frozen = rating, Path(path).read_bytes()
    return True


def rate_in_the_file(user: SimulatedUser) -> bool:
    """Rate a photo in the file itself, as some programs do."""
    photo = user.photo()
    if photo is None or photo.is_linked or photo.content.suffix not in RATED_IN_THE_FILE:
        return False
    if photo.content.score is None:
        return False
    rating = user.chance.randint(1, 5)
    _write(user, photo.path, "Xmp.xmp.Rating", str(rating))
    user.model.edited(photo, f"{rating} stars by a person in the file itself")
    photo.embedded = rating
    return True


def label_in_the_sidecar(user: SimulatedUser) -> bool:
    """Add a label to an existing sidecar, which is mostly one of ours."""
    photo = user.photo()
    if photo is None or not read_sidecar(sidecar_of(photo.path)):
        return False
    path = sidecar_of(photo.path)
    label = f"label {user.number()}"
    _write(user, path, "Xmp.xmp.Label", label)
    photo.log.append(f"{label} by a person in the sidecar: {read_sidecar(path)}")
    sidecar = user.model.sidecar(photo.path)
    sidecar.label = label
    if sidecar.rating is not None:
        sidecar.frozen = Path(path).read_bytes()
    return True


def _write(user: SimulatedUser, path: str, key: str, value: str) -> None:
    if EXIFTOOL is not None and user.chance.random() < 0.5:
        name = key.removeprefix("Xmp.").replace(".", ":")
        command = [EXIFTOOL, "-q", "-overwrite_original", f"-xmp-{name}={value}", path]
    else:
        command = [sys.executable, "-c", _EXIV2, path, f"{key}={value}"]
    ended = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert ended.returncode == 0, f"{command}: {ended.stderr!r}"
