"""The decoder process: reads hostile files in a sandbox, under limits of memory and processor time."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from maclip_daemon.processes import child_server, landlock, sandbox
from maclip_daemon.processes.frames import Header
from maclip_daemon.processes.limits import limit_memory, limit_processor_time, limit_threads


def main() -> None:
    """Serve `{"path", "name", "spool_path", "former_hash"}`, with the configuration of `decoder.Decoder`."""
    configuration = child_server.configuration()
    limit_threads()
    limit_memory(configuration["memory_mb"])
    # Imported under the limits, and after the thread counts are set: libraries read those when they load.
    from PIL import Image

    from maclip_daemon.iqa import protocols
    from maclip_daemon.iqa.photo_pixels import byte_count
    from maclip_daemon.photos import decoding, regular_file, spool
    from maclip_daemon.photos.picture_identity import strips

    Image.init()  # loads its readers: from within the sandbox it could not keep them compiled
    protocol = protocols.parse(configuration["protocol"])
    allowed = dict.fromkeys(configuration["folders"], landlock.READ)
    sandbox.enter({**allowed, configuration["spool"]: landlock.CREATE})

    def handle(header: Header, _payload: bytes) -> tuple[Header, bytes]:
        sandbox.require_reach(os.path.dirname(header["path"]))  # noqa: PTH120 - a string of any bytes
        # Twice its time on two cores: a backstop for a parent that is gone or stopped.
        limit_processor_time(4 * configuration["timeout_s"])
        with regular_file.opened(header["path"]) as file:
            decoded = decoding.decode(
                file,
                header["name"],
                protocol,
                max_megapixels=configuration["max_megapixels"],
                exif_rotation=configuration["exif_rotation"],
                two_steps=configuration["two_steps"],
                colour_conversion=configuration["colour_conversion"],
                former_hash=header["former_hash"],
            )
        image, tiles = decoded.image, decoded.tiles
        tile_count = 0 if tiles is None else tiles.height // tiles.width
        answer: dict[str, Any] = {
            "width": image.width,
            "height": image.height,
            "tiles": tile_count,
            "photo_width": decoded.photo_width,
            "photo_height": decoded.photo_height,
            "pixel_hash": decoded.pixel_hash,
            "former_hash": decoded.former_hash,
            "measures": None if decoded.measures is None else decoded.measures.as_json(),
            "taken_at": decoded.taken_at.isoformat() if decoded.taken_at else None,
            "shot": decoded.shot.as_json(),
            "descriptor": decoded.descriptor.hex(),
        }
        blocks = itertools.chain.from_iterable(strips(each) for each in (image, tiles) if each is not None)
        if byte_count(image.width, image.height, tile_count) <= spool.LARGEST_IN_PIPE:
            return {**answer, "spooled": False}, b"".join(blocks)
        spool.write(Path(header["spool_path"]), blocks)
        return {**answer, "spooled": True}, b""

    child_server.serve(handle)


if __name__ == "__main__":
    main()
