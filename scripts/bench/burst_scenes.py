"""Burst scenes: frames of one large photo, sharp and faulty, as the JPEG files that a camera would write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from maclip_daemon.training.bursts.camera_faults import REFERENCE_EDGE, Fault, apply_fault
from maclip_daemon.training.bursts.large_photos import LargePhoto, read_large
from maclip_daemon.training.bursts.reframing import Framing, framed, random_framing

JPEG_QUALITY = 93
SHARP = 3  # sharp frames of each scene, each framed anew
MILD = (Fault("motion", 6), Fault("focus", 2.5), Fault("shake", 8), Fault("noise", 6))
STRENGTHS = {"mild": 1.0, "moderate": 2.0, "strong": 4.0}
SIGMAS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
STOPS = (-1.0, 1.0, 2.0)


@dataclass(frozen=True)
class SceneFrame:
    """One frame of a scene."""

    label: str
    """`sharp 0`, `mild motion`, `blur 1.5`, `exposure +2`, `grey`, `mirrored`, …"""
    framing: Framing
    fault: Fault
    seed: int = 0


def frames_of(generator: np.random.Generator) -> list[SceneFrame]:
    """Return the frames of one scene; the grey and the mirrored one are copies of the first."""
    sharp = [SceneFrame(f"sharp {n}", random_framing(generator), Fault("none")) for n in range(SHARP)]
    faulty = [
        (f"{name} {fault.kind}", Fault(fault.kind, fault.strength * times))
        for name, times in STRENGTHS.items()
        for fault in MILD
    ]
    faulty += [(f"blur {sigma:g}", Fault("blur", sigma)) for sigma in SIGMAS]
    faulty += [(f"exposure {stops:+g}", Fault("exposure", stops)) for stops in STOPS]
    frames = [
        SceneFrame(label, random_framing(generator), fault, int(generator.integers(2**31)))
        for label, fault in faulty
    ]
    copies = [SceneFrame(label, sharp[0].framing, Fault("none")) for label in ("grey", "mirrored")]
    return [*sharp, *frames, *copies]


def write_scene(photo: LargePhoto, folder: Path, long_edge: int, seed: int) -> dict[str, Path]:
    """Write the frames of one scene where a complete folder does not have them; return label → file."""
    frames = frames_of(np.random.default_rng(seed))
    written = {frame.label: folder / f"{number:02}.jpg" for number, frame in enumerate(frames)}
    complete = folder / f"complete-{long_edge}-{seed}"
    if complete.is_file():
        return written
    folder.mkdir(parents=True, exist_ok=True)
    image = read_large(photo, long_edge)
    for frame in frames:
        pixels = np.asarray(framed(image, frame.framing))
        scale = max(pixels.shape[:2]) / REFERENCE_EDGE
        picture = Image.fromarray(apply_fault(pixels[None], frame.fault, scale, frame.seed)[0])
        if frame.label == "grey":
            picture = picture.convert("L").convert("RGB")
        if frame.label == "mirrored":
            picture = ImageOps.mirror(picture)
        picture.save(written[frame.label], quality=JPEG_QUALITY)
    complete.touch()
    return written
