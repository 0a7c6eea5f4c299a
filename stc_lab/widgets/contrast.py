"""Explorers of the contrastive chapter: what one anchor sees at a temperature, and what a threshold keeps."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.pixel_embedding import PixelFeatures, anchor_view
from stc_lab.experiments.sure_labels import SureLabels
from stc_lab.losses import pseudo_labels
from stc_lab.plots.contrast import push_curves, sure_bars
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import Palette
from stc_lab.plots.panels import grey_panel, image_panel, label_panel, mask_panel, value_panel
from stc_lab.widgets.explorer import Explorer, Picture, Table

Shown = Literal["cosine", "push"]
PAPER = 0.07  # the temperature of He et al. 2021
MOST_PUSH = 8.0  # times an equal share: colours end there
_FLAT = 1.0
_ANCHOR_COLOUR = "#d55e00"
_IGNORE = 255


def anchor_picture(
    pixels: PixelFeatures, palette: Palette, x: int, y: int, tau: float = PAPER, show: Shown = "push"
) -> Picture:
    """Two frames with the anchor in the first, and its cosines or its push on the negatives; numbers at three taus."""
    if show not in ("cosine", "push"):
        raise InputError(f"show must be cosine or push, got {show!r}")
    views = {
        f"{tau:g} (slider)": anchor_view(pixels, 0, x, y, tau),
        f"{PAPER:g} (the paper)": anchor_view(pixels, 0, x, y, PAPER),
        f"{_FLAT:g}": anchor_view(pixels, 0, x, y, _FLAT),
    }
    view = next(iter(views.values()))
    label = int(pixels.labels[0, y // pixels.stride, x // pixels.stride])
    ring = Mark("ring", ((float(x), float(y)),), _ANCHOR_COLOUR, "anchor")
    panels = []
    for number in range(2):
        title = f"frame {int(pixels.frames.index[number])}"
        image = image_panel(pixels.frames.image[number], title, f"anchor: {palette.names[label]}" if not number else "")
        panels.append(image if number else replace(image, marks=(ring,)))
        if show == "cosine":
            drawn = value_panel(view.cosine[number], "cosine with the anchor", "alike", title, low=-1.0, high=1.0)
        else:
            push = view.weight[number] * view.negatives
            negative = push > 0
            words = "push on a negative (times an equal share)"
            drawn = value_panel(push, words, "pushed away", title, high=MOST_PUSH, visible=negative)
        panels.append(drawn)
    rows = {
        name: (f"{one.loss:.2f}", f"{one.effective:,.0f} of {one.negatives:,}", f"{100 * one.hardest:.0f} %")
        for name, one in views.items()
    }
    columns = ("L(i)", "pushed as if there were", "push on the hardest 1 %")
    note = "Hatched: positives and pixels without a label, which are not pushed." if show == "push" else ""
    chart = push_curves(list(views.values()), names=("slider", "the paper's 0.07", "1"))
    return Picture(tuple(panels), Table(columns, rows), note, chart)


def anchor_explorer(pixels: PixelFeatures, palette: Palette, *, x: int, y: int, tau: float = PAPER) -> Explorer:
    """Click an anchor into the first of two frames; a slider over the temperature, a choice of what is shown."""
    if len(pixels.labels) != 2:
        raise InputError(f"the anchor explorer shows two frames, got {len(pixels.labels)}")
    anchor_view(pixels, 0, x, y, tau)
    height, width = pixels.frames.image.shape[-2:]

    def controls() -> Mapping[str, Any]:
        from ipywidgets import Dropdown, FloatLogSlider, IntSlider

        ends = {"min": -2.0, "max": 0.0, "step": 0.05, "readout_format": ".3f"}
        return {
            "x": IntSlider(x, 0, width - 1, description="anchor x (px)"),
            "y": IntSlider(y, 0, height - 1, description="anchor y (px)"),
            "tau": FloatLogSlider(tau, **ends, description="temperature τ"),
            "show": Dropdown(
                options=[("push on negatives", "push"), ("cosine", "cosine")], value="push", description="show"
            ),
        }

    def picture(x: int, y: int, tau: float, show: Shown) -> Picture:
        return anchor_picture(pixels, palette, x, y, tau, show)

    default = {"x": x, "y": y, "tau": tau, "show": "push"}
    return Explorer("Anchor explorer", controls, picture, default, columns=2, click=("x", "y"))


def threshold_picture(
    clip: Clip,
    probabilities: Float[Tensor, "t k h w"],
    sure: SureLabels,
    palette: Palette,
    frame: int,
    threshold: float,
) -> Picture:
    """Truth, pseudo-labels and their mistakes in one frame, and what the threshold does to all frames by class."""
    clip.require("label")
    assert clip.label is not None
    if not 0 <= frame < len(clip):
        raise InputError(f"frame must lie in 0..{len(clip) - 1}, got {frame}")
    made = pseudo_labels(probabilities[frame : frame + 1], threshold, given="probabilities")
    label, truth = made.label[0], clip.label[frame]
    kept, known = label != _IGNORE, truth != _IGNORE
    wrong = kept & known & (label != truth)
    right = float((kept & known & (label == truth)).sum() / (kept & known).sum().clamp(min=1))
    grey = grey_panel(clip.image[frame])
    panels = (
        label_panel(truth, palette, "truth", f"frame {frame}"),
        label_panel(label, palette, "pseudo-labels", f"{100 * made.share:.0f} % of the frame is kept", visible=kept),
        mask_panel(wrong, "wrong ones", f"{100 * right:.0f} % of those kept are right", over=grey),
    )
    classes_left = int(((sure.share(threshold) > 0) & (sure.true > 0)).sum())
    rows = {
        "this frame": (f"{100 * made.share:.1f} %", f"{100 * right:.1f} %"),
        "all frames": (f"{100 * sure.all_kept(threshold):.1f} %", f"{100 * sure.all_correct(threshold):.1f} %"),
    }
    note = f"{classes_left} of the {int((sure.true > 0).sum())} classes that occur still have a pseudo-label."
    return Picture(panels, Table(("kept", "right ones among them"), rows), note, sure_bars(sure, threshold))


def threshold_explorer(
    clip: Clip,
    probabilities: Float[Tensor, "t k h w"],
    sure: SureLabels,
    palette: Palette,
    *,
    frame: int = 0,
    threshold: float = 0.5,
) -> Explorer:
    """A slider over the threshold; `sure` are the counts over all videos, `probabilities` the teacher's on `clip`."""
    threshold_picture(clip, probabilities, sure, palette, frame, threshold)

    def controls() -> Mapping[str, Any]:
        from ipywidgets import FloatSlider, IntSlider

        return {
            "frame": IntSlider(frame, 0, len(clip) - 1, description="frame"),
            "threshold": FloatSlider(value=threshold, min=0, max=0.99, step=0.01, description="threshold"),
        }

    def picture(frame: int, threshold: float) -> Picture:
        return threshold_picture(clip, probabilities, sure, palette, frame, round(threshold, 2))

    return Explorer("Threshold explorer", controls, picture, {"frame": frame, "threshold": threshold})
