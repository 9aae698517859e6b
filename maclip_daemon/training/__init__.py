"""Training: alignment of a CLIP to image quality (QualiCLIP), and the built-in model."""
