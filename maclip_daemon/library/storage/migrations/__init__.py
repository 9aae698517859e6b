"""Migrations of the library, run by `maclip_daemon.library.storage.schema` when a database is opened."""
