"""The hands of the soak: what photographers and their programs do to a folder of photos, at random.

Each deed changes the disk first and then tells the model. Ratings and labels are written by other programs:
exiftool where it is installed, and exiv2 in a process of its own.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

from tests.faults.soak_model import Content, Model, Photo, Sidecar, read_sidecar, sidecar_of

DECORATIONS = ("", "", "", "", " (2)", "-é", "-e\u0301", "'s", "%s", " #1", "\n2", "-\udcff", "{0}", ".edit")
RATED_IN_THE_FILE = (".jpg", ".png")
PIECE_PAUSE_S = (0.02, 0.5)  # shorter and longer than the quiet period of the soak's daemon, 0.3 s
OTHER_PROGRAM_S = 120
NOTICED_AFTER_S = 1.5  # the slack of `pipeline/other_hands.py`, and what a file's time is rounded by
_EXIV2 = """
import os, sys, pyexiv2
pyexiv2.set_log_level(4)
name = os.fsencode(sys.argv[1]).decode("latin-1")  # its encoding would be refused otherwise
with pyexiv2.Image(name, encoding="latin-1") as image:
    image.modify_xmp(dict([sys.argv[2].split("=", 1)]))
"""
_BARE_SIDECAR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{rating}"/>'
    "</rdf:RDF></x:xmpmeta>\n"
)


class Hands:
    """Deeds chosen at random, and the slow ones among them in turn."""

    def __init__(
        self, model: Model, outside: Path, contents: list[Content], chance: random.Random, most_photos: int
    ) -> None:
        """`outside`: a folder on the same file system that nobody watches; `contents` may grow."""
        self.model = model
        self.done: dict[str, int] = {}
        self._root = model.root
        self._outside = outside
        self._contents = contents
        self._chance = chance
        self._most_photos = most_photos
        self._numbers = 0
        self._slow: list[Iterator[None]] = []
        self._exiftool = shutil.which("exiftool")
        self._deeds: list[tuple[Callable[[], str | None], float]] = [
            (self._copy_whole, 5),
            (self._copy_in_pieces, 4),
            (self._arrive_by_rename, 4),
            (self._arrive_as_a_tree, 1),
            (self._edit_pixels_in_place, 3),
            (self._edit_pixels_by_rename, 3),
            (self._rate_in_the_sidecar, 4),
            (self._rate_in_the_file, 2),
            (self._label_in_the_sidecar, 3),
            (self._rename, 5),
            (self._rename_over_another, 1),
            (self._move_a_folder, 2),
            (self._duplicate, 2),
            (self._link, 0.5),
            (self._delete, 3),
            (self._delete_a_folder, 0.3),
            (self._delete_a_sidecar, 1),
            (self._move_out, 1.5),
            (self._move_back, 2),
            (self._make_a_folder, 1),
        ]

    def step(self) -> None:
        """One deed, and the next piece of every slow copy."""
        self._go_on_slowly()
        crowding = len(self.model.photos) / self._most_photos
        weights = []
        for deed, weight in self._deeds:
            arrives = deed in (self._copy_whole, self._copy_in_pieces, self._arrive_by_rename)
            leaves = deed in (self._delete, self._delete_a_folder)
            weights.append(weight * (2 - crowding if arrives else crowding if leaves else 1))
        deed = self._chance.choices([deed for deed, _ in self._deeds], [max(w, 0) for w in weights])[0]
        if name := deed():
            self.done[name] = self.done.get(name, 0) + 1

    def begin(self, count: int) -> None:
        """A library that is there before the daemon."""
        for _ in range(count):
            self._copy_whole()

    def finish(self) -> None:
        """Let every slow copy come to its end."""
        while self._slow:
            self._go_on_slowly()
            time.sleep(0.05)

    def _go_on_slowly(self) -> None:
        for copy in list(self._slow):
            if next(copy, StopIteration) is StopIteration:
                self._slow.remove(copy)

    # --- arrivals ------------------------------------------------------------------------------------

    def _copy_whole(self) -> str:
        content, path = self._newcomer()
        data = content.data
        Path(path).write_bytes(data)
        self.model.put(path, content, data, f"copied here whole: {content.name}")
        return "arrival"

    def _copy_in_pieces(self) -> str:
        content, path = self._newcomer()
        photo = self.model.put(path, content, content.data, f"copied here in pieces: {content.name}")
        self._write_slowly(photo, Path(path).open("wb", buffering=0))  # noqa: SIM115 - a slow copy closes it
        return "arrival"

    def _arrive_by_rename(self) -> str:
        content, path = self._newcomer()
        name = Path(path).name
        temporary = Path(path).with_name(f"{name}.part" if self._chance.random() < 0.5 else f".{name}.XXXX")
        temporary.write_bytes(content.data)
        temporary.rename(path)
        self.model.put(path, content, content.data, f"renamed here from a temporary name: {content.name}")
        return "arrival"

    def _arrive_as_a_tree(self) -> str:
        tree = self._outside / f"card-{self._number()}"
        place = os.path.join(self._folder(), tree.name)
        within = {}
        for _ in range(self._chance.randint(2, 5)):
            content = self._content()
            name = os.path.join(self._chance.choice(["", "DCIM", "DCIM/100"]), self._name(content.suffix))
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content.data)
            within[name] = content
        tree.rename(place)
        for name, content in within.items():
            path = os.path.join(place, name)
            self.model.put(path, content, content.data, f"moved in with a tree: {content.name}")
        return "arrival"

    def _write_slowly(self, photo: Photo, file: FileIO) -> None:
        photo.is_busy = True
        data = photo.content.data

        def pieces() -> Iterator[None]:
            size = len(data) // self._chance.randint(1, 4) + 1
            with file:
                for start in range(0, len(data), size):
                    file.write(data[start : start + size])
                    following = time.monotonic() + self._chance.uniform(*PIECE_PAUSE_S)
                    while time.monotonic() < following:
                        yield
            photo.is_busy = False

        self._slow.append(pieces())

    # --- edits ---------------------------------------------------------------------------------------

    def _edit_pixels_in_place(self) -> str | None:
        if (photo := self._photo()) is None or photo.is_linked:
            return None
        content = self._content(photo.content.suffix)
        file = Path(photo.path).open("wb", buffering=0)  # noqa: SIM115 - a slow copy closes it
        self.model.put(photo.path, content, content.data, f"overwritten in place: {content.name}")
        self._write_slowly(photo, file)
        return "pixels edited"

    def _edit_pixels_by_rename(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        content = self._content(photo.content.suffix)
        temporary = Path(f"{photo.path}~")
        temporary.write_bytes(content.data)
        temporary.rename(photo.path)
        self.model.put(photo.path, content, content.data, f"replaced by a renamed file: {content.name}")
        photo.is_linked = False
        return "pixels edited"

    def _rate_in_the_sidecar(self) -> str | None:
        if (photo := self._photo()) is None or photo.content.score is None:
            return None
        path = sidecar_of(photo.path)
        before = self._sidecar_at(path)
        present = {before.get("xmp:Rating"), before.get("maclip:Stars")}
        rating = self._chance.choice([stars for stars in range(1, 6) if str(stars) not in present])
        age_s = time.time() - os.lstat(path).st_mtime if before else 0.0
        if before:
            self._other_program(path, "Xmp.xmp.Rating", str(rating))
        else:
            Path(path).write_text(_BARE_SIDECAR.format(rating=rating))
        after = self._sidecar_at(path)
        sidecar = self.model.sidecar(photo.path)
        photo.log.append(f"{rating} stars by a person in the sidecar: {present} became {after}")
        is_first = sidecar.rating is None and photo.embedded is None and "maclip:Stars" in before
        photo.unnoticed_until = "a start" if is_first and age_s > NOTICED_AFTER_S else "a look"
        if after.get("maclip:Stars") == str(rating):  # we wrote just before: nobody can tell them apart
            sidecar.is_stranger = True
            sidecar.rating, sidecar.frozen = None, None
            return "person's stars"
        sidecar.rating, sidecar.frozen = rating, Path(path).read_bytes()
        return "person's stars"

    def _rate_in_the_file(self) -> str | None:
        photo = self._photo()
        if photo is None or photo.is_linked or photo.content.suffix not in RATED_IN_THE_FILE:
            return None
        if photo.content.score is None:
            return None
        rating = self._chance.randint(1, 5)
        self._other_program(photo.path, "Xmp.xmp.Rating", str(rating))
        self.model.edited(photo, f"{rating} stars by a person in the file itself")
        photo.embedded = rating
        return "person's stars"

    def _label_in_the_sidecar(self) -> str | None:
        photo = self._photo()
        if photo is None or not self._sidecar_at(sidecar_of(photo.path)):
            return None
        path = sidecar_of(photo.path)
        label = f"label {self._number()}"
        self._other_program(path, "Xmp.xmp.Label", label)
        after = self._sidecar_at(path)
        photo.log.append(f"{label} by a person in the sidecar: {after}")
        sidecar = self.model.sidecar(photo.path)
        sidecar.label = label
        if sidecar.rating is not None:
            sidecar.frozen = Path(path).read_bytes()
        return "person's label"

    def _other_program(self, path: str, key: str, value: str) -> None:
        if self._exiftool and self._chance.random() < 0.5:
            name = key.removeprefix("Xmp.").replace(".", ":")
            command = [self._exiftool, "-q", "-overwrite_original", f"-xmp-{name}={value}", path]
        else:
            command = [sys.executable, "-c", _EXIV2, path, f"{key}={value}"]
        ended = subprocess.run(command, capture_output=True, timeout=OTHER_PROGRAM_S, check=False)
        assert ended.returncode == 0, f"{command}: {ended.stderr!r}"

    def _sidecar_at(self, path: str) -> dict[str, str]:
        return read_sidecar(path) or {}

    # --- moves ---------------------------------------------------------------------------------------

    def _rename(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        self._move(photo, os.path.join(self._folder(), self._name(photo.content.suffix)))
        return "rename"

    def _rename_over_another(self) -> str | None:
        photo = self._photo()
        if photo is None:
            return None
        other = self._photo(photo.content.suffix)
        if other is None or other is photo or other.is_linked or photo.is_linked:
            return None
        self._move(photo, other.path)
        return "rename over another"

    def _move(self, photo: Photo, new: str) -> None:
        old = photo.path
        takes_sidecar = self._chance.random() < 0.7 and os.path.lexists(sidecar_of(old))
        sidecar_first = self._chance.random() < 0.3
        if takes_sidecar and sidecar_first:
            Path(sidecar_of(old)).rename(sidecar_of(new))
        Path(old).rename(new)
        if takes_sidecar and not sidecar_first:
            Path(sidecar_of(old)).rename(sidecar_of(new))
        how = "with its sidecar" if takes_sidecar else "without its sidecar"
        self.model.moved(old, new, f"renamed {how} from {old!r}", with_sidecar=takes_sidecar)

    def _move_a_folder(self) -> str | None:
        folders = [folder for folder in self._folders() if folder != str(self._root)]
        if not folders:
            return None
        old = self._chance.choice(folders)
        parents = [folder for folder in self._folders() if not (folder + os.sep).startswith(old + os.sep)]
        new = os.path.join(self._chance.choice(parents), f"folder-{self._number()}")
        Path(old).rename(new)
        self.model.moved_folder(old, new, f"its folder was renamed to {new!r}")
        return "folder renamed"

    def _duplicate(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        path = os.path.join(self._folder(), self._name(photo.content.suffix))
        copy = shutil.copy2 if self._chance.random() < 0.5 else shutil.copyfile
        copy(photo.path, path)
        twin = self.model.put(path, photo.content, Path(path).read_bytes(), f"a copy of {photo.path!r}")
        twin.embedded = photo.embedded
        return "copy"

    def _link(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        path = os.path.join(self._folder(), self._name(photo.content.suffix))
        os.link(photo.path, path)
        twin = self.model.put(path, photo.content, Path(path).read_bytes(), f"a hard link of {photo.path!r}")
        twin.embedded = photo.embedded
        photo.is_linked = twin.is_linked = True
        photo.kept = None
        return "copy"

    def _make_a_folder(self) -> str:
        Path(self._folder(), f"folder-{self._number()}").mkdir()
        return "folder made"

    # --- departures ----------------------------------------------------------------------------------

    def _delete(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        with_sidecar = self._chance.random() < 0.6 and os.path.lexists(sidecar_of(photo.path))
        Path(photo.path).unlink()
        if with_sidecar:
            Path(sidecar_of(photo.path)).unlink()
            self.model.sidecars.pop(sidecar_of(photo.path), None)
        self.model.removed(photo.path, f"deleted, {'with' if with_sidecar else 'without'} its sidecar")
        return "deletion"

    def _delete_a_folder(self) -> str | None:
        folders = [folder for folder in self._folders() if folder != str(self._root)]
        if not folders:
            return None
        folder = self._chance.choice(folders)
        within = [path for path in self.model.photos if path.startswith(folder + os.sep)]
        if len(within) > self._most_photos / 6:
            return None
        for _ in range(20):  # a sidecar may be written into it while it is emptied
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.lexists(folder):
                break
        for path in within:
            self.model.removed(path, "deleted with its folder")
        for path in [path for path in self.model.sidecars if path.startswith(folder + os.sep)]:
            del self.model.sidecars[path]
        return "deletion"

    def _delete_a_sidecar(self) -> str | None:
        photo = self._photo()
        if photo is None or not os.path.lexists(sidecar_of(photo.path)):
            return None
        Path(sidecar_of(photo.path)).unlink()
        self.model.sidecars[sidecar_of(photo.path)] = Sidecar()
        photo.unnoticed_until = "a look"
        photo.log.append("its sidecar was deleted")
        return "sidecar deleted"

    def _move_out(self) -> str | None:
        if (photo := self._photo()) is None:
            return None
        trash = self._root / ".Trash-1000" if self._chance.random() < 0.3 else self._outside
        trash.mkdir(exist_ok=True)
        place = trash / f"lent-{self._number()}{photo.content.suffix}"
        Path(photo.path).rename(place)
        self.model.lend(photo.path, f"moved out to {str(place)!r}").path = str(place)
        return "moved out"

    def _move_back(self) -> str | None:
        if not self.model.lent:
            return None
        photo = self._chance.choice(self.model.lent)
        path = photo.was_at
        if not path or not self._is_free(path) or self._chance.random() < 0.5:
            path = os.path.join(self._folder(), self._name(photo.content.suffix))
        Path(photo.path).rename(path)
        self.model.returned(photo, path, f"came back to {path!r}")
        return "moved back"

    # --- choices -------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _name(self, suffix: str) -> str:
        return f"IMG{self._number():05d}{self._chance.choice(DECORATIONS)}{suffix}"

    def _content(self, suffix: str | None = None) -> Content:
        return self._chance.choice(
            [content for content in self._contents if suffix is None or content.suffix == suffix]
        )

    def _newcomer(self) -> tuple[Content, str]:
        content = self._content()
        path = os.path.join(self._folder(), self._name(content.suffix))
        if self._chance.random() < 0.15:  # the camera counts from the beginning again
            before = [old for old in self.model.gone if old.endswith(content.suffix) and self._is_free(old)]
            path = self._chance.choice(before) if before else path
        return content, path

    def _is_free(self, path: str) -> bool:
        return not os.path.lexists(path) and Path(path).parent.is_dir()

    def _photo(self, suffix: str | None = None) -> Photo | None:
        free = [
            photo
            for photo in self.model.photos.values()
            if not photo.is_busy and (suffix is None or photo.content.suffix == suffix)
        ]
        return self._chance.choice(free) if free else None

    def _folders(self) -> list[str]:
        """The folders in order, so that the same seed chooses the same."""
        found = []
        for folder, names, _ in os.walk(self._root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            found.append(folder)
        return found

    def _folder(self) -> str:
        return self._chance.choice(self._folders())
