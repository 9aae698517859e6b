"""digikamrc as KDE's libraries write it."""

from __future__ import annotations

from maclip_daemon.metadata.managers import digikamrc

TEXT = """\
[$Version]
update_info=x

[Album Settings]
Save Rating=false

[Metadata Settings]
Save Rating = true
Save Rating[de]=false
ExifTool Path[$e]=$HOME/bin
Metadata Writing Mode[$i]=2
Use Compatible File Name=true
Use Compatible File Name[$d]
# Rescan File If Modified=true
[Metadata Settings][Deeper]
Rescan File If Modified=true

[Metadata Settings][$i]
Use XMP Sidecar For Reading=1
Save Rating=yes
"""


def test_only_the_keys_of_the_section_itself_count() -> None:
    assert digikamrc.section(TEXT, "Metadata Settings") == {
        "Save Rating": "yes",
        "ExifTool Path": "$HOME/bin",
        "Metadata Writing Mode": "2",
        "Use XMP Sidecar For Reading": "1",
    }
    assert digikamrc.section(TEXT, "Metadata Settings][Deeper") == {"Rescan File If Modified": "true"}
    assert digikamrc.section("", "Metadata Settings") == {}
