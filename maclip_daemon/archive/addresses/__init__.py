"""Addresses: a file server of our own, and in one sentence what is wrong with an address."""
