"""How well scores agree with human opinion. Importing this package does not import torch."""
