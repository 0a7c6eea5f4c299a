"""How often the named cause is the true one: confusion matrices side by side."""

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stc_lab.errors import InputError
from stc_lab.experiments.cause_truth import CauseConfusion
from stc_lab.experiments.likely_cause import CAUSES
from stc_lab.plots.template import SMALL_SIZE, WIDTH, template

_SHORT = ("left", "occluded", "boundary", "thin", "geometry", "flicker")


def confusion_figure(confusions: Mapping[str, CauseConfusion], *, width: int = WIDTH, height: int = 430) -> go.Figure:
    """Rows are true causes, columns named ones; each cell is the share of its row in per cent."""
    if not confusions:
        raise InputError("a figure of confusions needs at least one, got none")
    titles = [
        f"{name}: {100 * found.accuracy:.0f} % right" if found.accuracy is not None else f"{name}: nothing to explain"
        for name, found in confusions.items()
    ]
    figure = make_subplots(rows=1, cols=len(confusions), subplot_titles=titles, horizontal_spacing=0.04)
    for column, found in enumerate(confusions.values(), start=1):
        rows = found.counts.double()
        shares = (100 * rows / rows.sum(dim=1, keepdim=True)).tolist()
        cells = [["" if share != share else f"{share:.0f}" for share in row] for row in shares]
        figure.add_trace(
            go.Heatmap(
                z=[[None if share != share else share for share in row] for row in shares],
                x=list(_SHORT),
                y=list(CAUSES),
                text=cells,
                texttemplate="%{text}",
                zmin=0,
                zmax=100,
                colorscale="Blues",
                showscale=False,
                customdata=found.counts.tolist(),
                hovertemplate="true: %{y}<br>named: %{x}<br>%{text} %, %{customdata:,} pixels<extra></extra>",
            ),
            row=1,
            col=column,
        )
        figure.update_yaxes(autorange="reversed", showticklabels=column == 1, showgrid=False, row=1, col=column)
        figure.update_xaxes(title_text="named", tickangle=-40, showgrid=False, row=1, col=column)
    figure.update_yaxes(title_text="true", row=1, col=1)
    figure.update_annotations(font_size=SMALL_SIZE + 1)
    figure.update_layout(template=template(), width=width, height=height, margin={"l": 190, "t": 44, "b": 96, "r": 12})
    return figure
