"""The authors' way, stated again for the measurement from the paper and its published equations.

One photo at a time: Pillow decodes all of it and squashes it to 448×448 (bicubic); crops of 224 by `unfold`
with a stride of 128 and the interpolated whole; OpenAI's ResNet in fp32, NCHW, batch norms as they are, all
tokens of the attention pool; five prompt pairs; Box-Cox magnitude; fusion view by view, and the mean. The
features of the prompts are computed once, before the clock starts. PyTorch takes all cores by itself.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from maclip_daemon.iqa.prompts import MACLIP_PAIRS, texts
from maclip_daemon.processes import child_server
from maclip_daemon.processes.frames import Header

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class Reference:
    """A CLIP in fp32 that judges one file at a time."""

    def __init__(self, checkpoint: Path, width: int, layers: tuple[int, ...]) -> None:
        with safe_open(checkpoint, framework="pt") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            prompts = json.loads(file.metadata()["prompts"])
        rows = state["prompts_features"]
        self.prompts = torch.stack([rows[prompts.index(text)] for text in texts(MACLIP_PAIRS)])
        self.scale = float(state["logit_scale"].exp())
        tower = {
            name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual")
        }
        embedding = tower["attnpool.c_proj.weight"].shape[0]
        self.tower = ModifiedResNet(list(layers), embedding, width * 32 // 64, image_size=224, width=width)
        self.tower.load_state_dict(tower)
        self.tower.eval()
        self.tower.attnpool.positional_embedding.data.zero_()  # switched off in the published code

    @staticmethod
    def decode(path: Path) -> Tensor:
        """A file → normalised pixels [1, 3, 448, 448]."""
        image = Image.open(path).convert("RGB").resize((448, 448), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, STD))
        return ((pixels - mean) / std).unsqueeze(0)

    @torch.no_grad()
    def score(self, pixels: Tensor) -> float:
        """Normalised pixels → the score."""
        crops = pixels.unfold(2, 224, 128).unfold(3, 224, 128)
        crops = crops.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 224, 224)
        whole = torch.nn.functional.interpolate(pixels, (224, 224), mode="bilinear", align_corners=False)
        features = self.tower(torch.cat([crops, whole]))
        directions = features / features.norm(dim=-1, keepdim=True)
        logits = (self.scale * directions @ self.prompts.T).reshape(len(features), -1, 2)
        similarity = logits.softmax(dim=-1)[..., 0].mean(dim=1)
        spread = features.abs() / (features.abs().std(dim=-1, keepdim=True) + 1e-6)
        magnitude = (((spread + 1).sqrt() - 1) / 0.5).mean(dim=-1)
        difference = similarity - magnitude
        weights = torch.stack([1.0 + difference, 0.6 - difference], dim=-1).softmax(dim=-1)
        return float((weights[:, 0] * similarity + weights[:, 1] * magnitude).mean())


def main() -> None:
    """Serve `{"decode": path}`, `{"judge": path}` and `{"views": n}`, each answered with its seconds."""
    configuration = child_server.configuration()
    reference = Reference(
        Path(configuration["checkpoint"]), configuration["width"], tuple(configuration["layers"])
    )

    def handle(header: Header, _payload: bytes) -> tuple[Header, bytes]:
        start = time.perf_counter()
        answer: Header = {}
        if "decode" in header:
            reference.decode(Path(header["decode"]))
        elif "judge" in header:
            answer["score"] = reference.score(reference.decode(Path(header["judge"])))
        else:
            views = torch.randn(header["views"], 3, 224, 224)
            start = time.perf_counter()
            with torch.no_grad():
                reference.tower(views)
        return {"seconds": time.perf_counter() - start, **answer}, b""

    child_server.serve(handle)


if __name__ == "__main__":
    main()
