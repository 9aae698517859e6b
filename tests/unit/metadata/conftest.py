from metadata_samples import make_photo

__all__ = ["make_photo"]
