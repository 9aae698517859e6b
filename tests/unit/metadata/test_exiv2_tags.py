from __future__ import annotations

from metadata_samples import DARKTABLE_SIDECAR

from maclip_daemon.metadata.content import exiv2_tags, xmp_text


def test_a_removed_property_does_not_come_back_from_exiv2s_mirror() -> None:
    changed = exiv2_tags.change_sidecar(DARKTABLE_SIDECAR, {"Xmp.dc.subject": None, "Xmp.dc.title": None})
    left = [path for path in xmp_text.read(changed) if "ubject" in path or "title" in path]
    assert left == ["/http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject[1]"]
    assert b"<dc:subject" not in changed
    assert b"<dc:title" not in changed
