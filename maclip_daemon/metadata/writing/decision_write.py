"""A person's decision becomes the new content of the photo's rating files: all of them say the same then."""

from __future__ import annotations

from dataclasses import replace

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.content.second_reader import SecondReadingNeeded
from maclip_daemon.metadata.records import DecisionRequest, Prepared, UndoEntry
from maclip_daemon.metadata.sidecars import decision_properties, targets
from maclip_daemon.metadata.sidecars.read_metadata import PhotoMetadata
from maclip_daemon.metadata.sidecars.verdict import Verdict, judge
from maclip_daemon.metadata.writing import new_content, seed_update, undo_delta


def prepare(request: DecisionRequest) -> Prepared:
    """Prepare one file of a decision; `has_more` tells that another one of the photo's files is to follow.

    The status is `person` where another program has given the photo a rating that the person has not seen.
    Raises `NoSpace`, `FileChanged`, `Transient`.
    """
    try:
        with safe_writer.translate_errors(request.photo), PhotoFile(request.photo) as file:
            return _prepare(request, file, judge(file, request.last_written))
    except SecondReadingNeeded:
        raise
    except WriteRefused as refusal:
        return Prepared(request.photo, "skipped", request.rating or 0, reason=str(refusal))


def prepare_return(entry: UndoEntry) -> Prepared:
    """Prepare the bytes of before a decision.

    The status is `unchanged` where the file has them, and `skipped` when another program wrote it since.

    Raises `NoSpace`, `FileChanged`, `Transient`.
    """
    target = entry.target
    try:
        with safe_writer.translate_errors(target):
            data, status = safe_writer.read_regular(target)
            digest = safe_writer.digest(data)
            if digest == entry.before_hash:
                return Prepared(target, "unchanged", 0, target=target, before_hash=digest)
            if digest != entry.after_hash:
                raise WriteRefused(f"{target} was changed by another program since, and is left alone.")
            delta = undo_delta.UndoDelta.decode(entry.restore)
            old = delta.apply(data)
            if safe_writer.digest(old) != entry.before_hash:
                raise WriteRefused(f"The record of the decision for {target} is damaged; it is left alone.")
            safe_writer.require_writable(target)
            signature = ExactSignature.of(status)
            temporary = safe_writer.write_temporary(
                target, old, like=target, mode=delta.mode, unchanged=signature
            )
    except (WriteRefused, ValueError, KeyError, TypeError) as refusal:
        return Prepared(target, "skipped", 0, reason=str(refusal))
    back = undo_delta.between(data, old, mode=status.st_mode & 0o7777, mtime_ns=status.st_mtime_ns)
    return Prepared(
        target,
        "prepared",
        0,
        target=target,
        temporary=temporary,
        before_hash=entry.after_hash,
        after_hash=entry.before_hash,
        before_signature=signature,
        temporary_signature=safe_writer.signature_of_temporary(temporary),
        restore=back.encode(),
    )


def _prepare(request: DecisionRequest, file: PhotoFile, verdict: Verdict) -> Prepared:
    found = verdict.found
    result = Prepared(
        request.photo,
        "unchanged",
        request.rating if request.rating is not None else found.rating or 0,
        found=found,
        target=found.source,
        photo_signature=file.signature,
        owner=found.owner if request.rating is None else "person",
        beside=verdict.names,
    )
    known = (request.rating, request.seen or 0)
    if request.rating is not None and found.owner == "person" and (found.rating or 0) not in known:
        return replace(result, status="person", reason="another program rated this photo meanwhile")
    if verdict.refusal:
        raise WriteRefused(verdict.refusal)
    if verdict.sidecars:
        return _update(request, file, verdict, result)
    if verdict.embedded is None:
        return result
    return _begin(request, file, verdict.embedded, result)


def _update(request: DecisionRequest, file: PhotoFile, verdict: Verdict, result: Prepared) -> Prepared:
    """Bring the first sidecar that says something else in step."""
    stale = [each.metadata for each in verdict.sidecars if not _holds(request, each.metadata)]
    if not stale:
        return result
    for each in stale:  # all of them, or none
        safe_writer.require_writable(each.source)
    followed = seed_update.follow(stale[0], file, verdict.embedded)
    # The bytes of before are known, whoever wrote them: undo returns to them.
    known = replace(result, found=None)
    changed = new_content.update(request, file, stale[0], followed, known)
    return replace(changed, found=result.found, has_more=len(stale) > 1)


def _begin(request: DecisionRequest, file: PhotoFile, present: PhotoMetadata, result: Prepared) -> Prepared:
    """Write the photo's first rating file, or the photo itself where its stars are inside it."""
    is_inside = result.found is not None and result.found.owner == "maclip"
    is_persons = result.found is not None and result.found.owner == "person"
    wanted = decision_properties.wanted(request, present.values)
    if not wanted or (is_persons and decision_properties.is_up_to_date(present.values, wanted)):
        return result
    target = targets.choose(request.photo, "embed" if is_inside else request.mode, request.sidecar_name)
    if target.kind == "embed":
        try:
            return new_content.embed(request, file, present, result)
        except WriteRefused:
            if is_inside:  # a sidecar would contradict the stars inside
                raise
            target = targets.choose(request.photo, "sidecar", request.sidecar_name)
    return new_content.create(request, file, present, result, target)


def _holds(request: DecisionRequest, present: PhotoMetadata) -> bool:
    wanted = decision_properties.wanted(request, present.values)
    return decision_properties.is_up_to_date(present.values, wanted)
