"""Table 2 of Pasad et al. as a figure: what each part of the loss gains, beside the printed gains."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from stc_lab.experiments.pasad_results import CONTROLS, EQUAL, EQUALISED, Result, ablation_count
from stc_lab.experiments.pasad_tables import table_2
from stc_lab.experiments.published import CONTINUED, TABLE_2
from stc_lab.plots.label_efficiency import NO_RESULTS
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.row_looks import GREY, dress
from stc_lab.plots.template import WIDTH

_LOOKS = {EQUAL: (SERIES_COLOURS[0], "square", -0.16), EQUALISED: (SERIES_COLOURS[1], "circle", 0.16)}


def ablation_figure(results: Sequence[Result], *, title: str = "", width: int = WIDTH, height: int = 430) -> go.Figure:
    """Gain of each row over the continued baseline with its 95 % interval, at both strengths; hollow: as printed.

    The grey band is the interval of the control, the identity warp at equal weight.
    """
    frame = table_2(results)
    rows = [row for row in TABLE_2 if row != CONTINUED]
    place = {row: -i for i, row in enumerate(rows)}
    figure = go.Figure()
    control = frame[(frame["row"] == CONTROLS[0]) & (frame["strength"] == EQUAL)]
    for line in control.to_dict("records"):
        if not math.isnan(line["gain low"]):
            figure.add_vrect(line["gain low"], line["gain high"], fillcolor=GREY, opacity=0.18, line_width=0)
        figure.add_vline(line["gain"], line={"color": GREY, "dash": "dash", "width": 1.5})
        name = f"{CONTROLS[0]} and its interval"
        marker = {"symbol": "square", "size": 12, "color": GREY, "opacity": 0.5}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker))
    for strength, (colour, symbol, shift) in _LOOKS.items():
        own = frame[(frame["strength"] == strength) & frame["row"].isin(rows) & frame["gain"].notna()]
        if not len(own):
            continue
        reach = [0.0 if math.isnan(h) else h - g for h, g in zip(own["gain high"], own["gain"], strict=True)]
        figure.add_trace(
            go.Scatter(
                x=own["gain"],
                y=[place[row] - shift for row in own["row"]],
                name=strength,
                mode="markers",
                marker={"size": 11, "symbol": symbol, "color": colour},
                error_x={"array": reach, "thickness": 1.5, "width": 4},
                customdata=own[["row", "n"]].to_numpy(),
                hovertemplate=f"%{{customdata[0]}}, {strength}<br>%{{x:+.2f}} points<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[TABLE_2[row] - TABLE_2[CONTINUED] for row in rows],
            y=[place[row] for row in rows],
            name="as printed (ScanNet, 0.1 %)",
            mode="markers",
            marker={"size": 12, "symbol": "diamond-open", "color": "#000000", "line": {"width": 2}},
            hovertemplate="as printed: %{x:+.1f} points<extra></extra>",
        )
    )
    if not len(frame):
        figure.add_annotation(
            text=NO_RESULTS, xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False, bgcolor="white"
        )
    figure.add_vline(0, line={"color": "#000000", "width": 1.5})
    where = f" at {ablation_count(results)} labels" if len(frame) else ""
    figure.update_xaxes(
        title_text=f"gain over baseline continued{where} (points of mIoU)<br>as printed: at the paper's lowest share"
    )
    figure.update_yaxes(tickvals=list(place.values()), ticktext=rows, range=[-len(rows) + 0.4, 0.6])
    return dress(figure, title=title, width=width, height=height)


def ablation_words(results: Sequence[Result]) -> str:
    """What the figure shows, in words."""
    frame = table_2(results)
    parts = []
    for strength in _LOOKS:
        own = frame[(frame["strength"] == strength) & frame["gain"].notna()].sort_values("gain", ascending=False)
        if len(own):
            listed = ", ".join(f"{row} {gain:+.1f}" for row, gain in zip(own["row"], own["gain"], strict=True))
            parts.append(f"at {strength}: {listed}")
    printed = sorted(
        ((row, v - TABLE_2[CONTINUED]) for row, v in TABLE_2.items() if row != CONTINUED), key=lambda x: -x[1]
    )
    as_printed = ", ".join(f"{row} {gain:+.1f}" for row, gain in printed)
    where = f" at {ablation_count(results)} labels" if parts else ""
    return (
        f"Gains over baseline continued{where} in points of mIoU, {'; '.join(parts) or NO_RESULTS}. "
        f"As printed, at 0.1 %, the paper's lowest share: {as_printed}."
    )
