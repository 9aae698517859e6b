"""The science: pixels become a judgement of quality. Knows no library and no photo file.

Importing this package or its modules `protocols` and `models` does not import torch.
"""
