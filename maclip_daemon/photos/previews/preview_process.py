"""The preview process: a photo file in, JPEG pictures out, in a sandbox like that of the decoders."""

from __future__ import annotations

import gc
import io
import os
from typing import TYPE_CHECKING

from maclip_daemon.processes import child_server, landlock, sandbox
from maclip_daemon.processes.frames import Header
from maclip_daemon.processes.limits import limit_memory, limit_processor_time, limit_threads

if TYPE_CHECKING:
    from PIL import Image

GRID_EDGE = 320  # pixels; made from each larger preview along the way


def main() -> None:
    """Serve `{"path", "name", "long_edge"}`, with the configuration of `previewer.Previewer`.

    The answer has the picture, and a small one for the grid, one after the other in the payload.
    """
    configuration = child_server.configuration()
    gc.set_threshold(20_000)  # libraries make many objects, hardly one in a circle; a person waits
    limit_threads()
    limit_memory(configuration["memory_mb"])
    # Imported under the limits, and after the thread counts are set: libraries read those when they load.
    from PIL import Image

    from maclip_daemon.iqa import protocols
    from maclip_daemon.photos import decoding, regular_file

    Image.init()  # loads its readers: from within the sandbox it could not keep them compiled
    sandbox.enter(dict.fromkeys(configuration["folders"], landlock.READ))

    def handle(header: Header, _payload: bytes) -> tuple[Header, bytes]:
        sandbox.require_reach(os.path.dirname(header["path"]))  # noqa: PTH120 - a string of any bytes
        limit_processor_time(4 * configuration["timeout_s"])
        with regular_file.opened(header["path"]) as file:
            shown, (width, height) = decoding.decode_picture(
                file,
                header["name"],
                protocols.parse(f"long-edge-{header['long_edge']}"),
                max_megapixels=configuration["max_megapixels"],
            )
        picture = encoded(shown, header["quality"])
        small = shown.copy()
        small.thumbnail((GRID_EDGE, GRID_EDGE), reducing_gap=2.0)
        grid = encoded(small, 80)
        return {"sizes": [len(picture), len(grid)], "width": width, "height": height}, picture + grid

    child_server.serve(handle)


def encoded(image: Image.Image, quality: int) -> bytes:
    """Return a picture as JPEG; fine colours stay sharp from a quality of 90 on."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
