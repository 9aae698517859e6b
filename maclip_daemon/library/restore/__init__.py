"""Restore: a backup or a new library takes over the journal of the library in use."""
