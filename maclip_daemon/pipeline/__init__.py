"""The way of a photo: found, settled, decoded, scored, remembered, rated. The only room that knows them all.

`places` and `intake` find photos, `judging` scores them, `rating` gives and writes stars, `undoing` takes
them back, `recovery` mends what a killed run left, and `run` puts these together.
"""
