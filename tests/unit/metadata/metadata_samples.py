from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy
import pyexiv2
import pytest
from PIL import Image

from maclip_daemon.metadata.records import Prepared, QualityProperties

QUALITY = QualityProperties(
    score=0.8123456,
    percentile=42.125,
    stars=4,
    metric="maclip",
    model="builtin",
    protocol="spaq448",
    scored_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)

# As darktable writes it: attributes, an edit history in order, masks, tags in two namespaces.
DARKTABLE_SIDECAR = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
   exif:DateTimeOriginal="2024:05:06 07:08:09.000"
   xmp:Rating="0"
   darktable:import_timestamp="63850000000000000"
   darktable:xmp_version="5"
   darktable:raw_params="0"
   darktable:auto_presets_applied="1"
   darktable:history_end="3"
   darktable:iop_order_version="4"
   darktable:history_basic_hash="0123456789abcdef">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Am Kai &amp; am Meer</rdf:li></rdf:Alt></dc:title>
   <dc:subject><rdf:Seq><rdf:li>Hafen</rdf:li><rdf:li>Kr\xc3\xa4ne</rdf:li></rdf:Seq></dc:subject>
   <lr:hierarchicalSubject><rdf:Seq><rdf:li>Orte|Hafen</rdf:li></rdf:Seq></lr:hierarchicalSubject>
   <darktable:masks_history><rdf:Seq/></darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="exposure" darktable:enabled="1"
      darktable:modversion="6" darktable:params="00000000000000000000803f00004842000080c000000000"
      darktable:multi_name="" darktable:multi_priority="0" darktable:blendop_version="11"
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
     <rdf:li darktable:num="1" darktable:operation="flip" darktable:enabled="1"
      darktable:modversion="2" darktable:params="03000000"
      darktable:multi_name="" darktable:multi_priority="0" darktable:blendop_version="11"
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
     <rdf:li darktable:num="2" darktable:operation="exposure" darktable:enabled="0"
      darktable:modversion="6" darktable:params="00000000000000000000004000004842000080c000000000"
      darktable:multi_name="2" darktable:multi_priority="1" darktable:blendop_version="11"
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

# As digiKam writes it: elements, other prefixes, labels and tag lists of its own.
DIGIKAM_SIDECAR = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/">
   <xmp:Rating>0</xmp:Rating>
   <acdsee:rating>0</acdsee:rating>
   <MicrosoftPhoto:Rating>0</MicrosoftPhoto:Rating>
   <digiKam:PickLabel>2</digiKam:PickLabel>
   <digiKam:ColorLabel>4</digiKam:ColorLabel>
   <digiKam:TagsList><rdf:Seq><rdf:li>Leute/Anna</rdf:li><rdf:li>Orte/Rom</rdf:li></rdf:Seq></digiKam:TagsList>
   <tiff:ImageDescription>
    <rdf:Alt><rdf:li xml:lang="de-DE">Gr\xc3\xbc\xc3\x9fe</rdf:li></rdf:Alt>
   </tiff:ImageDescription>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""

MakePhoto = Callable[..., Path]


def pixels(seed: int) -> Image.Image:
    noise = numpy.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=numpy.uint8)
    return Image.fromarray(noise)


@pytest.fixture
def make_photo(tmp_path: Path) -> MakePhoto:
    """Make a small photo; `tags` are exiv2 keys of XMP, EXIF and IPTC together."""

    def make(name: str = "IMG_1.jpg", seed: int = 1, **tags: object) -> Path:
        path = tmp_path / name
        kind = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF"}.get(name.rpartition(".")[2].lower())
        kind = kind or name.rpartition(".")[2].upper()
        buffer = io.BytesIO()
        pixels(seed).save(buffer, kind)
        data = buffer.getvalue()
        chosen = tags.get("tags", {})
        assert isinstance(chosen, dict)
        if chosen:
            with pyexiv2.ImageData(data) as image:
                image.modify_exif({key: value for key, value in chosen.items() if key.startswith("Exif")})
                image.modify_iptc({key: value for key, value in chosen.items() if key.startswith("Iptc")})
                image.modify_xmp({key: value for key, value in chosen.items() if key.startswith("Xmp")})
                data = image.get_bytes()
        path.write_bytes(data)
        return path

    return make


def with_packet(jpeg: bytes, packet: str) -> bytes:
    """Insert an XMP packet as the first segment of a JPEG that has none."""
    content = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode()
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def xmp_of(path: Path) -> dict[str, object]:
    with pyexiv2.ImageData(path.read_bytes()) as image:
        return dict(image.read_xmp())


def exif_of(path: Path) -> dict[str, object]:
    with pyexiv2.ImageData(path.read_bytes()) as image:
        return dict(image.read_exif())


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def accepted(prepared: Prepared) -> Prepared:
    assert prepared.status == "prepared", prepared
    return prepared
