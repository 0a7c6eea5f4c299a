"""Ways of cameras side by side: to be turned by hand, and from straight above."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry import check_pose
from stc_lab.plots.curves import DASHES
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.template import GRID, QUIET_INK, SMALL_SIZE, WIDTH, template

_SIGHTS = 6  # viewing directions drawn along a path
_SIGHT_SHARE = 0.09  # of the largest extent: their length
_IN_SPACE, _FROM_ABOVE = 0.53, 0.6  # of the width: where the one picture ends and the other begins
_BELOW, _RIGHT = 56, 24  # px
_DIAGONAL = 1.5  # of the axes, in plotly's units of a scene
_AXES = ("right (m)", "ahead (m)", "up (m)")
_TRUTH_COLOUR = "#a3adba"
_FLATTEST = 0.3  # of the largest extent: no axis is drawn shorter, so that a level path has a readable height


@dataclass(frozen=True)
class Ground:
    """Axes that a person on the spot would use: to the right, ahead and up from where a path starts."""

    axes: Float64[Tensor, "3 3"]  # rows: right, ahead, up, unit vectors of the world
    origin: Float64[Tensor, " 3"]  # m

    @classmethod
    def of(cls, T_world_camera: Float[Tensor, "t 4 4"], up: Float[Tensor, "3"] | None = None) -> "Ground":
        """The axes of a path's first camera, upright. `up` is by default the axis of the world nearest to the cameras'.

        Data sets stand upright on an axis of their world, and so does a world that begins with a level camera.
        """
        check_pose(T_world_camera, "T_world_camera")
        T = T_world_camera.detach().double().cpu()
        if up is None:
            mean = -T[:, :3, 1].mean(dim=0)
            axis = int(mean.abs().argmax())
            upright = torch.eye(3, dtype=torch.float64)[axis] * mean[axis].sign()
        else:
            upright = up.detach().double().cpu() / float(up.norm())
        ahead = _level(T[0, :3, 2], upright)
        if float(ahead.norm()) < 0.05:  # it looks straight up or down: the top of its image is ahead
            ahead = _level(-T[0, :3, 1], upright)
        ahead = ahead / ahead.norm()
        return cls(torch.stack([torch.linalg.cross(ahead, upright), ahead, upright]), T[0, :3, 3].clone())

    def points(self, xyz: Float[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
        """(right, ahead, up) of points of the world, m."""
        return (xyz.detach().double().cpu() - self.origin) @ self.axes.T

    def directions(self, xyz: Float[Tensor, "n 3"]) -> Float64[Tensor, "n 3"]:
        return xyz.detach().double().cpu() @ self.axes.T


def camera_paths(
    paths: Mapping[str, Float[Tensor, "t 4 4"]],
    *,
    up: Float[Tensor, "3"] | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 480,
) -> go.Figure:
    """Trajectories `T_world_camera` of one world (m), in space and from above; short strokes show where cameras look.

    The axes are those of the first trajectory's first camera, alike in metres: put the truth first, and align the
    others to it (`absolute_trajectory_error(...).aligned`).
    """
    if not paths:
        raise InputError("a figure of camera paths needs at least one, got none")
    for name, T in paths.items():
        check_pose(T, f"path {name!r}")
    ground = Ground.of(next(iter(paths.values())), up)
    ways = {name: ground.points(T[:, :3, 3]) for name, T in paths.items()}
    everything = torch.cat(list(ways.values()))
    low, high = everything.amin(dim=0), everything.amax(dim=0)
    extent = max(0.1, float((high - low).max()))
    figure = go.Figure()
    for number, (name, T) in enumerate(paths.items()):
        look = path_style(number, of=len(paths))
        sights = sight_lines(T, ground, _SIGHT_SHARE * extent)
        for trace in _in_space(name, ways[name], sights, look):
            figure.add_trace(trace)
        figure.add_trace(go.Scatter(**_columns(sights[:, :2]), name=name, legendgroup=name, **_quiet(look, 1.2)))
        for trace in path_from_above(name, ways[name], look):
            figure.add_trace(trace)
    figure.add_trace(start_entry())
    top = 92 if title else 58
    box = ((width - _RIGHT) * (1 - _FROM_ABOVE), float(height - top - _BELOW))  # px
    room = (2 * _SIGHT_SHARE + 0.05) * extent
    ranges = equal_ranges(low[:2] - room / 2, high[:2] + room / 2, box)
    middle, half = (low + high) / 2, ((high - low).clamp_min(_FLATTEST * extent) + room) / 2
    axis = {
        "backgroundcolor": "white",
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "showspikes": False,
        "tickfont": {"size": 11, "color": QUIET_INK},
        "nticks": 5,
    }
    figure.update_layout(
        template=template(),
        width=width,
        height=height,
        title={"text": title, "y": 1 - 24 / height, "yref": "container", "yanchor": "middle"} if title else None,
        margin={"l": 0, "r": _RIGHT, "t": top, "b": _BELOW},
        legend={"orientation": "h", "x": 0.005, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        scene={
            "domain": {"x": [0, _IN_SPACE], "y": [0, 1]},
            "aspectmode": "manual",  # metres alike on all axes
            "aspectratio": {key: float(h / half.norm()) * _DIAGONAL for key, h in zip("xyz", half, strict=True)},
            "camera": {"eye": {"x": -0.85, "y": -1.5, "z": 0.95}, "center": {"x": 0.0, "y": 0.0, "z": -0.24}},
            **{
                f"{key}axis": {**axis, "range": [float(m - h), float(m + h)], "title": {"text": text, "font_size": 12}}
                for key, text, m, h in zip("xyz", _AXES, middle, half, strict=True)
            },
        },
    )
    figure.update_xaxes(title_text=_AXES[0], range=ranges[0], domain=[_FROM_ABOVE, 1])
    figure.update_yaxes(title_text=_AXES[1], range=ranges[1], scaleanchor="x", constrain="domain")
    heading = {"text": "seen from above", "x": 1, "y": 1, "xref": "paper", "yref": "paper", "showarrow": False}
    figure.add_annotation(**heading, xanchor="right", yanchor="bottom", font={"size": SMALL_SIZE, "color": QUIET_INK})
    return figure


def path_from_above(name: str, way: Float64[Tensor, "t d"], look: dict[str, Any]) -> list[go.Scatter]:
    """A path on level ground, and a ring about its start; they come and go together."""
    numbers = list(range(len(way)))
    hover = f"{name}, frame %{{customdata}}<br>(%{{x:.2f}}, %{{y:.2f}}) m<extra></extra>"
    ring = {"symbol": "circle-open", "size": look["ring"], "color": look["line"]["color"], "line": {"width": 2.5}}
    whole, start = line_points(way), line_points(way[:1])
    style: dict[str, Any] = {"name": name, "legendgroup": name}
    return [
        go.Scatter(**whole, **style, mode="lines", line=look["line"], customdata=numbers, hovertemplate=hover),
        go.Scatter(**start, **style, mode="markers", marker=ring, showlegend=False, hoverinfo="skip"),
    ]


def start_entry() -> go.Scatter:
    """An entry of the legend that says what the rings are."""
    ring = {"symbol": "circle-open", "size": 11, "color": QUIET_INK, "line": {"width": 2.5}}
    return go.Scatter(x=[None], y=[None], mode="markers", marker=ring, name="start", hoverinfo="skip")


def line_points(way: Float64[Tensor, "t d"]) -> dict[str, list[float]]:
    """Coordinates of a path by axis, to a tenth of a millimetre."""
    return {key: [round(one, 4) for one in way[:, i].tolist()] for i, key in enumerate("xy")}


def path_style(number: int, *, of: int) -> dict[str, Any]:
    """The look of the path of this number; the first of several is a broad grey line that the others lie on.

    In space, where a broad line would hide those inside of it, it is a thin one.
    """
    if number == 0 and of > 1:
        return {"line": {"color": _TRUTH_COLOUR, "dash": "solid", "width": 6}, "width_in_space": 3, "ring": 19}
    place = number - (of > 1)
    colour, dash = SERIES_COLOURS[place % len(SERIES_COLOURS)], DASHES[place % len(DASHES)]
    return {"line": {"color": colour, "dash": dash, "width": 2.5}, "width_in_space": 5, "ring": 11}


def equal_ranges(
    low: Float64[Tensor, " 2"], high: Float64[Tensor, " 2"], box: tuple[float, float]
) -> list[list[float]]:
    """Ranges of x and y that hold `low`..`high` and fill a box of (width, height) px with metres alike on both."""
    size = torch.tensor(box, dtype=torch.float64)
    middle, half = (low + high) / 2, size * float(((high - low).clamp_min(0.1) / size).max()) / 2
    return [[float(m - h), float(m + h)] for m, h in zip(middle, half, strict=True)]


def sight_lines(T_world_camera: Float[Tensor, "t 4 4"], ground: Ground, length: float) -> Float64[Tensor, "n 3"]:
    """Strokes of `length` (m) from some of the cameras to where they look; a row of NaN ends each."""
    chosen = torch.linspace(0, len(T_world_camera) - 1, min(_SIGHTS, len(T_world_camera))).round().long()
    T = T_world_camera[chosen]
    start = ground.points(T[:, :3, 3])
    end = start + length * ground.directions(T[:, :3, 2])
    return torch.stack([start, end, torch.full_like(end, torch.nan)], dim=1).flatten(0, 1)


def _in_space(
    name: str, way: Float64[Tensor, "t 3"], sights: Float64[Tensor, "n 3"], look: dict[str, Any]
) -> list[go.Scatter3d]:
    """Path, viewing directions and start in three dimensions."""
    style: dict[str, Any] = {"name": name, "legendgroup": name, "showlegend": False, "hoverinfo": "skip"}
    line = {**look["line"], "width": look["width_in_space"]}
    start = {"size": look["ring"] / 3, "color": look["line"]["color"]}
    return [
        go.Scatter3d(**_columns(way), **style, mode="lines", line=line),
        go.Scatter3d(**_columns(sights), name=name, legendgroup=name, **_quiet(look, 3)),
        go.Scatter3d(**_columns(way[:1]), **style, mode="markers", marker=start),
    ]


def _level(direction: Float64[Tensor, " 3"], up: Float64[Tensor, " 3"]) -> Float64[Tensor, " 3"]:
    return direction - (direction @ up) * up


def _columns(rows: Float64[Tensor, "n d"]) -> dict[str, list[float | None]]:
    """Coordinates by axis; None where a line ends."""
    values = [[None if one != one else one for one in column] for column in rows.T.tolist()]
    return dict(zip("xyz", values, strict=False))


def _quiet(look: dict[str, Any], width: float) -> dict[str, Any]:
    """A thin line that belongs to a path and has no name of its own."""
    line = {"color": look["line"]["color"], "width": width}
    return {"mode": "lines", "line": line, "showlegend": False, "hoverinfo": "skip"}
