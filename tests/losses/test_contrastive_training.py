"""Eq. 3 of He et al. 2021 on a segmenter with a projection head: one pass, two losses."""

import torch
import torch.nn.functional as F

from stc_lab.losses import sampled_contrastive_loss
from stc_lab.metrics import centroid_accuracy, class_separation
from stc_lab.models import FPNSegmenter, ProjectionHead


def two_frames(seed):
    """Blocks of three dim colours under noise, and the same moved by 4 px."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (1, 6, 8), generator=generator).repeat_interleave(6, 1).repeat_interleave(6, 2)
    images = 0.4 + 0.15 * F.one_hot(labels, 3).permute(0, 3, 1, 2)
    images = images + 0.1 * torch.randn(images.shape, generator=generator)
    frames = torch.cat([images[..., :32, :40], images[..., 4:36, 4:44]]).clamp(0, 1)
    return frames, torch.cat([labels[..., :32, :40], labels[..., 4:36, 4:44]])[..., ::2, ::2]


def trained(weight, *, steps=25):
    """The head's features of unseen frames, after training with lambda_1 = 1 and lambda_2 = `weight`."""
    generator = torch.Generator().manual_seed(0)
    net = FPNSegmenter(3, (8, 8, 8, 8), 8, generator=generator)
    head = ProjectionHead(net.channels, 16, generator=generator)
    optimiser = torch.optim.AdamW([*net.parameters(), *head.parameters()], lr=1e-2)
    for step in range(steps):
        images, labels = two_frames(step)
        features = net.features(images)
        loss = F.cross_entropy(net.classify(features), labels)
        projected = head(features)
        stcl = sampled_contrastive_loss(
            projected[:1], labels[:1], projected[1:], labels[1:], count=200, generator=generator
        )
        optimiser.zero_grad()
        (loss + weight * stcl.total).backward()
        optimiser.step()
    images, labels = two_frames(1000)
    with torch.no_grad():
        return head(net.features(images)), labels  # running statistics lag behind so few steps


def test_stcl_draws_the_classes_of_unseen_frames_together():
    """Against the distance of classes; the paper's weight 0.2, and few steps."""
    (features, labels), (plain, _) = trained(0.2), trained(0.0)
    assert class_separation(features, labels).ratio < 0.6 * class_separation(plain, labels).ratio
    assert centroid_accuracy(features[1:], labels[1:], features[:1], labels[:1]).value > 0.5
