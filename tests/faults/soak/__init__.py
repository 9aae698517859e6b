"""The parts of the soak: a model, hands that change a library at random, and the daemon they do it to."""
