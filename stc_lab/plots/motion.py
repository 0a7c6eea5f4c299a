"""How neighbouring frames differ, for several ways to move a camera."""

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.clip_motion import ClipMotion
from stc_lab.plots.curves import Series, curves
from stc_lab.plots.template import FONT_SIZE, WIDTH, template

_MEASURES: dict[str, Callable[[ClipMotion], float | None]] = {
    "turn (degrees)": lambda motion: motion.turn,
    "step (m)": lambda motion: motion.step,
    "distance to one thing: change (%)": lambda motion: None if motion.zoom is None else 100 * motion.zoom,
    "pixels seen in both (%)": lambda motion: None if motion.overlap is None else 100 * motion.overlap,
}


def motion_row(motions: Mapping[str, Sequence[ClipMotion]], *, height: int = 350) -> go.Figure:
    """Turn, step, change of distance and overlap over the gap, a curve for each clip; each measure on its own axis.

    A measure that no clip knows (without depth) is left out.
    """
    if not motions:
        raise InputError("a row of motions needs at least one clip, got none")
    rows: dict[str, list[Series]] = {}
    for title, measure in _MEASURES.items():
        for name, found in motions.items():
            points = [(float(motion.gap), value) for motion in found if (value := measure(motion)) is not None]
            if points:
                rows.setdefault(title, []).append(Series(name, [x for x, _ in points], [y for _, y in points]))
    titles = [title.replace(": ", ":<br>") for title in rows]
    figure = make_subplots(rows=1, cols=len(rows), horizontal_spacing=0.06, subplot_titles=titles)
    for column, series in enumerate(rows.values(), start=1):
        for trace in curves(series, x_title="", y_title="").data:
            figure.add_trace(trace.update(legendgroup=trace.name, showlegend=column == 1), row=1, col=column)
    figure.update_xaxes(title_text="gap (frames)", rangemode="tozero")
    figure.update_yaxes(rangemode="tozero")
    figure.update_annotations(font={"size": FONT_SIZE - 1})
    figure.update_layout(
        template=template(),
        width=WIDTH,
        height=height,
        margin={"t": 96, "l": 40},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 - 6 / height,
            "yref": "container",
            "yanchor": "top",
        },
    )
    return figure
