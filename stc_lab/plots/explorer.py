"""The pictures of the consistency explorer: pure functions of a pair's view and the state of the knobs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from stc_lab.experiments.explorer_material import ExplorerMaterial, passes
from stc_lab.experiments.explorer_state import ANY_CLASS, ExplorerState
from stc_lab.experiments.pair_view import PairView
from stc_lab.plots.explorer_charts import Bar
from stc_lab.plots.explorer_page import number_table
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel, depth_panel, grey_panel, image_panel, mask_panel, value_panel
from stc_lab.plots.pictures import faded, image_rgb

PIXEL = SERIES_COLOURS[1]
_HIDDEN = SERIES_COLOURS[5]  # sky blue on grey: apart from vermilion for every eye
CELLS = ("pair", "value", "motion px", "visible")  # of a bar of `ranking_bars`
_COLUMNS = ("disagreement", "visible", "Eq. 1", "uniform", "label prior", "pixel prior")


def explorer_panels(
    view: PairView, state: ExplorerState, palette: Palette, *, second: PairView | None = None
) -> tuple[Panel, ...]:
    """What is seen of the pair, on the target's grid but for the source's image and labels; no loss, no causes."""
    target, source = _index(view.target), _index(view.source)
    image, image_source = view.target.image[0], view.source.image[0]
    visible = view.visible[0]
    rule = f"{view.geometry} geometry, {view.occlusion}"
    number = logit_class(view, state)
    own, warped = view.logits_target[0, number], view.warped.image[0, number]
    low, high = _ends(own, warped, visible)
    name = palette.names[number]
    grey = grey_panel(image)
    panels = [
        image_panel(image, f"Target: frame {target}"),
        image_panel(image_source, f"Source: frame {source}"),
        image_panel(view.warped_image[0], "Source, warped", visible=visible),
        _labels(view.labels_target[0], image, palette, state, f"Labels, frame {target}"),
        _labels(view.labels_source[0], image_source, palette, state, f"Labels, frame {source}"),
        _labels(view.warped_labels.label[0], image, palette, state, "Labels of the source, warped", visible),
        disagreement_panel(view, grey, "Where they disagree"),
        mask_panel(
            ~visible,
            "Not seen by the source",
            f"{_percent(1 - visible.float().mean())}; {rule}",
            over=grey,
            colour=_HIDDEN,
        ),
        _depth(view),
        value_panel(view.confidence[0], "probability", "Confidence of the target", high=1.0),
        value_panel(own, "logit", f"Logit of {name}, target", low=low, high=high),
        value_panel(warped, "logit", f"Logit of {name}, warped", low=low, high=high, visible=visible),
    ]
    if view.target.label is not None:
        panels.append(_labels(view.target.label[0], image, palette, state, f"True labels, frame {target}"))
    if second is not None:
        name = state.second
        panels += [
            _labels(second.labels_target[0], image, palette, state, f"{name}: labels, frame {target}"),
            _labels(second.warped_labels.label[0], image, palette, state, f"{name}: source, warped", second.visible[0]),
            disagreement_panel(second, grey, f"{name}: disagreement"),
        ]
    return marked(panels, view, state)


def marked(panels: Sequence[Panel], view: PairView, state: ExplorerState) -> tuple[Panel, ...]:
    """The panels with a ring at the pixel that is looked at, and where it lies in the source."""
    pixel = pixel_of(view, state)
    if pixel is None:
        return tuple(panels)
    x, y = pixel
    here = (Mark("ring", ((float(x), float(y)),), PIXEL, "the pixel"),)
    lands = tuple(float(v) for v in view.places.pixels[0, :, y, x])
    seen = bool(view.visible[0, y, x])
    there = (Mark("ring" if seen else "cross", ((lands[0], lands[1]),), PIXEL, "the pixel"),)
    on_source = (f"Source: frame {_index(view.source)}", f"Labels, frame {_index(view.source)}")
    return tuple(replace(panel, marks=there if panel.title in on_source else here) for panel in panels)


def disagreement_panel(view: PairView, over: Panel, title: str) -> Panel:
    """The visible pixels that are called differently, over the image."""
    found = view.numbers()["disagreement"]
    words = "nothing is visible" if found != found else f"{_percent(found)} of the visible pixels"
    panel = mask_panel(view.disagreement[0], title, words, over=over)
    return replace(panel, hidden=None if bool(view.visible.all()) else ~view.visible[0].cpu().numpy())


def pixel_of(view: PairView, state: ExplorerState) -> tuple[int, int] | None:
    """The pixel that is looked at, if it lies in the frame."""
    height, width = view.target.image.shape[-2:]
    inside = state.pixel is not None and state.x < width and state.y < height
    return state.pixel if inside else None


def logit_class(view: PairView, state: ExplorerState) -> int:
    """The class whose logits are shown: of the filter, else of the pixel, else the one most often disagreed about."""
    if state.of_class != ANY_CLASS:
        return state.of_class
    pixel = pixel_of(view, state)
    if pixel is not None:
        return int(view.labels_target[0, pixel[1], pixel[0]])
    told = view.labels_target[view.disagreement]
    return int((told if len(told) else view.labels_target.flatten()).bincount().argmax())


def number_html(view: PairView, state: ExplorerState, plain: PairView | None, second: PairView | None) -> str:
    """The live numbers of the pair, beside those without the disturbance and of the second model."""
    rows = {"now": _cells(view)}
    if plain is not None:
        rows["undisturbed"] = _cells(plain)
    if second is not None:
        rows[f"now, {state.second}"] = _cells(second)
    return number_table(_COLUMNS, rows)


def ranking_bars(material: ExplorerMaterial, state: ExplorerState) -> list[Bar]:
    """All pairs as bars for charts and lists, the worst first; a key is the place in the ranking."""
    bars, common = [], _shared(material.videos.names)
    for i, score in enumerate(material.ranking(state)):
        place = score.earlier - material.videos.row(score.video, 0)
        pair = f"{place}–{place + score.gap}"
        name = f"{score.video} {pair}"
        cells = (
            f"{score.video[common:]} {pair}",
            f"{score.value:.3f}",
            f"{score.motion:.1f}",
            f"{100 * score.visible:.0f} %",
        )
        words = f"{name}: {cells[1]}, motion {cells[2]} px, {cells[3]} visible"
        bars.append(Bar(str(i), place, score.value, words, cells, passes(state, score)))
    return bars


def _shared(names: Sequence[str]) -> int:
    """Letters that all names begin with, up to the end of a word: lists are narrow."""
    if len(names) < 2:
        return 0
    first, last = min(names), max(names)
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return max(first.rfind(mark, 0, count) + 1 for mark in "-_/ ")


def _cells(view: PairView) -> tuple[str, ...]:
    found = view.numbers()
    shares = (_percent(found["disagreement"]), _percent(found["visible"]))
    return (*shares, *(_number(found[name]) for name in ("total", "uniform", "label_prior", "pixel_prior")))


def _labels(
    label: Int64[Tensor, "h w"],
    image: Float[Tensor, "3 h w"],
    palette: Palette,
    state: ExplorerState,
    title: str,
    visible: Bool[Tensor, "h w"] | None = None,
) -> Panel:
    """Class colours over the image, as far as the state's opacity says; hidden classes show the image in grey."""
    ground = image_rgb(image)
    colours = palette.rgb(label)
    rgb = colours if state.opacity == 1 else _blend(ground, colours, state.opacity)
    if state.hidden:
        off = torch.isin(label, torch.tensor(state.hidden)).cpu().numpy()
        rgb = np.where(off[..., None], faded(ground), rgb)
    shown = label if visible is None else torch.where(visible, label, torch.full_like(label, palette.ignore_index))
    unseen = None if visible is None or bool(visible.all()) else ~visible.cpu().numpy()
    return Panel(rgb, title, hidden=unseen, palette=palette, classes=palette.present(shown))


def _blend(
    under: UInt8[np.ndarray, "h w 3"], over: UInt8[np.ndarray, "h w 3"], opacity: float
) -> UInt8[np.ndarray, "h w 3"]:
    return (under * (1 - opacity) + over * opacity).round().astype(np.uint8)


def _depth(view: PairView) -> Panel:
    title = "Depth of the target"
    depth = view.depth_target
    if depth is None:
        flow = view.places.flow[0].square().sum(dim=0).sqrt()
        return value_panel(flow, "px", "Length of the flow", "an estimated flow has no depth")
    known = depth[depth.isfinite() & (depth > 0)] / view.disturbance.depth_scale  # the scale shows the disturbance
    if len(known) == 0:
        return grey_panel(view.target.image[0], title, "nowhere known")
    words = "in the net's own unit" if view.geometry == "learned" else ""
    return depth_panel(depth[0, 0], title, words, low=float(known.min()), high=float(known.max()))


def loss_panel(view: PairView) -> Panel:
    """Where the loss of Eq. 1 comes from."""
    found = view.loss_maps["total"][0]
    seen = found[view.visible[0]]
    high = float(seen.quantile(0.99)) if len(seen) else 1.0
    words = "" if view.loss is None else f"mean {float(view.loss.total):.3f}"
    return value_panel(found, "weighted", "Loss of Eq. 1", words, high=high, visible=view.visible[0])


def _ends(own: Tensor, warped: Tensor, visible: Tensor) -> tuple[float, float]:
    values = torch.cat([own.flatten(), warped[visible]])
    return float(values.min()), float(values.max())


def _index(clip: object) -> int:
    return int(clip.index[0])  # type: ignore[attr-defined]  # a clip of one frame


def _percent(share: float | Tensor) -> str:
    return "–" if share != share else f"{100 * float(share):.1f} %"


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
