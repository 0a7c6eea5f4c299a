"""What a teacher is sure of, and how often it is right: counted once, asked at any threshold (He et al. 2021, 2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError
from stc_lab.losses import ensemble_probabilities
from stc_lab.models import Segmenter

STEPS = 100  # thresholds lie 0.01 apart
_IGNORE = 255


@dataclass(frozen=True)
class SureLabels:
    """Pixels by their proposed class and by the teacher's confidence."""

    classes: tuple[str, ...]
    proposed: Int64[Tensor, "k steps"]  # pixels proposed for class k, by the hundredth that their confidence is over
    right: Int64[Tensor, "k steps"]  # of these, those whose true label it is
    true: Int64[Tensor, " k"]  # pixels of the class

    def _over(self, counts: Int64[Tensor, "k steps"], threshold: float) -> Float64[Tensor, " k"]:
        step = round(threshold * STEPS)
        if not 0 <= threshold < 1 or abs(step - threshold * STEPS) > 1e-6:
            raise InputError(f"threshold must be from 0 to 0.99 in steps of {1 / STEPS:g}, got {threshold}")
        return counts[:, step:].sum(dim=1).double()

    def kept(self, threshold: float) -> Float64[Tensor, " k"]:
        """Share of the pixels proposed for each class that are kept; NaN: none was proposed."""
        return self._over(self.proposed, threshold) / self.proposed.sum(dim=1)

    def correct(self, threshold: float) -> Float64[Tensor, " k"]:
        """Share of right ones among those kept for each class; NaN: none was kept."""
        return self._over(self.right, threshold) / self._over(self.proposed, threshold)

    def reached(self, threshold: float) -> Float64[Tensor, " k"]:
        """Share of each class's true pixels that get their right label; NaN: the class does not occur."""
        return self._over(self.right, threshold) / self.true

    def all_kept(self, threshold: float) -> float:
        """Share of all pixels with a true label that are kept."""
        return float(self._over(self.proposed, threshold).sum() / self.true.sum())

    def all_correct(self, threshold: float) -> float:
        """Share of right ones among all that are kept; NaN: none is."""
        return float(self._over(self.right, threshold).sum() / self._over(self.proposed, threshold).sum())

    def share(self, threshold: float) -> Float64[Tensor, " k"]:
        """What each class makes up of the pseudo-labels; NaN: there are none."""
        kept = self._over(self.proposed, threshold)
        return kept / kept.sum()


def sure_labels(teachers: Sequence[Segmenter], videos: Videos, *, step: int = 2, batch: int = 24) -> SureLabels:
    """Count over every `step`-th frame of all videos, for the mean probability of the teachers.

    Only pixels with a true label count: the rest can be kept but not judged. The nets are put into evaluation mode.
    """
    if not teachers:
        raise InputError("sure_labels needs at least one teacher, got none")
    k = teachers[0].num_classes
    edges = torch.arange(1, STEPS, dtype=torch.float64) / STEPS
    proposed, right, true = (torch.zeros(k * STEPS, dtype=torch.int64) for _ in range(3))
    for teacher in teachers:
        teacher.eval()
    for name in videos.names:
        clip = videos.clip(name, step=step)
        clip.require("label")
        assert clip.label is not None
        for images, label in zip(clip.image.split(batch), clip.label.split(batch), strict=True):
            with torch.no_grad():
                scores = ensemble_probabilities([teacher(images) for teacher in teachers])
            confidence, likeliest = scores.max(dim=1)
            known = label != _IGNORE
            # Strictly over: a confidence on an edge belongs below it.
            place = likeliest[known] * STEPS + torch.bucketize(confidence[known].double(), edges)
            proposed += torch.bincount(place, minlength=len(proposed))
            right += torch.bincount(place[(likeliest == label)[known]], minlength=len(right))
            true += torch.bincount(label[known] * STEPS, minlength=len(true))
    counts = (proposed.reshape(k, STEPS), right.reshape(k, STEPS), true.reshape(k, STEPS).sum(dim=1))
    return SureLabels(videos.info.classes or tuple(map(str, range(k))), *counts)
