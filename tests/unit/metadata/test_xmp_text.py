from __future__ import annotations

import pytest
from metadata_samples import DARKTABLE_SIDECAR

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import xmp_text

BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" title="&b;"/></rdf:RDF></x:xmpmeta>"""
STRANGER = BOMB.replace(b'"aaaaaaaaaa"', b'SYSTEM "file:///etc/passwd"')


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BOMB, "document type"),
        (STRANGER, "document type"),
        (b"", "not well-formed"),
        (DARKTABLE_SIDECAR[:700], "not well-formed"),
        (b"\0" * 500, "not well-formed"),
        (b"<html/>", "not XMP"),
        (b"<a>" * 300 + b"</a>" * 300, "nested too deeply"),
        (b"<a>" + b"".join(b"<b%d/>" % n for n in range(3000)) + b"</a>", "too many properties"),
        (b"<a>" + b"".join(b"<b xmlns:b%d='b'/>" % n for n in range(600)) + b"</a>", "too many namespaces"),
        (b" " * (xmp_text.SIZE_LIMIT + 1), "more than 16 MiB"),
    ],
)
def test_hostile_xml_is_refused_before_any_parser(data: bytes, reason: str) -> None:
    with pytest.raises(WriteRefused, match=reason):
        xmp_text.read(data)


def test_every_value_is_read_with_its_full_name_and_position() -> None:
    leaves = xmp_text.read(DARKTABLE_SIDECAR)
    history = "/http://darktable.sf.net/ history"
    assert leaves[f"{history}[2]/http://darktable.sf.net/ operation"] == "flip"
    assert leaves[f"{history}[3]/http://darktable.sf.net/ multi_name"] == "2"
    assert leaves["/http://purl.org/dc/elements/1.1/ title[x-default]"] == "Am Kai & am Meer"
    assert leaves["/http://purl.org/dc/elements/1.1/ subject[2]"] == "Kräne"


def test_a_familiar_prefix_with_another_meaning_is_refused_but_another_prefix_is_not() -> None:
    xap = b"http://ns.adobe.com/xap/1.0/"
    with pytest.raises(xmp_text.ForeignPrefix, match="binds the prefix xmp"):
        xmp_text.read(DARKTABLE_SIDECAR.replace(xap, b"http://example.org/mine/"))
    old_adobe = DARKTABLE_SIDECAR.replace(b"xmlns:xmp=", b"xmlns:xap=").replace(b"xmp:Rating", b"xap:Rating")
    assert xmp_text.read(old_adobe) == xmp_text.read(DARKTABLE_SIDECAR)


def test_damaged_text_misleads_only_where_it_binds_a_familiar_prefix_anew() -> None:
    assert not xmp_text.may_mislead(DARKTABLE_SIDECAR[:700])
    assert not xmp_text.may_mislead(b"<x xmlns:mine='http://example.org/' xmlns:xmp = 'cut off")
    assert xmp_text.may_mislead(
        DARKTABLE_SIDECAR[:700].replace(b"http://ns.adobe.com/xap/1.0/", b"http://x/")
    )
    assert xmp_text.may_mislead(b"<x xmlns:xmp\n=\n'&#104;ttp://ns.adobe.com/xap/1.0/'>")
    assert xmp_text.may_mislead(DARKTABLE_SIDECAR.decode().encode("utf-16"))
    assert xmp_text.may_mislead(b"".join(b" xmlns:a%d='a'" % number for number in range(600)))


def test_lost_altered_and_reordered_values_are_noticed() -> None:
    before = xmp_text.read(DARKTABLE_SIDECAR)
    assert xmp_text.lost(before, before, frozenset()) == []
    for old, new in [
        (b"Hafen</rdf:li><rdf:li>Kr\xc3\xa4ne", b"Kr\xc3\xa4ne</rdf:li><rdf:li>Hafen"),
        (b'darktable:operation="flip"', b""),
        (b"am Meer", b"am  Meer"),
    ]:
        assert xmp_text.lost(before, xmp_text.read(DARKTABLE_SIDECAR.replace(old, new)), frozenset())


def test_a_single_text_may_become_a_list_of_one() -> None:
    assert xmp_text.lost({"/dc subject": "a"}, {"/dc subject[1]": "a"}, frozenset()) == []
    assert xmp_text.lost({"/dc title": "a"}, {"/dc title[x-default]": "a"}, frozenset()) == []
    assert xmp_text.lost({"/dc title": "a"}, {"/dc title[x-default]": "b"}, frozenset()) == ["/dc title"]
    assert xmp_text.lost({"/xmp Rating": "1"}, {}, frozenset({"/xmp Rating"})) == []


@pytest.mark.parametrize("name", ["iso-8859-", "no-such-encoding", "utf-7", "shift_jis"])
def test_an_encoding_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(WriteRefused, match="encoding"):
        xmp_text.read(f"<?xml version='1.0' encoding='{name}'?><a/>".encode())
