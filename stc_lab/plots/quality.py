"""Results of the warp studies as series: what a warp, or a mask, is worth over the size of something."""

from collections.abc import Mapping, Sequence

from stc_lab.experiments.warp_quality import WarpQuality
from stc_lab.metrics.occlusion import OcclusionCounts
from stc_lab.plots.curves import Series

PHOTOMETRIC, AGREEMENT = "mean |RGB difference|", "label agreement (%)"


def quality_series(found: Sequence[WarpQuality], sizes: Sequence[float]) -> dict[str, list[Series]]:
    """Photometric error and, where there are labels, their agreement over `sizes`, beside the unwarped source."""
    rows = {
        PHOTOMETRIC: [
            Series("warped", sizes, [q.photometric for q in found]),
            Series("no warp (identity)", sizes, [q.photometric_identity for q in found], control=True),
        ]
    }
    agreement = [(q.label_agreement, q.label_agreement_identity) for q in found]
    if all(warped is not None for warped, _ in agreement):
        rows[AGREEMENT] = [
            Series("warped", sizes, [100 * (warped or 0) for warped, _ in agreement]),
            Series("no warp (identity)", sizes, [100 * (still or 0) for _, still in agreement], control=True),
        ]
    return rows


def mask_series(by_gap: Mapping[int, Mapping[str, OcclusionCounts]]) -> dict[str, list[Series]]:
    """Precision and recall (%) of each rule's hidden pixels over the gap; a rule without a value has no point there."""
    titles = dict.fromkeys(title for counts in by_gap.values() for title in counts)
    found = {}
    for measure in ("precision", "recall"):
        series = []
        for title in titles:
            values = {gap: getattr(counts[title], measure) for gap, counts in by_gap.items() if title in counts}
            known = {gap: 100 * value for gap, value in values.items() if value is not None}
            if known:
                series.append(Series(title, list(known), list(known.values())))
        if series:
            found[f"{measure} (%)"] = series
    return found
