"""Actions that add photos or change pixels. Each returns whether it found something to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.faults.soak.simulated_user import SimulatedUser

OLDER_SHARE = 0.3  # of the replacing files: a restored backup has an old time
YEARS_AGO_S = 1_000_000_000


def copy_whole(user: SimulatedUser) -> bool:
    """Write a photo in one piece."""
    content, path = user.newcomer()
    Path(path).write_bytes(content.data)
    user.model.put(path, content, content.data, f"copied here whole: {content.name}")
    return True


def copy_in_pieces(user: SimulatedUser) -> bool:
    """Write a photo in pieces, as over a slow line."""
    content, path = user.newcomer()
    photo = user.model.put(path, content, content.data, f"copied here in pieces: {content.name}")
    user.write_slowly(photo)
    return True


def arrive_by_rename(user: SimulatedUser) -> bool:
    """Write a photo under a temporary name and rename it, as browsers and rsync do."""
    content, path = user.newcomer()
    name = Path(path).name
    temporary = Path(path).with_name(f"{name}.part" if user.chance.random() < 0.5 else f".{name}.XXXX")
    temporary.write_bytes(content.data)
    temporary.rename(path)
    user.model.put(path, content, content.data, f"renamed here from a temporary name: {content.name}")
    return True


def arrive_as_a_tree(user: SimulatedUser) -> bool:
    """Move in the folders of a memory card."""
    tree = user.outside / f"card-{user.number()}"
    target = Path(user.folder(), tree.name)
    within = {}
    for _ in range(user.chance.randint(2, 5)):
        content = user.content()
        name = Path(user.chance.choice(["", "DCIM", "DCIM/100"]), user.new_name(content.suffix))
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content.data)
        within[name] = content
    tree.rename(target)
    for name, content in within.items():
        user.model.put(str(target / name), content, content.data, f"moved in with a tree: {content.name}")
    return True


def edit_pixels_in_place(user: SimulatedUser) -> bool:
    """Overwrite a photo in place, slowly."""
    photo = user.photo()
    if photo is None or photo.is_linked:
        return False
    content = user.content(photo.content.suffix)
    user.model.put(photo.path, content, content.data, f"overwritten in place: {content.name}")
    user.write_slowly(photo)
    return True


def edit_pixels_by_rename(user: SimulatedUser) -> bool:
    """Replace a photo by a renamed file, as editors do."""
    photo = user.photo()
    if photo is None:
        return False
    content = user.content(photo.content.suffix)
    temporary = Path(f"{photo.path}~")
    temporary.write_bytes(content.data)
    if user.chance.random() < OLDER_SHARE:
        os.utime(temporary, (YEARS_AGO_S, YEARS_AGO_S + user.number()))
    temporary.rename(photo.path)
    user.model.put(photo.path, content, content.data, f"replaced by a renamed file: {content.name}")
    photo.is_linked = False
    return True


def duplicate(user: SimulatedUser) -> bool:
    """Copy a photo, with or without its times."""
    photo = user.photo()
    if photo is None:
        return False
    path = user.new_path(photo.content.suffix)
    copy = shutil.copy2 if user.chance.random() < 0.5 else shutil.copyfile
    copy(photo.path, path)
    twin = user.model.put(path, photo.content, Path(path).read_bytes(), f"a copy of {photo.path!r}")
    twin.embedded = photo.embedded
    return True


def link(user: SimulatedUser) -> bool:
    """Create a hard link to a photo."""
    photo = user.photo()
    if photo is None:
        return False
    path = user.new_path(photo.content.suffix)
    Path(path).hardlink_to(photo.path)
    twin = user.model.put(path, photo.content, Path(path).read_bytes(), f"a hard link of {photo.path!r}")
    twin.embedded = photo.embedded
    photo.is_linked = twin.is_linked = True
    photo.kept = None
    return True


def arrive_as_a_pair(user: SimulatedUser) -> bool:
    """Write the RAW and the JPEG of one shot, one after the other."""
    folder, name = user.folder(), user.new_name("")
    shot = []
    for suffix in user.chance.sample([".jpg", ".dng"], 2):
        content = user.content(suffix)
        path = os.path.join(folder, name + suffix)
        Path(path).write_bytes(content.data)
        shot.append(user.model.put(path, content, content.data, f"copied here with its pair: {content.name}"))
    jpeg, raw = sorted(shot, key=lambda photo: photo.content.suffix, reverse=True)
    jpeg.was_paired = raw.was_paired = True
    user.model.pairs.append((jpeg, raw))
    return True


def touch(user: SimulatedUser) -> bool:
    """Set a photo's modification time and nothing else."""
    photo = user.photo()
    if photo is None:
        return False
    os.utime(photo.path)
    photo.is_touched, photo.kept = True, None
    photo.log.append("touched")
    return True
