"""The photo files that the library knows: states, renames, pairs, watched roots."""
