"""Points of the world with the cameras that saw them, to be turned by hand."""

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.world_points import WorldPoints, up_direction
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.pictures import image_rgb
from stc_lab.plots.template import GRID, WIDTH, template

MOST_POINTS = 20_000  # more would make notebooks of megabytes
_PATH, _FRUSTA = SERIES_COLOURS[1], SERIES_COLOURS[0]
_LONGEST = 1.5  # of the axes, in plotly's units of a scene
_FRUSTUM_SHARE = 0.06  # of the scene's size


def cloud_figure(points: WorldPoints | None, clip: Clip, *, frusta: int = 5, height: int = 620) -> go.Figure:
    """The points in their colours, the way of the camera and the frusta of some frames; axes in metres, all alike.

    Without points (no depth) the cameras alone are drawn.
    """
    clip.require("T_world_camera")
    assert clip.T_world_camera is not None
    if points is not None and len(points.xyz) > MOST_POINTS:
        raise InputError(f"a point cloud may have {MOST_POINTS} points, got {len(points.xyz)}", hint="most=12_000")
    way = clip.T_world_camera[:, :3, 3].double().cpu()
    figure = go.Figure()
    if points is not None:
        rgb = image_rgb(points.rgb.T[:, :, None].float())[:, 0]
        x, y, z = points.xyz.float().cpu().numpy().round(3).T
        figure.add_scatter3d(
            x=x,
            y=y,
            z=z,
            mode="markers",
            name="pixels in the world",
            marker={"size": 2, "color": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in rgb.tolist()]},
            hovertemplate="(%{x:.2f}, %{y:.2f}, %{z:.2f}) m<extra></extra>",
            showlegend=False,
        )
    everything = way if points is None else torch.cat([way, points.xyz.double().cpu()])
    extent = float((everything.quantile(0.98, dim=0) - everything.quantile(0.02, dim=0)).max())
    if clip.camera is not None:
        chosen = torch.linspace(0, len(clip) - 1, min(frusta, len(clip))).round().long()
        x, y, z = _frusta(clip[chosen], _FRUSTUM_SHARE * max(extent, 0.5))
        figure.add_scatter3d(
            x=x,
            y=y,
            z=z,
            mode="lines",
            name="what some frames see",
            line={"color": _FRUSTA, "width": 3},
            hoverinfo="skip",
        )
    x, y, z = (way[:, i].tolist() for i in range(3))
    number = clip.index.tolist()
    figure.add_scatter3d(
        x=x,
        y=y,
        z=z,
        mode="lines+markers",
        name="way of the camera",
        line={"color": _PATH, "width": 5},
        marker={"size": [6] + [2.5] * (len(x) - 1), "color": _PATH},
        customdata=number,
        hovertemplate="frame %{customdata}<br>(%{x:.2f}, %{y:.2f}, %{z:.2f}) m<extra></extra>",
    )
    ranges = _ranges(figure)
    longest = max(high - low for low, high in ranges)
    axis = {"backgroundcolor": "white", "gridcolor": GRID, "showspikes": False, "tickfont": {"size": 12}, "nticks": 6}
    up, eye = _view(clip)
    figure.update_layout(
        template=template(),
        width=WIDTH,
        height=height,
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "itemsizing": "constant"},
        scene={
            "aspectmode": "manual",  # metres alike on all axes, as "data" has it, but long streets stay in view
            "aspectratio": {
                name: (high - low) / longest * _LONGEST for name, (low, high) in zip("xyz", ranges, strict=True)
            },
            "camera": {"up": up, "eye": eye},
            **{
                f"{name}axis": {**axis, "range": list(ends), "title": {"text": f"{name} (m)", "font": {"size": 14}}}
                for name, ends in zip("xyz", ranges, strict=True)
            },
        },
    )
    return figure


def _frusta(clip: Clip, depth: float) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """The edges of each frame's view, out to `depth` (m), as lines with gaps."""
    assert clip.camera is not None and clip.T_world_camera is not None
    height, width = clip.camera.size
    xy1 = torch.tensor(
        [
            [x, y, 1.0]
            for x, y in ((-0.5, -0.5), (width - 0.5, -0.5), (width - 0.5, height - 0.5), (-0.5, height - 0.5))
        ],
        dtype=torch.float64,
    )
    lines: list[list[float] | list[None]] = []
    for K, T in zip(clip.camera.K.double().cpu(), clip.T_world_camera.double().cpu(), strict=True):
        corners = depth * (torch.linalg.inv(K) @ xy1.T).T
        tip, *around = (T[:3, :3] @ torch.cat([torch.zeros(1, 3), corners]).T + T[:3, 3:]).T.tolist()
        for place in (*around, around[0]):  # round the picture, and back to the tip from each corner
            lines += [place]
        lines += [[None] * 3]
        for place in around:
            lines += [tip, place, [None] * 3]
    x, y, z = (list(values) for values in zip(*lines, strict=True))
    return x, y, z


def _ranges(figure: go.Figure) -> list[tuple[float, float]]:
    """From the least to the largest coordinate of all that is drawn, with a little room, for x, y and z (m)."""
    ranges = []
    for name in "xyz":
        values = np.concatenate([np.array([v for v in trace[name] if v is not None], float) for trace in figure.data])
        room = max(0.05, 0.02 * float(np.ptp(values)))
        ranges.append((float(values.min()) - room, float(values.max()) + room))
    return ranges


def _view(clip: Clip) -> tuple[dict[str, float], dict[str, float]]:
    """Up, and an eye behind and above where the cameras look from."""
    up = up_direction(clip)
    assert clip.T_world_camera is not None
    ahead = clip.T_world_camera[:, :3, 2].double().cpu().mean(dim=0)
    ahead = ahead - (ahead @ up) * up
    side = torch.linalg.cross(ahead, up)
    eye: Float[Tensor, 3] = 1.6 * up - 1.25 * ahead + 0.75 * side
    return _named(up), _named(eye)


def _named(vector: Float[Tensor, "3"]) -> dict[str, float]:
    return {name: float(value) for name, value in zip("xyz", vector, strict=True)}
