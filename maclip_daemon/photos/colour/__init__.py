"""Stored colours become sRGB, as a photo manager shows them."""
