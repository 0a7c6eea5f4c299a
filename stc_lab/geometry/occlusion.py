"""Which pixels of a frame another frame sees, by each published rule under its author's name (CONVENTIONS.md, visible).

Each returns True where the pixel is visible and has its published constants as defaults. The first two look at depth
maps, the others at flow; none is differentiable. Flow that is unknown (NaN, or beyond 1e9 px as Middlebury files mark
it) makes a pixel invisible, whether it is its own or is needed from the other frame.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.checks import expect_alike, expect_camera, expect_map
from stc_lab.geometry.compiled import compilable
from stc_lab.geometry.flow import RESIZED_FLOW, UNKNOWN_FLOW, known_flow, landing, lifted
from stc_lab.geometry.reproject import inside, reproject
from stc_lab.geometry.threads import divided, run_jobs, threads_for
from stc_lab.geometry.warp import DepthTolerance, correspond, sample


def depth_test_visible(
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_source_target: Float[Tensor, "b 4 4"],
    depth_source: Float[Tensor, "b 1 hs ws"],
    *,
    camera_source: Camera | None = None,
    tolerance: DepthTolerance = DepthTolerance(),
) -> Bool[Tensor, "b h w"]:
    """Which target pixels the source sees: where its own depth there (nearest pixel) is that of the same surface.

    |z - depth| < 4 % z + 2 cm with the default tolerance; it is the mask of `correspond`, and of every warp by depth.
    """
    return correspond(
        depth_target,
        camera_target,
        T_source_target,
        camera_source=camera_source,
        depth_source=depth_source,
        tolerance=tolerance,
    ).visible


def gordon_visible(
    depth_target: Float[Tensor, "b 1 h w"],
    camera_target: Camera,
    T_source_target: Float[Tensor, "b 4 4"],
    depth_source: Float[Tensor, "b 1 hs ws"],
    *,
    camera_source: Camera | None = None,
) -> Bool[Tensor, "b h w"]:
    """Which target pixels lie strictly nearer to the source camera than the surface that it sees in their place.

    Gordon et al. 2019 (Depth from Videos in the Wild): z < the source's depth, read bilinearly, in front of the camera
    and inside 0 <= x < W - 1, 0 <= y < H - 1. One side is tested: the target's pixels against the source's depth. The
    loss that it serves is run both ways and summed, so that where the target is the farther one, the swapped call asks.

    As published, it is no test of equal surfaces and has no tolerance to set. Where both frames see one surface, the
    sign of what is left between the two depths decides. With noisy depth, as a net's, that leaves out about half of
    such pixels. With the exact depth of planes it leaves out few, for z is convex along a plane's image and bilinear
    reading errs to the far side. Equal depths are out (no motion leaves no pixel visible), as are the last row and
    column.

    Departures: in front means z > 1 mm as everywhere here, not z > 0, and depth that is unknown is never visible; the
    published networks know no such depth.
    """
    camera_source = camera_target if camera_source is None else camera_source
    depth_target, depth_source = lifted(depth_target), lifted(depth_source)
    found = reproject(depth_target, camera_target, T_source_target, camera_source, names=("target", "source"))
    expect_map("depth_source", depth_source, channels=1)
    expect_alike("depth_source", depth_source, "depth_target", depth_target)
    expect_camera("depth_source", depth_source, "camera_source", camera_source)
    unknown = ~(depth_source.isfinite() & (depth_source > 0))
    read, known = _read(depth_source.detach(), unknown, found.pixels)
    x, y = found.pixels.detach().unbind(dim=1)
    within = (x >= 0) & (x < camera_source.width - 1) & (y >= 0) & (y < camera_source.height - 1)
    return found.real & within & known & (found.depth.detach() < read)[:, 0]


def ruder_visible(
    flow_ab: Float[Tensor, "b 2 h w"],
    flow_ba: Float[Tensor, "b 2 h w"],
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
    motion_boundaries: bool = True,
    boundary_relative: float = 0.01,
    boundary_absolute: float = 0.002,
) -> Bool[Tensor, "b h w"]:
    """Which pixels of a are seen in b: where following flow_ab and then flow_ba leads back, squared lengths compared.

    Ruder et al. 2016 (Artistic style transfer for videos, after Sundaram et al. 2010), with w = flow_ab and w~ the
    flow back, sampled at x + w: |w + w~|^2 < relative (|w|^2 + |w~|^2) + absolute (px^2), and x + w inside the frame.
    With `motion_boundaries`, w must not jump either: |grad u|^2 + |grad v|^2 <= boundary_relative |w|^2 +
    boundary_absolute (central differences; the frame's border goes on). That marks pixels that are seen but whose flow
    is not to be trusted, so it costs precision as a test of occlusion.

    Departures from the authors' program: its Gaussian (0.8 px) over the finished mask is left out, which would make
    weights of it; and the last row and column count as inside, which the program leaves out even without motion.
    """
    _expect_not_negative(
        relative=relative,
        absolute=absolute,
        boundary_relative=boundary_relative,
        boundary_absolute=boundary_absolute,
    )
    limits = relative, absolute, boundary_relative, boundary_absolute
    flow_ab, flow_ba = _alike(flow_ab, flow_ba)
    if compilable(flow_ab, flow_ba):
        return _ruder_compiled(flow_ab, flow_ba, limits, motion_boundaries)
    return _ruder_plain(flow_ab, flow_ba, limits, motion_boundaries)


def gmflow_visible(
    flow_ab: Float[Tensor, "b 2 h w"],
    flow_ba: Float[Tensor, "b 2 h w"],
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
) -> Bool[Tensor, "b h w"]:
    """Which pixels of a are seen in b: where following flow_ab and then flow_ba leads back, lengths compared.

    Xu et al. 2022 (GMFlow), whose constants are those of UnFlow (Meister et al. 2018) but for lengths instead of
    their squares: |w + w~| <= relative (|w| + |flow_ba|) + absolute (px), with w~ the flow back sampled at x + w, but
    |flow_ba| taken at x itself, not at x + w.

    As published, leaving the frame is not tested: outside of it w~ is 0 (zero padding), so that a pixel that leaves
    counts as visible when it moves by no more than about `absolute`. Between the last pixel and one beyond, w~ fades.
    """
    _expect_not_negative(relative=relative, absolute=absolute)
    pair = _paired(*_alike(flow_ab, flow_ba))
    surrounded = F.pad(pair.ba, (1, 1, 1, 1))  # one row of zeros, which goes on: zero padding
    back, known = _read(surrounded, F.pad(pair.unknown_ba, (1, 1, 1, 1)), pair.pixels + 1)
    limit = relative * (_length(pair.ab) + _length(pair.ba)) + absolute
    return known & ~pair.unknown_ba[:, 0] & (_length(pair.ab + back) <= limit)


def inside_visible(flow_ab: Float[Tensor, "b 2 h w"]) -> Bool[Tensor, "b h w"]:
    """Which pixels of a land inside b, 0 <= x <= W - 1 and 0 <= y <= H - 1: no test of occlusion but of the frame.

    Meister et al. 2018 (UnFlow), its mask of outgoing pixels, both borders inclusive.
    """
    expect_map("flow_ab", flow_ab, channels=2)
    flow_ab = lifted(flow_ab)
    return inside(landing(flow_ab), *flow_ab.shape[-2:])


class _Pair(NamedTuple):
    """Two flows, made fit for arithmetic."""

    ab: Float[Tensor, "b 2 h w"]  # NaN where unknown, so that no comparison with it holds
    ba: Float[Tensor, "b 2 h w"]  # 0 where unknown
    unknown_ba: Bool[Tensor, "b 1 h w"]
    pixels: Float[Tensor, "b 2 h w"]  # where the pixels of a land in b; far outside where that is unknown


def _ruder_compiled(
    flow_ab: Tensor, flow_ba: Tensor, limits: tuple[float, float, float, float], boundaries: bool
) -> Bool[Tensor, "b h w"]:
    from stc_lab.geometry.kernels_visibility import ruder_rows

    b, _, height, width = flow_ab.shape
    filled = flow_ba.new_empty(0, 2, height, width)  # nothing to fill
    if not (_whole(flow_ab) and _whole(flow_ba)):
        filled = flow_ba.masked_fill(~known_flow(flow_ba)[:, None], 0.0)
    flows = [flow.contiguous().numpy() for flow in (flow_ab, flow_ba, filled)]
    scalar, visible = flows[0].dtype.type, torch.empty(b, height, width, dtype=torch.bool)
    rest = tuple(map(scalar, limits)), scalar(UNKNOWN_FLOW), boundaries, visible.numpy()
    threads = threads_for(visible.numel())
    run_jobs(lambda part: ruder_rows(part, *flows, *rest), divided(b, height, threads), threads)
    return visible


def _whole(flow: Tensor) -> bool:
    """Whether all of it is known."""
    low, high = flow.aminmax()  # NaN if any is
    return bool((low > -UNKNOWN_FLOW) & (high < UNKNOWN_FLOW))


def _ruder_plain(
    flow_ab: Tensor, flow_ba: Tensor, limits: tuple[float, float, float, float], boundaries: bool
) -> Bool[Tensor, "b h w"]:
    """The same in plain tensor operations, for every other device."""
    relative, absolute, boundary_relative, boundary_absolute = limits
    pair = _paired(flow_ab, flow_ba)
    back, known = _read(pair.ba, pair.unknown_ba, pair.pixels)
    error = (pair.ab + back).square().sum(dim=1)
    length = pair.ab.square().sum(dim=1)
    visible = known & inside(pair.pixels, *flow_ba.shape[-2:])
    visible = visible & (error < relative * (length + back.square().sum(dim=1)) + absolute)
    if not boundaries:
        return visible
    padded = F.pad(pair.ab, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    jump = across.square().sum(dim=1) + down.square().sum(dim=1)
    return visible & (jump <= boundary_relative * length + boundary_absolute)


def _alike(flow_ab: Tensor, flow_ba: Tensor) -> tuple[Tensor, Tensor]:
    """Two flows of one size, checked, at least in float32 and without gradient."""
    expect_map("flow_ab", flow_ab, channels=2)
    expect_map("flow_ba", flow_ba, channels=2)
    expect_alike("flow_ba", flow_ba, "flow_ab", flow_ab)
    if flow_ab.shape != flow_ba.shape:
        raise InputError(
            f"flow_ab and flow_ba must have one size, got {list(flow_ab.shape[-2:])} and {list(flow_ba.shape[-2:])} px",
            hint=RESIZED_FLOW,
        )
    return lifted(flow_ab).detach(), lifted(flow_ba).detach()


def _paired(flow_ab: Tensor, flow_ba: Tensor) -> _Pair:
    unknown_ba = ~known_flow(flow_ba)[:, None]
    ab = flow_ab.masked_fill(~known_flow(flow_ab)[:, None], torch.nan)
    return _Pair(ab, flow_ba.masked_fill(unknown_ba, 0.0), unknown_ba, landing(flow_ab))


def _length(vectors: Float[Tensor, "b 2 h w"]) -> Float[Tensor, "b h w"]:
    return torch.hypot(vectors[:, 0], vectors[:, 1])  # a norm over so short an axis takes a hundred times as long


def _read(
    values: Float[Tensor, "b c hs ws"], unknown: Bool[Tensor, "b 1 hs ws"], pixels: Float[Tensor, "b 2 h w"]
) -> tuple[Float[Tensor, "b c h w"], Bool[Tensor, "b h w"]]:
    """Values read bilinearly at `pixels`, and whether all that took part were known."""
    both = torch.cat([values.masked_fill(unknown, 0.0), unknown.to(values.dtype)], dim=1)
    read = sample(both, pixels.detach())
    return read[:, :-1], read[:, -1] == 0


def _expect_not_negative(**limits: float) -> None:
    for name, value in limits.items():
        if not value >= 0:
            raise InputError(f"tolerances must not be negative, got {name} = {value}")
