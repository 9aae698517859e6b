"""Bursts: one large photo framed and spoilt many times, to learn and to measure what shows at full size."""
