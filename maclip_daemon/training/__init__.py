"""Training: alignment of a CLIP to image quality (QualiCLIP), and the built-in model.

Nothing that judges photos imports it; `scripts/train_builtin` runs it.
"""
