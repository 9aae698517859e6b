"""OpenAI's ResNet as own modules is the one of open_clip, without the positional embedding."""

from __future__ import annotations

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from maclip_daemon.iqa.towers.resnet_tower import MeanTokenPool, ResNetTower

LAYERS, WIDTH, HEADS, EMBEDDING = (2, 1, 3, 1), 16, 8, 24


@pytest.fixture
def published() -> ModifiedResNet:
    """Return open_clip's tower with random weights, norms and biases, and its positional embedding off."""
    torch.manual_seed(0)
    tower = ModifiedResNet(list(LAYERS), EMBEDDING, heads=HEADS, image_size=224, width=WIDTH).eval()
    with torch.no_grad():
        for module in tower.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.weight, 0.2, 0.8)
        for projection in (tower.attnpool.q_proj, tower.attnpool.k_proj, tower.attnpool.v_proj):
            nn.init.normal_(projection.weight, std=0.2)  # so that some places count more than others
            nn.init.normal_(projection.bias)  # open_clip begins with zeros, which would hide a lost bias
        tower.attnpool.positional_embedding.zero_()
    return tower


def own(published: ModifiedResNet) -> ResNetTower:
    tower = ResNetTower(LAYERS, WIDTH, EMBEDDING, heads=HEADS, grid=7)
    tower.load_state_dict(published.state_dict())
    return tower.eval()


def test_the_weights_have_the_names_and_order_of_published_checkpoints(
    published: ModifiedResNet,
) -> None:
    ours, theirs = own(published).state_dict(), published.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }
    assert list(ours) == list(theirs), "seeded checkpoints are drawn in this order"


@torch.inference_mode()
def test_the_features_are_open_clips(published: ModifiedResNet) -> None:
    views = torch.randn(2, 3, 224, 224)
    expected = published(views)
    tower = own(published)
    torch.testing.assert_close(tower(views), expected, rtol=1e-4, atol=1e-5)
    tower.prepare_inference()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in tower.modules())
    torch.testing.assert_close(tower(views), expected, rtol=1e-3, atol=1e-5)


def test_in_training_every_weight_but_the_positional_embedding_learns_what_open_clips_does(
    published: ModifiedResNet,
) -> None:
    views, tower = torch.randn(2, 3, 224, 224, dtype=torch.float64), own(published).double()
    published.double()
    for each in (published, tower):
        each(views).square().sum().backward()
    ours, theirs = dict(tower.named_parameters()), dict(published.named_parameters())
    assert ours.pop("attnpool.positional_embedding").grad is None
    # The softmax drops what the bias of the keys adds: its gradient is noise in one, and none in the other.
    assert ours.pop("attnpool.k_proj.bias").grad is None
    for name, weight in ours.items():
        found, expected = weight.grad, theirs[name].grad
        assert found is not None, name
        # The softmax is in fp32 here, which queries and keys feel.
        tolerance = 0.02 * float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance, msg=name)


@torch.inference_mode()
def test_the_mean_token_pool_is_open_clips_attention_pool(published: ModifiedResNet) -> None:
    activations = torch.randn(3, WIDTH * 32, 7, 7)
    expected = published.attnpool(activations)
    pool = MeanTokenPool(own(published).attnpool)
    torch.testing.assert_close(pool(activations), expected, rtol=1e-4, atol=1e-5)
