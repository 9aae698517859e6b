"""How photos arrive, and how their pixels change. A deed answers whether it found something to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.faults.soak.hands import Hands

OLDER = 0.3  # of the files that replace others: a backup is put back
YEARS_AGO_S = 1_000_000_000


def copy_whole(hands: Hands) -> bool:
    """A photo is written at once."""
    content, path = hands.newcomer()
    Path(path).write_bytes(content.data)
    hands.model.put(path, content, content.data, f"copied here whole: {content.name}")
    return True


def copy_in_pieces(hands: Hands) -> bool:
    """A photo comes over a slow line."""
    content, path = hands.newcomer()
    photo = hands.model.put(path, content, content.data, f"copied here in pieces: {content.name}")
    hands.write_slowly(photo)
    return True


def arrive_by_rename(hands: Hands) -> bool:
    """A photo is written under a temporary name, as browsers and rsync do."""
    content, path = hands.newcomer()
    name = Path(path).name
    temporary = Path(path).with_name(f"{name}.part" if hands.chance.random() < 0.5 else f".{name}.XXXX")
    temporary.write_bytes(content.data)
    temporary.rename(path)
    hands.model.put(path, content, content.data, f"renamed here from a temporary name: {content.name}")
    return True


def arrive_as_a_tree(hands: Hands) -> bool:
    """A card's folders are moved in."""
    tree = hands.outside / f"card-{hands.number()}"
    place = Path(hands.folder(), tree.name)
    within = {}
    for _ in range(hands.chance.randint(2, 5)):
        content = hands.content()
        name = Path(hands.chance.choice(["", "DCIM", "DCIM/100"]), hands.new_name(content.suffix))
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content.data)
        within[name] = content
    tree.rename(place)
    for name, content in within.items():
        hands.model.put(str(place / name), content, content.data, f"moved in with a tree: {content.name}")
    return True


def edit_pixels_in_place(hands: Hands) -> bool:
    """A program saves over the photo, slowly."""
    photo = hands.photo()
    if photo is None or photo.is_linked:
        return False
    content = hands.content(photo.content.suffix)
    hands.model.put(photo.path, content, content.data, f"overwritten in place: {content.name}")
    hands.write_slowly(photo)
    return True


def edit_pixels_by_rename(hands: Hands) -> bool:
    """A program saves beside the photo and renames."""
    photo = hands.photo()
    if photo is None:
        return False
    content = hands.content(photo.content.suffix)
    temporary = Path(f"{photo.path}~")
    temporary.write_bytes(content.data)
    if hands.chance.random() < OLDER:
        os.utime(temporary, (YEARS_AGO_S, YEARS_AGO_S + hands.number()))
    temporary.rename(photo.path)
    hands.model.put(photo.path, content, content.data, f"replaced by a renamed file: {content.name}")
    photo.is_linked = False
    return True


def duplicate(hands: Hands) -> bool:
    """A photo is copied, with or without its times."""
    photo = hands.photo()
    if photo is None:
        return False
    path = hands.new_path(photo.content.suffix)
    copy = shutil.copy2 if hands.chance.random() < 0.5 else shutil.copyfile
    copy(photo.path, path)
    twin = hands.model.put(path, photo.content, Path(path).read_bytes(), f"a copy of {photo.path!r}")
    twin.embedded = photo.embedded
    return True


def link(hands: Hands) -> bool:
    """A photo gets a second name."""
    photo = hands.photo()
    if photo is None:
        return False
    path = hands.new_path(photo.content.suffix)
    Path(path).hardlink_to(photo.path)
    twin = hands.model.put(path, photo.content, Path(path).read_bytes(), f"a hard link of {photo.path!r}")
    twin.embedded = photo.embedded
    photo.is_linked = twin.is_linked = True
    photo.kept = None
    return True


def arrive_as_a_pair(hands: Hands) -> bool:
    """A RAW and the JPEG of its shot, one after the other."""
    folder, name = hands.folder(), hands.new_name("")
    shot = []
    for suffix in hands.chance.sample([".jpg", ".dng"], 2):
        content = hands.content(suffix)
        path = os.path.join(folder, name + suffix)
        Path(path).write_bytes(content.data)
        shot.append(
            hands.model.put(path, content, content.data, f"copied here with its pair: {content.name}")
        )
    jpeg, raw = sorted(shot, key=lambda photo: photo.content.suffix, reverse=True)
    jpeg.was_paired = raw.was_paired = True
    hands.model.pairs.append((jpeg, raw))
    return True


def touch(hands: Hands) -> bool:
    """A program sets a photo's time and nothing else."""
    photo = hands.photo()
    if photo is None:
        return False
    os.utime(photo.path)
    photo.is_touched, photo.kept = True, None
    photo.log.append("touched")
    return True
