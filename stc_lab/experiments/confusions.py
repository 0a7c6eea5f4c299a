"""What the net takes each class for, before and after consistency."""

from collections.abc import Sequence

import numpy as np

from stc_lab.experiments.pasad_results import IDENTITY, Result, ablation_count, counts_of, row_shares, seeds_of
from stc_lab.experiments.published import CONTINUED, METHOD


def confusion_changes(
    results: Sequence[Result], count: int | None = None, *, rows: Sequence[str] = (METHOD, IDENTITY)
) -> tuple[dict[str, np.ndarray], list[str]]:
    """For each row its confusion minus that of the continued baseline, -1..1, by default at Table 2's label count.

    With the names of the classes; rows of which nothing is known are left out. Only seeds that both have count.
    """
    if not counts_of(results):
        return {}, []
    count = ablation_count(results) if count is None else count
    before = seeds_of(results, CONTINUED, count)
    changes = {}
    for row in rows:
        after = seeds_of(results, row, count)
        both = [
            (before[seed]["confusion"], after[seed]["confusion"])
            for seed in sorted(before.keys() & after.keys())
            if before[seed].get("confusion") is not None and after[seed].get("confusion") is not None
        ]
        if both:
            changes[row] = np.mean([row_shares(b) - row_shares(a) for a, b in both], axis=0)
    return changes, list(results[0]["iou"])
