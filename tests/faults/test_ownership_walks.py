"""A person, darktable, digiKam, exiftool and maclip work on one photo in random orders.

After each step of maclip the files are read without maclip and without exiv2, and must be what a small model
says: whose rating it is, and what else must still be there.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.faults.conftest import Figures
from tests.faults.program_writes import PREFIXES, Packet, name_of
from tests.faults.random_walks import walk, walked
from tests.faults.writers_machine import WritersMachine

STARS = st.integers(1, 5)
OURS = "{" + PREFIXES["maclip"] + "}"
IN_STEP = {name_of("xmp:Rating"), name_of("acdsee:rating")}


class OwnershipMachine(WritersMachine):
    """The same with maclip.

    Never: a person's rating changed or hidden, maclip's own taken for a person's, a property of others lost,
    anything of maclip left after undo.
    """

    @rule()
    def maclip_runs(self) -> None:
        before = self._before()
        self.world.run()
        self._check_rated(before)
        self._check_row()
        self._check_seed()

    @rule(stars=STARS)
    def maclip_rates(self, stars: int) -> None:
        before = self._before()
        self.world.rate(stars)
        self.model.is_undone = False
        self._check_rated(before)

    @precondition(lambda self: not self.has_moved)
    @rule()
    def maclip_undoes(self) -> None:
        before = self._before()
        results = self.world.undo()
        self.world.time_passes()
        # Of a sidecar that somebody deleted, nothing of maclip's is left, and nothing to restore either.
        assert all(result.is_done or not result.path.exists() for result in results), results
        self.model.is_undone = self.model.is_undone or bool(results)
        self.model.is_last_entry_undone = self.model.is_last_entry_undone or bool(results)
        self._check_undone(before)

    @rule(how=st.sampled_from(["lost", "begun anew", "backed up", "restored"]))
    def library_is(self, how: str) -> None:
        walked["faults"] += how != "backed up"
        if how in ("lost", "begun anew"):
            self.model.forget_what_only_the_library_knew()
        if how == "lost":
            self.world.lose_the_library()
            self.model.is_undone = self.model.is_last_entry_undone = False
            self.pristine.clear()
        elif how == "begun anew":
            self.world.restore(new=True)
            self.model.is_undone = self.model.is_last_entry_undone
        elif how == "backed up":
            self.world.back_up()
        elif self.world.has_backup:
            self.world.restore(new=False)

    def _before(self) -> dict[str, Packet]:
        """Return the metadata by file; remember the bytes of files that hold nothing of maclip yet."""
        for file in self.files():
            if not file.exists() or Packet.of(file).stars is None:
                self.pristine[self.kind(file)] = file.read_bytes() if file.exists() else None
        return {self.kind(file): Packet.of(file) for file in self.files() if file.exists()}

    def _check_rated(self, before: dict[str, Packet]) -> None:
        self.has_moved = False
        self._follow(before)
        self._check_others(before)
        persons = self.model.persons()
        owner, problem = self.world.row()
        assert problem is None, problem
        seen = self.visible().rating or 0
        # Where nobody's is seen, a person took their own rating away there.
        slot = self.slot(self.source())
        if persons and slot.by != "nobody":
            assert seen in persons.values(), f"the person's {persons} is hidden: {seen} is seen"
        elif persons:
            assert self.kind(self.source()) not in self.changed(before)
        elif owner == "person":  # who took their own star back; it is not known before somebody asks
            # A photo that lost all its metadata has not told that: what maclip had copied from it stays.
            is_kept = slot.is_last_written_by_maclip and Packet.of(self.world.photo).rating is None
            assert is_kept or seen in (0, self.visible().stars), f"{seen} is neither a person's nor maclip's"
        elif not self.model.is_undone:
            assert seen == self.world.stars, f"{seen} in place of maclip's {self.world.stars}"

    def _check_row(self) -> None:
        """Check what the library says after a run; `maclip rate` does not look at files without need.

        A person's star in the photo that is the same as maclip's in the sidecar counts once others are due.
        """
        persons = self.model.persons()
        if persons == {"photo": self.visible().rating} and self.slot(self.source()).by == "maclip":
            return
        owner, problem = self.world.row()
        if persons and not problem and not self.model.is_undone:
            assert owner == "person", f"the library says {owner} of the person's {persons}"

    def _check_seed(self) -> None:
        """Check that a title that the photo got later arrived in maclip's sidecar, if nobody titled that."""
        if self.model.is_undone or self.model.persons() or self.slot(self.source()).by != "maclip":
            return
        title, packet = name_of("dc:title"), self.visible()
        present = packet.values().get(title)
        if packet.text("maclip:Seed") and present == self.seeded[self.kind(self.source())].get(title):
            expected = Packet.of(self.world.photo).values().get(title)
            assert present == expected, f"the title {present} hides the photo's {expected}"

    def changed(self, before: dict[str, Packet]) -> list[str]:
        """Return the files with other properties than before."""
        now = {kind: packet.values() for kind, packet in self._before().items()}
        was = {kind: packet.values() for kind, packet in before.items()}
        return sorted(kind for kind in now.keys() | was.keys() if now.get(kind) != was.get(kind))

    def _follow(self, before: dict[str, Packet]) -> None:
        """Take over into the model what maclip wrote; it may write over nothing that a person wrote."""
        for file in self.files():
            kind, packet = self.kind(file), Packet.of(file)
            if not file.exists() or (kind in before and before[kind].values() == packet.values()):
                continue
            slot = self.slot(file)
            if slot.by == "person":
                assert (packet.rating or 0) == (slot.rating or 0), f"a person's rating changed in {kind}"
            else:
                slot.rating, slot.by = packet.rating, "maclip"
            slot.stars, slot.is_last_written_by_maclip = packet.stars, True
            slot.holds_copy = packet.text("maclip:Followed") is not None
            self.model.is_last_entry_undone = False
            if kind not in before:
                self.seeded[kind] = _others(packet)

    def _check_others(self, before: dict[str, Packet]) -> None:
        """Check what is not of maclip: unchanged, except that what came from the photo follows the photo."""
        photo = _others(Packet.of(self.world.photo))
        for file in self.files():
            kind = self.kind(file)
            if kind not in before:
                continue
            assert file.exists(), f"{kind} is gone"
            was, present, seeded = _others(before[kind]), _others(Packet.of(file)), self.seeded.get(kind, {})
            for name in was.keys() | present.keys():
                if present.get(name) != was.get(name):
                    assert was.get(name) == seeded.get(name), f"{name} of {kind} is lost: {was[name]}"
                    assert present.get(name) == photo.get(name), f"{name} of {kind} comes from nowhere"
                    seeded = {**seeded, name: present.get(name, "")}
            self.seeded[kind] = {name: text for name, text in seeded.items() if text}

    def _check_undone(self, before: dict[str, Packet]) -> None:
        for file in self.files():
            kind = self.kind(file)
            if kind not in before:
                assert not file.exists(), f"undo made {kind}"
                continue
            was, slot = before[kind], self.slot(file)
            if self.model.is_undone and kind in self.pristine and was.stars is not None:
                present = file.read_bytes() if file.exists() else None
                assert present == self.pristine.pop(kind), f"undo did not restore the bytes of {kind}"
            if not file.exists():
                left = {
                    name: text for name, text in _others(was).items() if text != self.seeded[kind].get(name)
                }
                assert not left, f"undo removed {kind} with {left}"
                assert slot.by != "person" or not slot.rating, f"undo removed {kind} with a person's rating"
                self.model.slots.pop(kind)
                self.seeded.pop(kind, None)
                continue
            packet = Packet.of(file)
            ours = [name for name in packet.values() if name.startswith(OURS)]
            assert not ours or (was.values() == packet.values() and not self.model.is_undone), ours
            others, copied = _others(packet), self.seeded.get(kind, {})
            kept = {name: text for name, text in _others(was).items() if text != copied.get(name)}
            assert kept.items() <= others.items(), f"undo changed what others wrote into {kind}"
            assert others.items() <= _others(was).items(), f"undo added to {kind}"
            if slot.by == "person" and slot.rating:
                assert packet.rating == slot.rating, f"undo changed a person's rating in {kind}"
            elif slot.by == "maclip" and self.model.is_undone:
                slot.rating, slot.by = packet.rating, "nobody"
            elif not self.world.is_known:
                slot.by = "nobody"  # nothing is left that tells of the stars that a person took away
            slot.stars, slot.holds_copy = packet.stars, packet.text("maclip:Followed") is not None


def _others(packet: Packet) -> dict[str, str]:
    return {
        name: text
        for name, text in packet.values().items()
        if not name.startswith(OURS) and name not in IN_STEP
    }


def test_everybody_knows_whose_rating_it_is(full: bool, figures: Figures) -> None:
    walk(OwnershipMachine, examples=2000 if full else 100, steps=20, full=full)
    counted = {name: walked[name] for name in ("rounds", "files", "faults")}
    figures(**counted, note="walks of a person, darktable, digiKam, exiftool and maclip over one photo")
