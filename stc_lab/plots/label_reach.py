"""How far labels are carried, class by class; and the frames that taught a rare class."""

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from stc_lab.data import Videos
from stc_lab.errors import InputError
from stc_lab.experiments.label_reach import ClassReach, carried_label
from stc_lab.experiments.pasad_gallery import RULE, GalleryFrame
from stc_lab.plots.palette import SERIES_COLOURS, class_palette
from stc_lab.plots.panels import Panel, image_panel, label_panel, mask_panel
from stc_lab.plots.row_looks import dress
from stc_lab.plots.template import SMALL_SIZE, WIDTH

_LABELLED, _REACHED = SERIES_COLOURS[1], SERIES_COLOURS[0]


def reach_figure(reach: Sequence[ClassReach], *, title: str = "", width: int = WIDTH) -> go.Figure:
    """Pixels of each class that are labelled, and those that visible pairs carry the label to; rare ones below."""
    if not reach:
        raise InputError("a figure of reach needs at least one class, got none")
    order = sorted(reach, key=lambda one: -one.labelled)
    names = [f"{one.name} ({_frames(len(one.teachers))})" for one in order]
    figure = go.Figure()
    for name, one in zip(names, order, strict=True):
        if one.labelled and one.reached:
            line = {"color": "#b6bec9", "width": 2}
            ends = [one.labelled, one.reached]
            figure.add_trace(
                go.Scatter(x=ends, y=[name] * 2, mode="lines", line=line, showlegend=False, hoverinfo="skip")
            )
    for what, colour, symbol, values in (
        ("labelled", _LABELLED, "square", [one.labelled for one in order]),
        ("reached by a visible pair, each pixel once", _REACHED, "circle", [one.reached for one in order]),
    ):
        figure.add_trace(
            go.Scatter(
                x=[value or None for value in values],
                y=names,
                name=what,
                mode="markers",
                marker={"size": 11, "symbol": symbol, "color": colour},
                hovertemplate=f"%{{y}}: %{{x:,}} pixels {what}<extra></extra>",
            )
        )
    for name, one in zip(names, order, strict=True):
        if not one.labelled:
            figure.add_annotation(
                x=0, xref="x domain", y=name, text="in no labelled frame", showarrow=False, xanchor="left", font_size=12
            )
    figure.update_xaxes(type="log", title_text="pixels", dtick=1)
    figure.update_yaxes(
        categoryorder="array", categoryarray=names, autorange="reversed", showgrid=False, tickfont={"size": SMALL_SIZE}
    )
    return dress(figure, title=title, width=width, height=150 + 22 * len(order))


def reach_words(reach: Sequence[ClassReach], *, most: int = 3) -> str:
    """What the figure shows, in words."""
    known = sorted((one for one in reach if one.labelled), key=lambda one: one.factor)
    total, far = sum(one.labelled for one in reach), sum(one.reached for one in reach)
    few = ", ".join(f"{one.name} {one.factor:.1f}" for one in known[:most])
    many = ", ".join(f"{one.name} {one.factor:.1f}" for one in known[::-1][:most])
    return (
        f"Pixels of each class that are labelled and that visible pairs reach: {total:,} and {far:,} in all. For each "
        f"labelled pixel most are reached of {many}, fewest of {few}."
    )


def teacher_panels(videos: Videos, one: ClassReach, *, gaps: Sequence[int]) -> list[Panel]:
    """The frame that taught a class most, where it shows it, and the neighbour that most of it is carried to."""
    if not one.teachers:
        raise InputError(f"no labelled frame shows {one.name!r}", hint="another class, or more labels")
    teacher = one.teachers[0]
    k = videos.info.classes.index(one.name)
    last = videos.frame_count(teacher.video) - 1
    offsets = [o for gap in gaps for o in (-gap, gap) if 0 <= teacher.index + o <= last]
    carried = {o: carried_label(videos, teacher.row, teacher.row + o) == k for o in offsets}
    best = max(carried, key=lambda o: (int(carried[o].sum()), -abs(o)))
    own, there = videos.frames([teacher.row]), videos.frames([teacher.row + best])
    assert own.label is not None
    image, neighbour = image_panel(own.image[0], ""), image_panel(there.image[0], "")
    where = f"{teacher.video}, frame {teacher.index}"
    return [
        mask_panel(own.label[0] == k, f"{one.name}: labelled", f"{where}; {teacher.labelled} px", over=image),
        mask_panel(
            carried[best],
            f"{one.name}: carried",
            f"frame {teacher.index + best}; {int(carried[best].sum())} px of {teacher.reached} in all its neighbours",
            over=neighbour,
            colour=_REACHED,
        ),
    ]


def gallery_panels(frames: Sequence[GalleryFrame], names: Sequence[str], few: int, many: int) -> list[Panel]:
    """A row of four for each frame: image, truth, the continued baseline with `many` labels, consistency with `few`."""
    if not frames:
        raise InputError("a gallery needs at least one frame, got none", hint=RULE)
    palette = class_palette(names)
    panels = []
    for frame in frames:
        rare = torch.isin(frame.truth, torch.tensor([list(names).index(name) for name in frame.rare]))
        panels += [
            image_panel(frame.image, frame.place, f"{frame.video}, frame {frame.index}"),
            label_panel(frame.truth, palette, "Truth", f"rare: {', '.join(frame.rare)} ({int(rare.sum())} px)"),
            label_panel(
                frame.many,
                palette,
                f"Continued baseline, {many} labels",
                f"{frame.many_recall:.0%} of the rare pixels right",
            ),
            label_panel(
                frame.few, palette, f"Consistency, {few} labels", f"{frame.few_recall:.0%} of the rare pixels right"
            ),
        ]
    return panels


def gallery_words(frames: Sequence[GalleryFrame]) -> str:
    """What the gallery shows, in words."""
    said = "; ".join(f"{f.place}: {f.many_recall:.0%} against {f.few_recall:.0%} ({', '.join(f.rare)})" for f in frames)
    return f"Rare pixels found by the continued baseline with many labels against consistency with few: {said}."


def _frames(count: int) -> str:
    return f"{count} frame" + ("" if count == 1 else "s")
