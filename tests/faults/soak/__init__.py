"""Parts of the soak test: a simulated user, a model of the library, and the daemon."""
