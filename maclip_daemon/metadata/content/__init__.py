"""What metadata files hold: XMP text, exiv2 tags, image containers."""
