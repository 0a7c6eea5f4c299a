"""Maps that say what became of each pixel: why it is not seen, how it was hit, whether a mask is right about it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.experiments.journey import REASONS
from stc_lab.experiments.judged_masks import EXACT, NOT_JUDGED, SEEN, VERDICTS, JudgedMask
from stc_lab.experiments.landing import LANDINGS
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import Panel, verdict_panel

# The first class of each shows the picture itself, so that its colour is never drawn. Okabe-Ito, and greys.
_BARE = "#ffffff"
REASON_PALETTE = Palette(REASONS, (_BARE, "#000000", "#cc79a7", "#56b4e9", "#4d4d4d", "#d55e00", "#f0e442"))
LANDING_PALETTE = Palette(("one pixel", "hole", *LANDINGS[2:]), (_BARE, "#000000", "#56b4e9", "#d55e00"))
MASK_PALETTE = Palette(VERDICTS, (_BARE, "#0072b2", "#d55e00", "#f0e442", "#0072b2", "#98a2b0"))


def reason_panel(reason: Int64[Tensor, "h w"], image: Float[Tensor, "3 h w"], title: str) -> Panel:
    """Why pixels of the target are not visible, over the target."""
    shares = [f"{name} {_percent(reason == i)}" for i, name in enumerate(REASONS) if bool((reason == i).any())]
    return verdict_panel(reason, REASON_PALETTE, title, "; ".join(shares), over=image)


def landing_panel(kind: Int64[Tensor, "h w"], image: Float[Tensor, "3 h w"], title: str) -> Panel:
    """How many of the source's pixels fall on each pixel of the target, over the target."""
    order = torch.tensor([1, 0, 2, 3], device=kind.device)  # one pixel is what nothing need be said of
    shares = [f"{name} {_percent(kind == i)}" for i, name in enumerate(LANDINGS)]
    return verdict_panel(order[kind], LANDING_PALETTE, title, "; ".join(shares), over=image)


def judged_panels(masks: Sequence[JudgedMask], image: Float[Tensor, "3 h w"]) -> list[Panel]:
    """One panel for each mask, right and wrong in colours, with precision and recall of the hidden pixels."""
    return [verdict_panel(mask.verdict, MASK_PALETTE, mask.title, _score(mask), over=image) for mask in masks]


def _score(mask: JudgedMask) -> str:
    if mask.counts is None:
        judged = mask.verdict != NOT_JUDGED
        return f"calls {_percent((mask.verdict != SEEN)[judged])} hidden; the truth is unknown"
    if mask.title == EXACT:
        return f"{mask.counts.hits} pixels are hidden"
    precision, recall = mask.counts.precision, mask.counts.recall
    return f"precision {_share(precision)}, recall {_share(recall)}"


def _share(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"


def _percent(mask: Tensor) -> str:
    share = 100 * float(mask.double().mean()) if mask.numel() else 0.0
    if 0 < share < 0.05:
        return "under 0.1 %"
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"
