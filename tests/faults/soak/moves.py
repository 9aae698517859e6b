"""How photos move, go and come back. A deed answers whether it found something to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.faults.soak.hands import Hands
from tests.faults.soak.model import Photo, Sidecar, sidecar_of

MADE_AGAIN = 0.3  # of the folders that were renamed: the card reader makes them anew
SMALL = 1 / 6  # of all photos: a folder that may be deleted


def rename(hands: Hands) -> bool:
    """A photo gets another name, in any folder."""
    photo = hands.photo()
    if photo is None:
        return False
    _move(hands, photo, hands.new_path(photo.content.suffix))
    return True


def rename_over_another(hands: Hands) -> bool:
    """A photo takes the name of another one, which is gone then."""
    photo = hands.photo()
    other = hands.photo(photo.content.suffix) if photo else None
    if photo is None or other is None or other is photo or other.is_linked or photo.is_linked:
        return False
    _move(hands, photo, other.path)
    return True


def rename_by_case(hands: Hands) -> bool:
    """A photo's name changes between capital and small letters."""
    photo = hands.photo()
    if photo is None:
        return False
    path = Path(photo.path)
    new = str(path.with_name(path.stem.swapcase() + path.suffix))
    if os.path.lexists(new):
        return False
    _move(hands, photo, new)
    return True


def swap(hands: Hands) -> bool:
    """Two photos take each other's names; their sidecars stay where they are."""
    one = hands.photo()
    other = hands.photo(one.content.suffix) if one else None
    if one is None or other is None or one is other:
        return False
    here, there = one.path, other.path
    between = os.path.join(os.path.dirname(here), hands.new_name(one.content.suffix))  # noqa: PTH120
    for photo, new in ((one, between), (other, here), (one, there)):
        old = photo.path
        Path(old).rename(new)
        hands.model.moved(old, new, f"swapped from {old!r}", with_sidecar=False)
    return True


def _move(hands: Hands, photo: Photo, new: str) -> None:
    old = photo.path
    takes_sidecar = hands.chance.random() < 0.7 and os.path.lexists(sidecar_of(old))
    files = [(old, new), (sidecar_of(old), sidecar_of(new))] if takes_sidecar else [(old, new)]
    if hands.chance.random() < 0.3:
        files.reverse()
    for before, after in files:
        Path(before).rename(after)
    how = "with its sidecar" if takes_sidecar else "without its sidecar"
    hands.model.moved(old, new, f"renamed {how} from {old!r}", with_sidecar=takes_sidecar)


def move_a_folder(hands: Hands) -> bool:
    """A folder gets another name, in any other folder."""
    old = hands.subfolder()
    if old is None:
        return False
    parents = [folder for folder in hands.folders() if not (folder + os.sep).startswith(old + os.sep)]
    new = os.path.join(hands.chance.choice(parents), f"folder-{hands.number()}")
    Path(old).rename(new)
    hands.model.moved_folder(old, new, f"its folder was renamed to {new!r}")
    if hands.chance.random() < MADE_AGAIN:
        Path(old).mkdir()
    return True


def make_a_folder(hands: Hands) -> bool:
    """A new empty folder."""
    Path(hands.folder(), f"folder-{hands.number()}").mkdir()
    return True


def delete(hands: Hands) -> bool:
    """A photo is deleted, with or without its sidecar."""
    photo = hands.photo()
    if photo is None:
        return False
    with_sidecar = hands.chance.random() < 0.6 and os.path.lexists(sidecar_of(photo.path))
    Path(photo.path).unlink()
    if with_sidecar:
        Path(sidecar_of(photo.path)).unlink()
        hands.model.sidecars.pop(sidecar_of(photo.path), None)
    hands.model.removed(photo.path, f"deleted, {'with' if with_sidecar else 'without'} its sidecar")
    return True


def delete_a_folder(hands: Hands) -> bool:
    """A small folder is deleted with all that it holds."""
    folder = hands.subfolder()
    if folder is None:
        return False
    within = [path for path in hands.model.photos if path.startswith(folder + os.sep)]
    if len(within) > hands.most_photos * SMALL:
        return False
    while os.path.lexists(folder):  # a sidecar may be written into it while it is emptied
        shutil.rmtree(folder, ignore_errors=True)
    for path in within:
        hands.model.removed(path, "deleted with its folder")
    for path in [path for path in hands.model.sidecars if path.startswith(folder + os.sep)]:
        del hands.model.sidecars[path]
    hands.model.lent = [photo for photo in hands.model.lent if not photo.path.startswith(folder + os.sep)]
    return True


def delete_a_sidecar(hands: Hands) -> bool:
    """Somebody clears sidecars away."""
    photo = hands.photo()
    if photo is None or not os.path.lexists(sidecar_of(photo.path)):
        return False
    Path(sidecar_of(photo.path)).unlink()
    hands.model.sidecars[sidecar_of(photo.path)] = Sidecar()
    photo.is_unnoticed = True
    photo.log.append("its sidecar was deleted")
    return True


def move_out(hands: Hands) -> bool:
    """A photo goes to the trash, a hidden folder; to where nobody watches; or it is no photo any more."""
    photo = hands.photo()
    if photo is None:
        return False
    trash = hands.model.root / ".Trash-1000"
    trash.mkdir(exist_ok=True)
    folder = hands.chance.choice([trash, hands.outside, hands.outside, Path(photo.path).parent])
    suffix = ".bak" if folder == Path(photo.path).parent else photo.content.suffix
    place = str(folder / f"lent-{hands.number()}{suffix}")
    Path(photo.path).rename(place)
    hands.model.lend(photo.path, place, f"moved out to {place!r}")
    return True


def move_back(hands: Hands) -> bool:
    """A photo comes back, to where it was or elsewhere."""
    if not hands.model.lent:
        return False
    photo = hands.chance.choice(hands.model.lent)
    path = photo.was_at
    if not path or not hands.is_free(path) or hands.chance.random() < 0.5:
        path = hands.new_path(photo.content.suffix)
    Path(photo.path).rename(path)
    hands.model.returned(photo, path, f"came back to {path!r}")
    return True
