"""What photographers and their programs do to a folder of photos. Each deed changes the disk, then the model.

A deed answers whether it found something to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.faults.soak.hands import Hands
from tests.faults.soak.model import Photo, Sidecar, sidecar_of
from tests.faults.soak.other_programs import label_in_the_sidecar, rate_in_the_file, rate_in_the_sidecar

Deed = Callable[[Hands], bool]


def weights(crowding: float) -> dict[Deed, float]:
    """How often each deed is done. `crowding`: the photos as a share of those that there shall be at most."""
    arriving, leaving = max(0.0, 2 - crowding), crowding
    return {
        copy_whole: 5 * arriving,
        copy_in_pieces: 4 * arriving,
        arrive_by_rename: 4 * arriving,
        arrive_as_a_tree: 1 * arriving,
        edit_pixels_in_place: 3,
        edit_pixels_by_rename: 3,
        rate_in_the_sidecar: 4,
        rate_in_the_file: 2,
        label_in_the_sidecar: 3,
        rename: 5,
        rename_over_another: 1,
        move_a_folder: 2,
        duplicate: 2,
        link: 0.5,
        delete: 3 * leaving,
        delete_a_folder: 0.3 * leaving,
        delete_a_sidecar: 1,
        move_out: 1.5,
        move_back: 2,
        make_a_folder: 1,
    }


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
    temporary.rename(photo.path)
    hands.model.put(photo.path, content, content.data, f"replaced by a renamed file: {content.name}")
    photo.is_linked = False
    return True


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
    if len(within) > hands.most_photos / 6:
        return False
    while os.path.lexists(folder):  # a sidecar may be written into it while it is emptied
        shutil.rmtree(folder, ignore_errors=True)
    for path in within:
        hands.model.removed(path, "deleted with its folder")
    for path in [path for path in hands.model.sidecars if path.startswith(folder + os.sep)]:
        del hands.model.sidecars[path]
    return True


def delete_a_sidecar(hands: Hands) -> bool:
    """Somebody clears sidecars away."""
    photo = hands.photo()
    if photo is None or not os.path.lexists(sidecar_of(photo.path)):
        return False
    Path(sidecar_of(photo.path)).unlink()
    hands.model.sidecars[sidecar_of(photo.path)] = Sidecar()
    photo.unnoticed_until = "a look"
    photo.log.append("its sidecar was deleted")
    return True


def move_out(hands: Hands) -> bool:
    """A photo goes to the trash (a hidden folder of the root) or to where nobody watches."""
    photo = hands.photo()
    if photo is None:
        return False
    folder = hands.model.root / ".Trash-1000" if hands.chance.random() < 0.3 else hands.outside
    folder.mkdir(exist_ok=True)
    place = folder / f"lent-{hands.number()}{photo.content.suffix}"
    Path(photo.path).rename(place)
    hands.model.lend(photo.path, str(place), f"moved out to {str(place)!r}")
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
