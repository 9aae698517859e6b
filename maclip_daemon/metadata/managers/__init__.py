"""What photo managers keep in their own configuration: darktable's and digiKam's settings, read only."""
