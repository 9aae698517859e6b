"""Actions that move, delete and return photos. Each returns whether it found something to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.faults.soak.model import Photo, Sidecar, sidecar_of
from tests.faults.soak.sidecar_files import is_in_another_case
from tests.faults.soak.simulated_user import SimulatedUser

RECREATED_SHARE = 0.3  # of renamed folders: the old folder is created again
SMALL_FOLDER = 1 / 6  # of all photos; only such a folder may be deleted


def rename(user: SimulatedUser) -> bool:
    """Rename a photo, into any folder."""
    photo = user.photo()
    if photo is None:
        return False
    _move(user, photo, user.new_path(photo.content.suffix))
    return True


def rename_over_another(user: SimulatedUser) -> bool:
    """Rename a photo over another one."""
    photo = user.photo()
    other = user.photo(photo.content.suffix) if photo else None
    if photo is None or other is None or other is photo or other.is_linked or photo.is_linked:
        return False
    _move(user, photo, other.path)
    return True


def rename_by_case(user: SimulatedUser) -> bool:
    """Rename a photo by letter case only."""
    photo = user.photo()
    if photo is None:
        return False
    path = Path(photo.path)
    new = str(path.with_name(path.stem.swapcase() + path.suffix))
    if os.path.lexists(new):
        return False
    _move(user, photo, new)
    return True


def swap(user: SimulatedUser) -> bool:
    """Swap the names of two photos; their sidecars are not moved."""
    one = user.photo()
    other = user.photo(one.content.suffix) if one else None
    if one is None or other is None or one is other:
        return False
    here, there = one.path, other.path
    between = os.path.join(os.path.dirname(here), user.new_name(one.content.suffix))  # noqa: PTH120
    for photo, new in ((one, between), (other, here), (one, there)):
        old = photo.path
        Path(old).rename(new)
        user.model.moved(old, new, f"swapped from {old!r}", with_sidecar=False)
    return True


def _move(user: SimulatedUser, photo: Photo, new: str) -> None:
    old = photo.path
    takes_sidecar = user.chance.random() < 0.7 and os.path.lexists(sidecar_of(old))
    files = [(old, new), (sidecar_of(old), sidecar_of(new))] if takes_sidecar else [(old, new)]
    if user.chance.random() < 0.3:
        files.reverse()
    for before, after in files:
        Path(before).rename(after)
    how = "with its sidecar" if takes_sidecar else "without its sidecar"
    user.model.moved(old, new, f"renamed {how} from {old!r}", with_sidecar=takes_sidecar)


def move_a_folder(user: SimulatedUser) -> bool:
    """Move a folder into any other folder under a new name."""
    old = user.subfolder()
    if old is None:
        return False
    parents = [folder for folder in user.folders() if not (folder + os.sep).startswith(old + os.sep)]
    new = os.path.join(user.chance.choice(parents), f"folder-{user.number()}")
    Path(old).rename(new)
    user.model.moved_folder(old, new, f"its folder was renamed to {new!r}")
    if user.chance.random() < RECREATED_SHARE:
        Path(old).mkdir()
    return True


def make_a_folder(user: SimulatedUser) -> bool:
    """Create an empty folder."""
    Path(user.folder(), f"folder-{user.number()}").mkdir()
    return True


def delete(user: SimulatedUser) -> bool:
    """Delete a photo, with or without its sidecar."""
    photo = user.photo()
    if photo is None:
        return False
    with_sidecar = user.chance.random() < 0.6 and os.path.lexists(sidecar_of(photo.path))
    Path(photo.path).unlink()
    if with_sidecar:
        Path(sidecar_of(photo.path)).unlink()
        user.model.sidecars.pop(sidecar_of(photo.path), None)
    user.model.removed(photo.path, f"deleted, {'with' if with_sidecar else 'without'} its sidecar")
    return True


def delete_a_folder(user: SimulatedUser) -> bool:
    """Delete a small folder with its contents."""
    folder = user.subfolder()
    if folder is None:
        return False
    within = [path for path in user.model.photos if path.startswith(folder + os.sep)]
    if len(within) > user.photo_limit * SMALL_FOLDER:
        return False
    while os.path.lexists(folder):  # the daemon may write a sidecar into it meanwhile
        shutil.rmtree(folder, ignore_errors=True)
    for path in within:
        user.model.removed(path, "deleted with its folder")
    for path in [path for path in user.model.sidecars if path.startswith(folder + os.sep)]:
        del user.model.sidecars[path]
    user.model.moved_out = [
        photo for photo in user.model.moved_out if not photo.path.startswith(folder + os.sep)
    ]
    return True


def delete_a_sidecar(user: SimulatedUser) -> bool:
    """Delete a photo's sidecar."""
    photo = user.photo()
    if photo is None or not os.path.lexists(sidecar_of(photo.path)):
        return False
    Path(sidecar_of(photo.path)).unlink()
    before = user.model.sidecar(photo.path)
    remains = before.is_from_another_photo and is_in_another_case(sidecar_of(photo.path))
    user.model.sidecars[sidecar_of(photo.path)] = Sidecar(is_from_another_photo=remains)
    photo.is_unnoticed = True
    photo.log.append("its sidecar was deleted")
    return True


def move_out(user: SimulatedUser) -> bool:
    """Move a photo to the trash (a hidden folder), to an unwatched folder, or to a `.bak` name."""
    photo = user.photo()
    if photo is None:
        return False
    trash = user.model.root / ".Trash-1000"
    trash.mkdir(exist_ok=True)
    folder = user.chance.choice([trash, user.outside, user.outside, Path(photo.path).parent])
    suffix = ".bak" if folder == Path(photo.path).parent else photo.content.suffix
    place = str(folder / f"lent-{user.number()}{suffix}")
    Path(photo.path).rename(place)
    user.model.move_out(photo.path, place, f"moved out to {place!r}")
    return True


def move_back(user: SimulatedUser) -> bool:
    """Move a photo back, to its former path or elsewhere."""
    if not user.model.moved_out:
        return False
    photo = user.chance.choice(user.model.moved_out)
    path = photo.previous_path
    if not path or not user.is_free(path) or user.chance.random() < 0.5:
        path = user.new_path(photo.content.suffix)
    Path(photo.path).rename(path)
    user.model.returned(photo, path, f"came back to {path!r}")
    return True
