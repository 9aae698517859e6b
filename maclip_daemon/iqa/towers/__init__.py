"""Image towers as plain PyTorch modules: OpenAI's ResNet, and those of the built-in model.

They import no library of models: open_clip with what it imports takes longer to load than PyTorch itself, and
230 MB (docs/decisions/0057-own-modules-for-two-towers.md). Tests compare them with open_clip's and timm's.
"""
