"""What a scatter of relative gains shows when nothing in particular happened: the trap of Figure 2."""

import math
from dataclasses import replace

import numpy as np

from stc_lab.data import Videos
from stc_lab.experiments.class_gains import ClassGains, class_gains
from stc_lab.experiments.published import CONTINUED, METHOD
from stc_lab.models import Segmenter
from stc_lab.training import evaluate

EVEN = "every class alike (made up)"


def even_gain(
    model: Segmenter,
    videos: Videos,
    *,
    points: float = 1.0,
    spread: float = 0.0,
    seeds: int = 5,
    generator: np.random.Generator | None = None,
) -> ClassGains:
    """The gains by class of a made-up method that adds `points` of IoU to every class of a net alike.

    `spread` is the standard deviation of each class's gain in each of `seeds` made-up seeds, in points.
    """
    generator = np.random.default_rng(0) if generator is None else generator
    scores = evaluate(model, videos).scores
    names = videos.info.classes
    base = dict(zip(names, map(_known, scores.iou.tolist()), strict=True))
    frequency = dict(zip(names, scores.frequency.tolist(), strict=True))
    made_up = []
    for seed in range(seeds):
        gain = (points + spread * generator.standard_normal(len(names))) / 100
        raised = {
            name: None if value is None else value + one for (name, value), one in zip(base.items(), gain, strict=True)
        }
        for row, iou in ((CONTINUED, base), (METHOD, raised)):
            same = {"profile": "made up", "kind": "row", "strength": "equal weight", "count": 1, "split": "test"}
            made_up.append({**same, "row": row, "seed": seed, "miou": 0.0, "iou": iou, "frequency": frequency})
    return replace(class_gains(made_up, 1), row=EVEN)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
