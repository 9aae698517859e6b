"""The scoring process: `scorer_client` starts it, and a closed pipe ends it."""

from __future__ import annotations

import gc
from typing import NoReturn

from maclip_daemon.processes import child_server


def main() -> NoReturn:
    """Serve the requests of `scoring_server`."""
    # PyTorch makes a million objects when it loads, hardly one in a circle; to look for them took a seventh.
    gc.disable()
    from maclip_daemon.scoring.scoring_server import ScoringServer

    server = ScoringServer(child_server.configuration())
    gc.freeze()
    gc.enable()
    child_server.serve(server)


if __name__ == "__main__":
    main()
