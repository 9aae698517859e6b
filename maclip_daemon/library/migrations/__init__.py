"""Migrations of the library, run by `maclip_daemon.library.schema` when a database is opened."""
