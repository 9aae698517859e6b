"""Benchmarks of the program: `scripts/bench/run --help` lists them."""
