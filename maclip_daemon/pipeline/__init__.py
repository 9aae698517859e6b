"""The way of a photo: found, settled, decoded, scored, remembered, rated. The only room that knows them all.

`places`, `intake` and `reconciliation` find photos; `score_jobs` and `judging` score them; `wholeness`
holds back work on those that are being written; `calibrating` says where stars begin, `rating` writes
them, `undoing` takes them back; `recovery` mends what a killed run left; `run` puts these together.
`scoring_run` and `restarring` are for `maclip score` and `maclip rate`.
"""
