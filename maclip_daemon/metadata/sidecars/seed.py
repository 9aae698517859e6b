"""The seed of a sidecar that maclip made: what it copied from the photo, so that it can follow the photo.

`maclip:Seed` lists each copied top-level property by its name and a digest of its value. A property whose
digest still fits is the photo's; any other one is the work of a person or of another program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from blake3 import blake3

from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.sidecars import bucket_tags

SEED_KEY = f"Xmp.{xmp_text.PREFIX}.Seed"
_PHOTO = "photo"  # the name of the first item, whose digest is that of the photo's metadata as a whole
_DIGEST_DIGITS = 16
_PREFIXES = {namespace: prefix for prefix, namespace in xmp_text.NAMESPACES.items()}
_OURS = f"/{xmp_text.NAMESPACE} "
_RATINGS = frozenset({"xmp:Rating", "MicrosoftPhoto:Rating", "acdsee:rating"})


@dataclass(frozen=True)
class Seed:
    """What was copied from the photo, each property by its name with a digest of its value."""

    photo: str
    """A digest of the photo's metadata; while it is the same, there is nothing new to copy."""
    copied: dict[str, str]

    @classmethod
    def of(cls, photo: str, leaves: xmp_text.Leaves) -> Seed:
        """Return the seed of a new sidecar with these properties."""
        return cls(photo, digests(leaves))

    @classmethod
    def parse(cls, value: object) -> Seed | None:
        """Return the seed that `maclip:Seed` holds; None where it is none."""
        if not isinstance(value, list):
            return None
        pairs = {name: digest for name, _, digest in (str(item).rpartition(" ") for item in value)}
        return cls(pairs.pop(_PHOTO, ""), pairs)

    def items(self) -> list[str]:
        """Return the value of `maclip:Seed`: `name digest` for each property, the photo first."""
        return [f"{_PHOTO} {self.photo}", *(f"{name} {self.copied[name]}" for name in sorted(self.copied))]

    def is_all_of(self, leaves: xmp_text.Leaves) -> bool:
        """Return whether all that is not ours in a sidecar is as it was copied."""
        return all(self.copied.get(name) == digest for name, digest in digests(leaves).items())

    def with_tag_lists(self, before: xmp_text.Leaves, wanted: xmp_text.Wanted) -> Seed:
        """Return the seed with the tag lists that our write of the bucket tags makes of others.

        `before`: the sidecar. `wanted`: what is to be written into it.
        """
        made = {}
        for key, name in zip(bucket_tags.LIST_KEYS, bucket_tags.LIST_NAMES, strict=True):
            items = wanted.get(key)
            theirs = [] if items is None else [each for each in items if not bucket_tags.is_ours(each)]
            if theirs and name not in digests(before):
                made[name] = _digest((f"[{number}]", tag) for number, tag in enumerate(theirs, start=1))
        return Seed(self.photo, self.copied | made) if made else self

    def follow(self, present: xmp_text.Leaves, fresh: Seed) -> SeedChange:
        """Return how a sidecar that holds `present` follows its photo, whose seed is `fresh` today.

        What a person or another program changed, removed or added stays so.
        """
        now = digests(present)
        unchanged = {name for name, digest in self.copied.items() if now.get(name) == digest}
        outdated = {name for name in unchanged if fresh.copied.get(name) != self.copied[name]}
        new = {name for name in fresh.copied if name not in now and name not in self.copied}
        renewed = {name: fresh.copied[name] for name in outdated | new if name in fresh.copied}
        kept = {name: digest for name, digest in self.copied.items() if name not in outdated}
        return SeedChange(frozenset(outdated), frozenset(renewed), Seed(fresh.photo, kept | renewed))


@dataclass(frozen=True)
class SeedChange:
    """How a sidecar follows its photo; properties are named as in the seed."""

    outdated: frozenset[str]
    """Properties to take out: the photo holds them no more, or other values."""
    renewed: frozenset[str]
    """Properties to copy from the photo."""
    seed: Seed


def digests(leaves: xmp_text.Leaves) -> dict[str, str]:
    """Return a digest of each top-level property by its name; ours and the ratings are left out.

    Bucket tags do not count: they come and go with our writes.
    """
    values: dict[str, list[tuple[str, str]]] = {}
    for path, text in leaves.items():
        if path.startswith(_OURS):
            continue
        namespace, local, rest = xmp_text.top_level(path)
        name = name_of(namespace, local)
        is_tag = name in bucket_tags.LIST_NAMES and bucket_tags.is_ours(text)
        if name not in _RATINGS and not is_tag:
            values.setdefault(name, []).append((rest, text))
    return {name: _digest(value) for name, value in values.items()}


def name_of(namespace: str, local: str) -> str:
    """Return how the seed calls a property: `dc:title`, or with its whole namespace if we use no prefix."""
    prefix = _PREFIXES.get(namespace)
    return f"{{{namespace}}}{local}" if prefix is None else f"{prefix}:{local}"


def is_whole(leaves: xmp_text.Leaves, value: object) -> bool:
    """Return whether maclip made a sidecar, and all that is not ours in it is as it was copied.

    `value`: that of `maclip:Seed`.
    """
    recorded = Seed.parse(value)
    return recorded is not None and recorded.is_all_of(leaves)


def _digest(value: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a property: of the texts in it, with their paths within it."""
    return short_digest(text for pair in sorted(value) for text in pair)


def short_digest(texts: Iterable[str]) -> str:
    """Return 16 hexadecimal digits for these texts, in this order."""
    digest = blake3()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest.hexdigest()[:_DIGEST_DIGITS]
