"""Results of a study that never ran, with known answers: for tests alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

CLASSES = ("wall", "floor", "door", "lamp", "plant")
FREQUENCY = {"wall": 0.6, "floor": 0.3, "door": 0.07, "lamp": 0.02, "plant": 0.01}
COUNTS = (50, 100, 200, 400, 800, 1600)
CONTINUED, METHOD, IDENTITY = "baseline continued", "consistency", "identity warp"
TABLE_1_ROWS = (CONTINUED, METHOD, "consistency, learned geometry", IDENTITY, "another room", "self-distillation")
TABLE_2_ROWS = ("uniform", "label prior", "pixel prior", "all three", "pseudo-label CE", "all three + pseudo-label CE")


def result(
    row: str, count: int, seed: int, miou: float, *, strength: str = "equal weight", **changes: Any
) -> dict[str, Any]:
    """One evaluated net; every class has the mean as its IoU and recall."""
    made_up = {
        "profile": "made up",
        "kind": "baseline" if row == "baseline" else "row",
        "row": row,
        "strength": strength,
        "count": count,
        "seed": seed,
        "split": "test",
        "miou": miou,
        "accuracy": miou + 0.3,
        "temporal_agreement": 0.7,
        "vc8": None,
        "iou": dict.fromkeys(CLASSES, miou),
        "recall": dict.fromkeys(CLASSES, miou),
        "confusion": np.eye(len(CLASSES), dtype=int).tolist(),
        "frequency": FREQUENCY,
        "train_frequency": FREQUENCY,
        "steps": 10,
        "seconds": 1.0,
        "tried": 3,
    }
    return made_up | changes


def base_score(count: int, seed: int) -> float:
    """Rises by 5 points with each doubling; seeds lie a point apart."""
    return 0.10 + 0.05 * float(np.log2(count / 50)) + 0.01 * seed


def made_up_study(
    gains: Mapping[str, float],
    *,
    counts: Sequence[int] = COUNTS,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    ablation: Mapping[str, float] | None = None,
    noise: float = 0.0,
    base_noise: float = 0.0,
    draw: int = 0,
) -> list[dict[str, Any]]:
    """Rows that gain so much (shares of mIoU) over the continued baseline in every seed, give or take `noise`.

    The continued baseline itself is off by `base_noise`. Another `draw` is another study.
    """
    generator, of_base = np.random.default_rng(draw), np.random.default_rng([draw, 1])

    def score(count: int, seed: int, gain: float) -> float:
        return base_score(count, seed) + gain + noise * float(generator.standard_normal())

    def base(count: int, seed: int) -> float:
        return base_score(count, seed) + base_noise * float(of_base.standard_normal())

    rows = [
        result(row, count, seed, base(count, seed) if row == CONTINUED else score(count, seed, gain))
        for count in counts
        for seed in seeds
        for row, gain in {CONTINUED: 0.0, **gains}.items()
    ]
    rows += [result("baseline", count, seed, base_score(count, seed) - 0.01) for count in counts for seed in seeds]
    rows += [
        result(row, counts[0], seed, score(counts[0], seed, gain), strength=strength)
        for strength in ("equal weight", "equalised")
        for seed in seeds
        for row, gain in (ablation or {}).items()
    ]
    return rows
