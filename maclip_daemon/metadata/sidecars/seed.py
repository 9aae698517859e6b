"""The seed of a sidecar that maclip made: what it copied from the photo, so that it can follow the photo.

`maclip:Seed` lists each copied top-level property by its name and a digest of its value. A property whose
digest still fits is the photo's; any other one is the work of a person or of another program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from blake3 import blake3

from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.sidecars import bucket_tags

SEED_KEY = f"Xmp.{xmp_text.PREFIX}.Seed"
NOTHING = "nothing"  # the only item where nothing was copied; XMP has no empty lists
_DIGEST_DIGITS = 16
_TOP_LEVEL = re.compile(r"/(?P<namespace>\S*) (?P<name>[^ /\[]+)(?P<rest>.*)", re.DOTALL)
_PREFIXES = {namespace: prefix for prefix, namespace in xmp_text.NAMESPACES.items()}
_RATINGS = frozenset({"xmp:Rating", "MicrosoftPhoto:Rating", "acdsee:rating"})


def items(leaves: xmp_text.Leaves) -> list[str]:
    """Return the value of `maclip:Seed` for a sidecar with these properties: `name digest` for each."""
    return [f"{name} {digest}" for name, digest in sorted(digests(leaves).items())] or [NOTHING]


def digests(leaves: xmp_text.Leaves) -> dict[str, str]:
    """Return a digest of each top-level property by its name; ours and the ratings are left out.

    Bucket tags do not count: they come and go with our writes.
    """
    values: dict[str, list[tuple[str, str]]] = {}
    for path, text in leaves.items():
        found = _TOP_LEVEL.fullmatch(path)
        if found is None or found["namespace"] == xmp_text.NAMESPACE:
            continue
        prefix = _PREFIXES.get(found["namespace"])
        name = f"{{{found['namespace']}}}{found['name']}" if prefix is None else f"{prefix}:{found['name']}"
        if name not in _RATINGS and not (name in bucket_tags.LIST_NAMES and bucket_tags.is_ours(text)):
            values.setdefault(name, []).append((found["rest"], text))
    return {name: _digest(value) for name, value in values.items()}


def is_whole(leaves: xmp_text.Leaves, seed: object) -> bool:
    """Return whether a sidecar was made by maclip, and all that is not ours is as it was copied."""
    if not isinstance(seed, list):
        return False
    copied = parse(seed)
    return all(copied.get(name) == digest for name, digest in digests(leaves).items())


def parse(seed: Iterable[object]) -> dict[str, str]:
    """Return the digests by name that `maclip:Seed` lists."""
    pairs = (str(item).rpartition(" ") for item in seed)
    return {name: digest for name, _, digest in pairs if name}


def _digest(value: Iterable[tuple[str, str]]) -> str:
    digest = blake3()
    for part in (text.encode("utf-8", "surrogatepass") for pair in sorted(value) for text in pair):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()[:_DIGEST_DIGITS]
