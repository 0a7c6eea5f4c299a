"""A clip's world seen straight from above: a picture that every browser and every paper can show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.world_points import WorldPoints, judging_gap, up_direction, without_ceiling, world_points
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.marks import Mark
from stc_lab.plots.palette import SERIES_COLOURS, Palette
from stc_lab.plots.panels import Panel
from stc_lab.plots.pictures import image_rgb
from stc_lab.plots.template import INK

PATH_COLOUR = SERIES_COLOURS[1]
_POINTS = 40_000  # of a slice
_MOST_OF_PLAN = 400_000
_SLICE_SIZE = (250, 385)  # px
_SLICE = (0.5, 0.2)  # m below the lowest and above the highest camera: walls and tall things, neither floor nor ceiling
_GROUND = 245  # grey of where there is no point


@dataclass(frozen=True)
class Plan:
    """The piece of the floor plan that is drawn; plans that are to be compared share one."""

    up: Float[Tensor, "3"]  # unit vector
    right: Float[Tensor, "3"]  # unit vectors of the page
    down: Float[Tensor, "3"]
    corner: tuple[float, float]  # m along right and down: the page's upper left
    metre: float  # px
    size: tuple[int, int]  # (height, width) px

    @classmethod
    def around(
        cls, points: WorldPoints, path: Float[Tensor, "t 3"], up: Float[Tensor, "3"], *, size: tuple[int, int]
    ) -> "Plan":
        """The plan that shows the cameras and all but the outermost hundredths of the points, as large as fits."""
        if len(points.xyz) == 0:
            raise InputError("a plan needs at least one point, got none", hint="depth is nowhere known")
        up = up.double().cpu()
        axis = torch.eye(3, dtype=torch.float64)[int(up.abs().argmin())]
        right = axis - (axis @ up) * up
        right = right / right.norm()
        down = -torch.linalg.cross(up, right)
        axes = torch.stack([right, down])
        xyz = points.xyz.double().cpu() @ axes.T
        cameras = path.double().cpu() @ axes.T
        low = torch.minimum(xyz.quantile(0.01, dim=0), cameras.amin(dim=0))
        high = torch.maximum(xyz.quantile(0.99, dim=0), cameras.amax(dim=0))
        middle, extent = (low + high) / 2, (high - low).clamp_min(0.1) * 1.16  # room for the ruler below
        height, width = size
        metre = min(width / float(extent[0]), height / float(extent[1]))
        corner = (float(middle[0]) - width / metre / 2, float(middle[1]) - height / metre / 2)
        return cls(up, right, down, corner, metre, size)

    def pixels(self, xyz: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
        """Where points of the world lie on the page, px."""
        axes = torch.stack([self.right, self.down]).to(xyz)
        return (xyz @ axes.T - torch.tensor(self.corner).to(xyz)) * self.metre - 0.5

    def height(self, xyz: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Height over the world's origin, m."""
        return xyz @ self.up.to(xyz)


def between(points: WorldPoints, plan: Plan, low: float, high: float) -> WorldPoints:
    """The points of a horizontal slice (m)."""
    heights = plan.height(points.xyz)
    return _chosen(points, (heights >= low) & (heights <= high))


def colour_plan(points: WorldPoints, path: Float[Tensor, "t 3"], plan: Plan, title: str, caption: str = "") -> Panel:
    """The points in their own colours, higher ones over lower ones, with the way of the camera."""
    order = plan.height(points.xyz).argsort()
    picture = image_rgb(points.rgb.T[:, :, None].float())[:, 0]
    drawn = _drawn(plan.pixels(points.xyz)[order], picture[order.cpu().numpy()], plan)
    return replace(Panel(drawn, title, caption), marks=_path_marks(path, plan))


def frame_plan(points: WorldPoints, names: Sequence[str], plan: Plan, title: str, caption: str = "") -> Panel:
    """The points in the colour of the frame that saw them; `names` by the points' `frame`."""
    if len(names) > len(SERIES_COLOURS) or (len(points.frame) and int(points.frame.max()) >= len(names)):
        raise InputError(f"points of {int(points.frame.max()) + 1} frames need as many names, got {len(names)}")
    palette = Palette(tuple(names), SERIES_COLOURS[: len(names)])
    order = torch.randperm(len(points.frame), generator=torch.Generator().manual_seed(0))  # no frame on top
    colours = rgb_of_hex(palette.colours)[points.frame[order].cpu().numpy()]
    drawn = _drawn(plan.pixels(points.xyz)[order], colours, plan, thick=3)
    present = tuple(sorted(set(points.frame.tolist())))
    return replace(Panel(drawn, title, caption, palette=palette, classes=present), marks=(_ruler(plan),))


def world_plan(clip: Clip, title: str, caption: str = "", *, size: tuple[int, int] = (210, 320)) -> Panel:
    """All that a clip saw, from above, without what lies over the camera; with the way of the camera."""
    points, up = without_ceiling(world_points(clip, most=_MOST_OF_PLAN), clip), up_direction(clip)
    assert clip.T_world_camera is not None
    way = clip.T_world_camera[:, :3, 3]
    return colour_plan(points, way, Plan.around(points, way, up, size=size), title, caption)


def judged_frames(clip: Clip) -> Clip:
    """The frames that are drawn: the first, a near neighbour of it, the middle one and the last."""
    last = len(clip) - 1
    return clip[sorted({0, min(judging_gap(clip), last), last // 2, last})]


def slice_panel(clip: Clip, frames: Sequence[int], up: Float[Tensor, "3"], title: str, caption: str = "") -> Panel:
    """A slice of the world at the height of the cameras, from above, in the colours of the frames that saw it.

    Each frame of the clip has a colour of its own; only `frames` are drawn, with rings where their cameras stand.
    """
    some = clip[list(frames)]
    points = world_points(some, most=_POINTS)
    points = replace(points, frame=torch.tensor(list(frames))[points.frame])
    assert some.T_world_camera is not None
    path = some.T_world_camera[:, :3, 3]
    heights = path @ up.to(path)
    plan = Plan.around(points, path, up, size=_SLICE_SIZE)
    thin = between(points, plan, float(heights.min()) - _SLICE[0], float(heights.max()) + _SLICE[1])
    if len(thin.xyz):
        plan = Plan.around(thin, path, up, size=_SLICE_SIZE)
    panel = frame_plan(thin, [f"seen from frame {i}" for i in clip.index.tolist()], plan, title, caption)
    rings = zip(frames, plan.pixels(path).tolist(), strict=True)
    cameras = tuple(Mark("ring", ((x, y),), SERIES_COLOURS[i]) for i, (x, y) in rings)
    return replace(panel, marks=(*panel.marks, *cameras))


def _chosen(points: WorldPoints, where: Bool[Tensor, " n"]) -> WorldPoints:
    return WorldPoints(points.xyz[where], points.rgb[where], points.frame[where])


def _drawn(
    pixels: Float[Tensor, "n 2"], colours: UInt8[np.ndarray, "n 3"], plan: Plan, *, thick: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """Each point a square of `thick` pixels; of several in one pixel the last is seen."""
    height, width = plan.size
    page = np.full((height, width, 3), _GROUND, dtype=np.uint8)
    square = np.stack(np.meshgrid(range(thick), range(thick), indexing="ij"), axis=-1).reshape(1, -1, 2)
    corners: Int64[np.ndarray, "n 1 2"] = pixels.round().long().cpu().numpy()[:, None]
    place = (corners + square).reshape(-1, 2)
    inside = (place >= 0).all(axis=1) & (place[:, 0] < width) & (place[:, 1] < height)
    page[place[inside, 1], place[inside, 0]] = colours.repeat(thick**2, axis=0)[inside]
    return page


def _path_marks(path: Float[Tensor, "t 3"], plan: Plan) -> tuple[Mark, ...]:
    way = tuple((x, y) for x, y in plan.pixels(path).tolist())
    return (
        Mark("line", way, PATH_COLOUR, "way of the camera"),
        Mark("ring", way[:1], PATH_COLOUR, "its start"),
        _ruler(plan),
    )


def _ruler(plan: Plan) -> Mark:
    """A line of a metre, or a power of ten of it that fits, below everything."""
    height, width = plan.size
    metres = 10.0 ** np.floor(np.log10(0.6 * width / plan.metre))
    left, low = 0.03 * width, 0.97 * height
    ends = ((left, low), (left + metres * plan.metre, low))
    return Mark("line", ends, INK, f"{metres:g} m")
