"""The library: everything the program remembers, in one SQLite file.

Nothing is imported here. `maclip status` needs `open_readonly` and `queries` alone (stdlib sqlite3); the
daemon pays for SQLAlchemy when it opens `database.Library`.
"""
