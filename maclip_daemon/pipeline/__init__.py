"""A photo's way: found, settled, decoded, scored, rated. The only room that knows all of its steps.

The floors, from top to bottom (import-linter checks them):

* `run` puts the stages together for the daemon; `commands` are `maclip score`, `rate` and `undo`.
* `discovery` finds photos, `scoring` scores them, `rating` writes their stars. None imports another.
* `recovery` repairs what a killed run left; `known_roots`, `file_stability`, `pairing` and `worker_count`
  serve several stages.
* `run_state` is what the threads of a run share, with its `waits` and its `heartbeat`.
"""
