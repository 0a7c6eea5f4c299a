"""The one look of all figures: legible when projected, on a light ground, with fonts that every system has."""

from functools import lru_cache

import plotly.graph_objects as go

from stc_lab.plots.palette import SERIES_COLOURS

TEMPLATE_NAME = "stc_lab"
FONT_FAMILY = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
FONT_SIZE = 15  # px; ticks and captions are 13, titles 18
SMALL_SIZE = 13
TITLE_SIZE = 18
INK = "#1b2430"
QUIET_INK = "#4a5565"
GRID = "#e6e9ee"
WIDTH = 960  # px: fits a notebook cell at 1280 px and a beamer


@lru_cache
def template() -> go.layout.Template:
    """The project's plotly template, registered as `stc_lab`; it never becomes plotly's default."""
    import plotly.io as pio

    axis = {
        "automargin": True,
        "gridcolor": GRID,
        "gridwidth": 1,
        "linecolor": "#98a2b0",
        "showline": True,
        "tickcolor": "#98a2b0",
        "tickfont": {"size": SMALL_SIZE, "color": QUIET_INK},
        "ticks": "outside",
        "ticklen": 4,
        "title": {"font": {"size": FONT_SIZE}, "standoff": 10},
        "zeroline": False,
    }
    made = go.layout.Template(
        layout={
            "colorway": list(SERIES_COLOURS),
            "font": {"family": FONT_FAMILY, "size": FONT_SIZE, "color": INK},
            "hoverlabel": {"font": {"family": FONT_FAMILY, "size": SMALL_SIZE}},
            "legend": {"font": {"size": SMALL_SIZE}, "bgcolor": "rgba(255,255,255,0.85)"},
            "margin": {"l": 70, "r": 24, "t": 56, "b": 60},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "title": {"font": {"size": TITLE_SIZE}, "x": 0.0, "xref": "container", "pad": {"l": 12}},
            "xaxis": axis,
            "yaxis": axis,
        }
    )
    pio.templates[TEMPLATE_NAME] = made
    return made
