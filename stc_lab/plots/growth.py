"""Depth and camera path as they grow during training: one figure to play, or to pull through by its slider."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float, Float64
from PIL import Image
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.grid import image_grid
from stc_lab.plots.palette import UNKNOWN_COLOUR, Scale
from stc_lab.plots.panels import Panel
from stc_lab.plots.paths import Ground, equal_ranges, line_points, path_from_above, path_style, start_entry
from stc_lab.plots.pictures import data_uri, depth_rgb
from stc_lab.plots.template import QUIET_INK, SMALL_SIZE, WIDTH

_LEVELS = 255  # colours of a map in the animation; one more stands for what is unknown
_PATH_SIZE = (30, 40)  # proportions of the path's panel
_ASTRAY = 0.6  # of the extent of the last paths: how far those of earlier steps may widen the axes
_CONTROLS = 96  # px below the panels for slider and buttons
_BUTTONS = 180  # px left of the slider
_LEGEND = 34  # px below the panels for the names of the paths
_LEFT, _BELOW = 58, 46  # px beside and below the path's axes for their numbers and titles


def growth_animation(
    steps: Sequence[float],
    maps: Mapping[str, Sequence[Float[Tensor, "h w"]]],
    paths: Mapping[str, Sequence[Float[Tensor, "t 4 4"]]] | None = None,
    *,
    scales: Mapping[str, Scale] | None = None,
    still: Sequence[Panel] = (),
    truth: Float[Tensor, "t 4 4"] | None = None,
    up: Float[Tensor, "3"] | None = None,
    step_name: str = "step",
    columns: int = 2,
    width: int = WIDTH,
    milliseconds: int = 400,
) -> go.Figure:
    """Maps and camera paths at each of the `steps`, beside `still` panels; it shows the last step until it is played.

    `maps` holds a map (0 or not finite: unknown, grey) for each step, on one colour scale for all steps: that of
    `scales`, else depth in metres over the range of the last map. `paths` holds a trajectory `T_world_camera` for each
    step, in the world of `truth` (align it first, `absolute_trajectory_error(...).aligned`), seen from above.

    The maps are pictures of 256 colours, so that twenty steps of 96 x 128 pixels stay below half a megabyte.
    """
    steps, paths = list(steps), paths or {}
    if len(steps) < 2 or not maps:
        raise InputError(f"an animation needs at least 2 steps and one map, got {len(steps)} and {len(maps)}")
    names = [f"{int(step)}" if float(step).is_integer() else f"{step:g}" for step in steps]
    if len(set(names)) < len(names):
        raise InputError(f"steps must differ, got {names}", hint="a step that was recorded twice")
    for name, values in (*maps.items(), *paths.items()):
        if len(values) != len(steps):
            raise InputError(f"{name!r} needs one entry for each of {len(steps)} steps, got {len(values)}")
    used = {name: (scales or {}).get(name) or _depth_scale(values[-1]) for name, values in maps.items()}
    panels = [
        *still,
        *(Panel(depth_rgb(values[-1], used[name]), name, scale=used[name]) for name, values in maps.items()),
    ]
    if paths:
        panels.append(Panel(np.full((*_PATH_SIZE, 3), 255, dtype=np.uint8), "camera path from above"))
    figure = image_grid(panels, columns=columns, width=width)
    pictures = [trace for trace in figure.data if trace.type == "image"]
    sources = [[_source(one, used[name]) for one in values] for name, values in maps.items()]
    drawn = pictures[len(still) : len(still) + len(maps)]
    for trace, encoded in zip(drawn, sources, strict=True):
        # A frame replaces the source alone, so the picture keeps its own pixels: browsers enlarge them sharply.
        trace.update(source=encoded[-1], x0=0, y0=0, dx=1, dy=1)
    ways: list[list[dict[str, Any]]] = []
    if paths:
        axes = pictures[-1].xaxis[1:]
        figure.data = [trace for trace in figure.data if trace is not pictures[-1]]
        ways = _draw_paths(figure, axes, paths, truth, up)
    moving = [i for i, trace in enumerate(figure.data) if any(trace is one for one in drawn)]
    end = len(figure.data) - bool(ways)  # the last is the legend's ring
    moving += range(end - len(ways), end)
    figure.frames = [
        go.Frame(
            name=name,
            data=[*(go.Image(source=one[i]) for one in sources), *(go.Scatter(way[i]) for way in ways)],
            traces=moving,
        )
        for i, name in enumerate(names)
    ]
    _add_controls(figure, names, step_name, milliseconds, legend=bool(paths))
    return figure


def _depth_scale(depth: Float[Tensor, "h w"]) -> Scale:
    known = depth[torch.isfinite(depth) & (depth > 0)].double()
    if len(known) == 0:
        raise InputError(
            "the last map is nowhere known, so it has no colour scale", hint="0 and non-finite are unknown"
        )
    low, high = float(known.quantile(0.01)), float(known.quantile(0.99))
    return Scale("depth (m)", low, high if high > low else low + 1.0)


def _source(values: Float[Tensor, "h w"], scale: Scale) -> str:
    """The map as a PNG of indexed colours, a third of the size of one in RGB."""
    value = values.detach().double().cpu().numpy()
    share = (np.nan_to_num(value, posinf=0.0) - scale.low) / (scale.high - scale.low)
    index = (share.clip(0, 1) * (_LEVELS - 1)).round().astype(np.uint8)
    index[~(np.isfinite(value) & (value > 0))] = _LEVELS
    ramp = scale.rgb(np.linspace(scale.low, scale.high, _LEVELS)[None])[0]
    picture = Image.fromarray(index)
    picture.putpalette(np.concatenate([ramp, rgb_of_hex((UNKNOWN_COLOUR,))]).tobytes())
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    return data_uri(target.getvalue())


def _draw_paths(
    figure: go.Figure,
    axes: str,
    paths: Mapping[str, Sequence[Tensor]],
    truth: Tensor | None,
    up: Tensor | None,
) -> list[list[dict[str, Any]]]:
    """Draw truth and last paths on the axes of this number; returns each path's line at every step."""
    ground = Ground.of(next(iter(paths.values()))[-1] if truth is None else truth, up)
    ways = {name: [ground.points(T[:, :3, 3])[:, :2] for T in values] for name, values in paths.items()}
    fixed = {} if truth is None else {"truth": ground.points(truth[:, :3, 3])[:, :2]}
    last = {**fixed, **{name: values[-1] for name, values in ways.items()}}
    for number, (name, way) in enumerate(last.items()):
        for trace in path_from_above(name, way, path_style(number, of=len(last))):
            figure.add_trace(trace.update(xaxis=f"x{axes}", yaxis=f"y{axes}"))
    figure.add_trace(start_entry().update(xaxis=f"x{axes}", yaxis=f"y{axes}"))
    _frame_paths(figure, axes, list(last.values()), [way for values in ways.values() for way in values])
    return [
        [line_points(way[:end]) for way in values] for values in ways.values() for end in (None, 1)
    ]  # each path and its start


def _frame_paths(
    figure: go.Figure, axes: str, settled: Sequence[Float64[Tensor, "t 2"]], every: Sequence[Float64[Tensor, "t 2"]]
) -> None:
    """Axes alike in metres that hold the last paths, and those of all steps as far as these do not go astray."""
    layout, margin = figure.layout, figure.layout.margin
    x, y = layout[f"xaxis{axes}"], layout[f"yaxis{axes}"]
    width, height = layout.width - margin.l - margin.r, layout.height - margin.t - margin.b
    x_domain = (x.domain[0] + _LEFT / width, x.domain[1])
    y_domain = (y.domain[0] + _BELOW / height, y.domain[1])
    low, high = torch.cat(list(settled)).aminmax(dim=0)
    stray = float((high - low).max().clamp_min(0.1)) * _ASTRAY
    least, most = torch.cat(list(every)).aminmax(dim=0)
    low, high = low - (low - least).clamp(0, stray), high + (most - high).clamp(0, stray)
    room = 0.1 * (high - low).max().clamp_min(0.1)
    box = ((x_domain[1] - x_domain[0]) * width, (y_domain[1] - y_domain[0]) * height)
    ranges = equal_ranges(low - room, high + room, box)
    look = {
        "showticklabels": True,
        "ticks": "outside",
        "showgrid": True,
        "nticks": 6,
        "tickfont": {"size": SMALL_SIZE - 1, "color": QUIET_INK},
    }
    for axis, title, domain, ends in ((x, "right (m)", x_domain, ranges[0]), (y, "ahead (m)", y_domain, ranges[1])):
        axis.update(
            **look, domain=domain, range=ends, title={"text": title, "font": {"size": SMALL_SIZE}, "standoff": 4}
        )


def _add_controls(figure: go.Figure, names: Sequence[str], step_name: str, milliseconds: int, *, legend: bool) -> None:
    """Slider and buttons under the panels; figure and margin grow by their height, so the panels stay as they are."""
    below = _CONTROLS + (_LEGEND if legend else 0)
    figure.update_layout(height=figure.layout.height + below, margin_b=figure.layout.margin.b + below)
    if legend:
        y = (_CONTROLS + 6) / figure.layout.height
        figure.update_layout(legend={"y": y, "entrywidth": None, "entrywidthmode": None, "itemclick": "toggle"})

    def play(duration: int) -> dict[str, Any]:
        return {"mode": "immediate", "frame": {"duration": duration, "redraw": True}, "transition": {"duration": 0}}

    top = below - _CONTROLS + 14
    left = _BUTTONS / (figure.layout.width - figure.layout.margin.l - figure.layout.margin.r)
    figure.update_layout(
        sliders=[
            {
                "active": len(names) - 1,
                "x": left,
                "len": 0.985 - left,
                "xanchor": "left",
                "y": 0,
                "yanchor": "top",
                "pad": {"t": top, "b": 0, "l": 0, "r": 0},
                "currentvalue": {"prefix": f"{step_name} ", "font": {"size": SMALL_SIZE + 1}, "xanchor": "left"},
                "font": {"size": SMALL_SIZE - 1, "color": QUIET_INK},
                "steps": [{"method": "animate", "label": name, "args": [[name], play(0)]} for name in names],
            }
        ],
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "showactive": False,
                "x": 0,
                "xanchor": "left",
                "y": 0,
                "yanchor": "top",
                "pad": {"t": top + 14, "l": 0, "r": 0, "b": 0},
                "font": {"size": SMALL_SIZE},
                "buttons": [
                    {"label": "▶ play", "method": "animate", "args": [list(names), play(milliseconds)]},
                    {"label": "❚❚ stop", "method": "animate", "args": [[None], play(0)]},
                ],
            }
        ],
    )
