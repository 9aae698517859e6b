"""Scoring: batches, devices, and the child process that owns torch. Importing it does not import torch."""
