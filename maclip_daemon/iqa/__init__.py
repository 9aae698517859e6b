"""The science: pixels become a quality score. Inference only; it knows no database and decodes no photo.

These modules do not import torch: `metrics`, `prompts`, `protocols`, `view_grid`, `view_size`, `tile_grid`,
`tile_cutting`, `fusion`, `photo_pixels`, `photo_score`, and in `models` the catalogue, `installed_models`,
`installing` and `open_clip_weights`.
"""
