"""Why a pixel is not the same in two frames: its story as words, bars and a ribbon, and the causes as a map."""

import html

from jaxtyping import Int64
from torch import Tensor

from stc_lab.experiments.likely_cause import CAUSES
from stc_lab.experiments.pair_view import PairView
from stc_lab.experiments.pixel_story import PixelStory, PixelTrack
from stc_lab.plots.explorer_charts import class_ribbon, distribution_bars
from stc_lab.plots.explorer_page import number_table
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel, verdict_panel
from stc_lab.plots.template import FONT_FAMILY, INK

CAUSE_PALETTE = Palette(
    ("seen, and called the same", *CAUSES),
    (
        "#ffffff",
        "#7f8a99",
        SERIES_COLOURS[5],
        SERIES_COLOURS[4],
        SERIES_COLOURS[2],
        SERIES_COLOURS[0],
        SERIES_COLOURS[1],
    ),
)


def cause_panel(view: PairView, causes: Int64[Tensor, "h w"]) -> Panel:
    """The likely cause (of `cause_map`) at each pixel that is not seen or that disagrees, over the faded image."""
    return verdict_panel(causes + 1, CAUSE_PALETTE, "Likely causes", over=view.target.image[0])


def cause_legend(panel: Panel) -> str:
    """Colour and name of the causes that occur."""
    box = "display:inline-block; width:11px; height:11px; border:1px solid #6b7684; margin:0 4px 0 0"
    names, colours = CAUSE_PALETTE.names, CAUSE_PALETTE.colours
    return " ".join(
        f"<span style='white-space:nowrap; margin-right:8px'><span style='{box}; background:{colours[i]}'></span>"
        f"{html.escape(names[i])}</span>"
        for i in panel.classes
    )


def story_html(view: PairView, story: PixelStory, track: PixelTrack, palette: Palette) -> str:
    """Where the pixel goes and whether it is seen there, what the net says in both frames, and over the clip."""
    target, source = int(view.target.index[0]), int(view.source.index[0])
    shares = {f"frame {target}": story.shares}
    if story.shares_there is not None:
        shares[f"frame {source}"] = story.shares_there
    bars = distribution_bars(palette, shares)
    parts = f"<div>{_facts(view, story)}</div><div>{bars}</div>{_ribbon(track, palette, target, source)}"
    return f"<div style='display:flex; flex-wrap:wrap; gap:8px 28px; align-items:flex-start'>{parts}</div>"


def _facts(view: PairView, story: PixelStory) -> str:
    def point(place: tuple[float, float] | None, digits: int = 1) -> str:
        return "unknown" if place is None else f"({place[0]:.{digits}f}, {place[1]:.{digits}f}) px"

    def metres(value: float | None) -> str:
        unit = "" if view.geometry == "learned" else " m"
        return "unknown" if value is None else f"{value:.2f}{unit}"

    def called(label: int | None) -> str:
        known = label is not None and 0 <= label < len(story.classes)
        return story.classes[label] if known and label is not None else "nothing"

    rows = {
        "pixel of the target": (point(story.pixel, 0),),
        "its place in the source": (point(story.place),),
        "motion": (point(story.motion),),
        "seen there": (f"{'yes' if story.visible else 'no'}: {story.reason}",),
        "called here, there": (f"{called(story.label)}, {called(story.label_there)}",),
    }
    if view.depth_target is not None:
        rows["depth here"] = (metres(story.depth),)
        rows["depth there, and seen there"] = (f"{metres(story.depth_there)}, {metres(story.depth_seen)}",)
    if story.back is not None:
        rows["there and back misses by"] = (f"{story.back:.2f} px",)
    if story.true_label is not None:
        rows["in truth"] = (called(story.true_label),)
    return number_table(("",), rows)


def _ribbon(track: PixelTrack, palette: Palette, target: int, source: int) -> str:
    seen = [station.label if station.state == "visible" else None for station in track.stations]
    behind = [station.label if station.state == "occluded" else None for station in track.stations]
    ribbons = {"the pixel": seen}
    if any(label is not None for label in behind):
        ribbons["what hides it"] = behind
    strip = class_ribbon(palette, ribbons, track.stations[0].index, (target, source))
    count = track.changes
    words = f"over the clip it is called otherwise {count} {'time' if count == 1 else 'times'}"
    return f"<div>{strip}<div style='font:12px {FONT_FAMILY}; color:{INK}'>{words}</div></div>"
