"""Stands first on the path of Ray's processes, so that they start as those of a user do.

A tool that writes the list of parts (`scripts/inventory`) brings the package of this name; the extra
`archive` does not. With it each of Ray's dozen processes spends 1.3 s on a grammar, which jsonschema imports.
"""

raise ImportError("not a package of maclip-daemon[archive]")
