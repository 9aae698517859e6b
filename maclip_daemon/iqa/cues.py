"""The cues: image features → similarity, magnitude, and their fusion. Pure functions of tensors.

Source: MA-CLIP, arXiv 2511.09948, section 3: the similarity of CLIP-IQA (arXiv 2207.12396, equation 3), the
Box-Cox transformed magnitude, and the confidence-guided fusion (equation 8). docs/iqa.md has the equations.
Shapes: V views, D dimensions of a feature, P prompt pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

_STD_EPSILON = 1e-6  # as in the published code: keeps a constant feature from dividing by zero


def pair_similarities(features: Tensor, prompts: Tensor, scale: float, temperature: float = 1.0) -> Tensor:
    """Return the agreement with the good prompt of each pair, [V, P] in 0…1 (CLIP-IQA, equation 3).

    That is softmax(scale·cos/temperature) over each pair. `features` [V, D]; `prompts` [2P, D] of length one,
    in the order good, bad; `scale` is exp(logit_scale). A zero feature has no direction: its cosines are 0,
    and it agrees with both sides equally, 0.5.
    """
    cosines = torch.nn.functional.normalize(features, dim=-1) @ prompts.T
    logits = (scale / temperature) * cosines
    return logits.reshape(len(features), -1, 2).softmax(dim=-1)[..., 0]


def q_sim(similarities: Tensor) -> Tensor:
    """Return the similarity cue of each view, [V] in 0…1: the mean over its pairs, from [V, P]."""
    return similarities.mean(dim=-1)


def box_cox(values: Tensor, box_cox_lambda: float) -> Tensor:
    """Return the Box-Cox transform of values + 1: ((v+1)^λ − 1)/λ, and log(v+1) at λ = 0. Any shape."""
    if box_cox_lambda == 0:
        return torch.log1p(values)
    return ((values + 1) ** box_cox_lambda - 1) / box_cox_lambda


def q_mag(features: Tensor, box_cox_lambda: float = 0.5) -> Tensor:
    """Return the magnitude cue of each view, [V] from features [V, D]; 0 for a zero feature (MA-CLIP).

    The absolute values are divided by their unbiased standard deviation over the D dimensions, Box-Cox
    transformed, and averaged over the dimensions.
    """
    magnitudes = features.abs()
    normalised = magnitudes / (magnitudes.std(dim=-1, keepdim=True, unbiased=True) + _STD_EPSILON)
    return box_cox(normalised, box_cox_lambda).mean(dim=-1)


def fusion_weights(
    similarity: Tensor,
    magnitude: Tensor,
    base_similarity: float = 1.0,
    base_magnitude: float = 0.6,
    alpha: float = 1.0,
) -> Tensor:
    """Return the weights of q_sim and q_mag, [V, 2] that add up to one; the stronger cue counts more.

    softmax([base_similarity + α·d, base_magnitude − α·d]) with d = q_sim − q_mag (MA-CLIP). `similarity` and
    `magnitude` are [V].
    """
    difference = similarity - magnitude
    return torch.stack(
        [base_similarity + alpha * difference, base_magnitude - alpha * difference], dim=-1
    ).softmax(dim=-1)


def fuse(similarity: Tensor, magnitude: Tensor, weights: Tensor) -> Tensor:
    """Return each view's score, [V] (MA-CLIP, equation 8): neither bounded by 1 nor monotonic in q_sim."""
    return weights[..., 0] * similarity + weights[..., 1] * magnitude
