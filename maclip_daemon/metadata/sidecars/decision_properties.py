"""A person's decision in XMP: the rating, the flags of a pick or a reject, and the mark of a person.

xmp:Rating -1 is a reject in darktable, Lightroom and Bridge. digiKam reads it as unrated and has a label of
its own, and newer Lightrooms have a flag; where those flags are asked for, or there already, they follow.
"""

from __future__ import annotations

from maclip_daemon.metadata.content.xmp_text import Wanted
from maclip_daemon.metadata.records import REJECTED, DecisionRequest
from maclip_daemon.metadata.sidecars import ownership, write_proof

LABEL_KEY, PICK_LABEL = "Xmp.xmp.Label", "Green"  # darktable's green colour label, and Lightroom's
_DIGIKAM = {REJECTED: "1", 0: "0", 1: "3"}  # rejected, none, accepted


def wanted(request: DecisionRequest, present: ownership.Values) -> Wanted:
    """Return the values by exiv2 key for a file that holds `present`; None removes a property."""
    values: Wanted = {}
    if request.rating is not None:
        values[ownership.RATING_KEY] = str(request.rating)
        values.update(ownership.synchronized_fields(present, request.rating))
        is_persons = ownership.owner_of(present, request.last_written)[0] == "person"
        is_ours = ownership.DECISION_KEY in present or ownership.FOLLOWED_KEY in present
        if not is_persons or is_ours:
            values[ownership.DECISION_KEY] = str(request.rating)
            values[ownership.FOLLOWED_KEY] = None
            values[write_proof.PROOF_KEY] = None
    values.update(_flags(request, present))
    return values


def is_up_to_date(present: ownership.Values, values: Wanted) -> bool:
    """Return whether the file holds these values, so that nothing needs to be written."""
    return all(present.get(key) == value for key, value in values.items())


def _flags(request: DecisionRequest, present: ownership.Values) -> Wanted:
    """Return the flags of other programs: those asked for, and those in the file that would contradict."""
    state = _flag_state(request, present)
    if state is None:
        return {}
    is_asked = request.pick_marks == "flags" and state != 0
    flags: Wanted = {}
    if is_asked or ownership.PICK_LABEL_KEY in present:
        flags[ownership.PICK_LABEL_KEY] = _DIGIKAM[state]
    if is_asked or ownership.PICK_KEY in present:
        flags[ownership.PICK_KEY] = str(state)
    if ownership.GOOD_KEY in present:
        flags[ownership.GOOD_KEY] = None if state == 0 else str(state > 0)
    if request.pick_marks == "label" and request.pick is not None:
        has_label = present.get(LABEL_KEY) == PICK_LABEL
        if request.pick or has_label:
            flags[LABEL_KEY] = PICK_LABEL if request.pick else None
    return flags


def _flag_state(request: DecisionRequest, present: ownership.Values) -> int | None:
    """Return -1 for rejected, 1 for picked, 0 for neither; None where the flags stay as they are."""
    if request.rating == REJECTED:
        return REJECTED
    if request.pick is not None:
        return int(request.pick)
    if request.rating is not None and ownership.is_rejected(present):
        return 0
    return None
