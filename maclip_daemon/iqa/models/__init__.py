"""Models: the catalogue, installing, checkpoints, and building the towers. Inference only."""
