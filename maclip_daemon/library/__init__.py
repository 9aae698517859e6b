"""The library: everything the program remembers, in one SQLite file.

Nothing is imported here, so that `maclip status` pays for `reader` and `queries` alone (stdlib sqlite3), and
the daemon pays for SQLAlchemy when it opens `database.Library`.
"""
