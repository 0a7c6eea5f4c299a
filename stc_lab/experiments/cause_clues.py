"""What tells the causes of inconsistency apart: clues that need no truth, for every pixel of a pair."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.experiments.explored_frames import aligned_image
from stc_lab.experiments.pair_view import PairView
from stc_lab.geometry import (
    Correspondence,
    DepthTolerance,
    correspond,
    dis_flow,
    gmflow_visible,
    invert_pose,
    sample,
    sample_labels,
)
from stc_lab.geometry.flow import LEAST_DIS_SIZE, landing
from stc_lab.geometry.reproject import inside, pixel_grid

THIN_WIDTH = 4  # px: what is no wider is thin
REACH = 2  # px: how far a boundary pixel may be from the boundary
_PATCH = 5  # px of the window in which pictures are compared
_LIGHT = 9  # px of the window whose mean brightness is taken off before
_STANDS_OUT = 0.12  # of 1: a thin thing is lighter or darker than what is behind it by so much
_LEAST_ERROR = 0.01  # of 1: differences of pictures below it are noise
_ENOUGH = 0.05  # share of the pixels that a motion of the whole picture, or its usual difference, must rest on


@dataclass(frozen=True)
class Clues:
    """At each pixel of the target; `place` is where the geometry puts it in the source."""

    reason: Int64[Tensor, "h w"]  # of `PairPlaces.reasons`
    visible: Bool[Tensor, "h w"]
    disagrees: Bool[Tensor, "h w"]
    near_here: Bool[Tensor, "h w"]  # the source's label stands within REACH of the pixel
    near_there: Bool[Tensor, "h w"]  # the target's label stands within REACH of the place
    thin_here: Bool[Tensor, "h w"]  # the pixel's region of one label is no wider than THIN_WIDTH
    thin_there: Bool[Tensor, "h w"]  # that of the place is
    structure: Bool[Tensor, "h w"]  # within REACH of a step of the target's depth or, without depth, of an image edge
    slim: Bool[Tensor, "h w"]  # something no wider than THIN_WIDTH stands out there, in depth or, without it, in grey
    step: Bool[Tensor, "h w"]  # a step of the source's depth at the place, which can upset a depth test
    apart: Float[Tensor, "h w"]  # px from the place to where the pictures match
    error: Float[Tensor, "h w"]  # difference of the pictures at the place, 0..1
    better: Float[Tensor, "h w"]  # share of that difference that is left where the pictures match
    matched: Bool[Tensor, "h w"]  # the match is confirmed from the other side
    agrees_there: Bool[Tensor, "h w"]  # at the match the labels agree
    claimed: Bool[Tensor, "h w"]  # another pixel of the target, confirmed, has the place; or it may lie outside
    gone: Bool[Tensor, "h w"]  # by a flow alone: with the motion of the rest of the picture it would be outside
    usual_error: float  # of the pictures, median where pixels are seen and called the same


@torch.no_grad()
def gather_clues(view: PairView) -> Clues:
    """Gather what tells the causes of one pair."""
    places, label, label_there = view.places.pixels, view.labels_target, view.labels_source
    read = sample_labels(label_there, places)
    reason, visible, disagrees = view.places.reasons(view.occlusion), view.visible, view.disagreement
    match, matched = _match(view)
    error, left = (picture_error(view, pixels) for pixels in (places, match))
    claimed, gone = _hider(view)
    step = _step_there(view)
    calm = visible & ~disagrees
    if int(calm.sum()) < _ENOUGH * int(visible.sum()):  # all disagrees: they cannot all be strange
        calm = visible
    return Clues(
        reason=reason[0],
        visible=visible[0],
        disagrees=disagrees[0],
        near_here=occurs_near(label, read, pixel_grid(places).expand_as(places))[0],
        near_there=occurs_near(label_there, label, places)[0],
        thin_here=thin_regions(label)[0],
        thin_there=(sample_labels(thin_regions(label_there).long(), places) == 1)[0],
        structure=_structure_here(view)[0],
        slim=_slim(view)[0],
        step=step[0],
        apart=torch.hypot(*(match - places)[0]),
        error=error[0],
        better=(left.clamp(min=_LEAST_ERROR) / error.clamp(min=_LEAST_ERROR))[0],
        matched=matched[0],
        agrees_there=(sample_labels(label_there, match) == label)[0],
        claimed=claimed[0],
        gone=gone[0],
        usual_error=max(_LEAST_ERROR, float(error[calm].median())) if bool(calm.any()) else _LEAST_ERROR,
    )


def _match(view: PairView) -> tuple[Float[Tensor, "1 2 h w"], Bool[Tensor, "1 h w"]]:
    """Where the pictures match, looked for from the places on, and whether the other side confirms it.

    The source is warped by the geometry first, so that the flow has to find its error alone, which is small or telling.
    """
    places, height, width = view.places.pixels, *view.target.image.shape[-2:]
    if max(height, width) < LEAST_DIS_SIZE:
        return places, torch.zeros_like(view.visible)
    target, warped = view.target.image, aligned_image(view.warped_image, view.target.image)
    there, back = dis_flow(target, warped), dis_flow(warped, target)
    moved = landing(there)
    matched = gmflow_visible(there, back, relative=0.025, absolute=1.0) & inside(moved, height, width)
    match = sample(places, moved)
    return match, matched & inside(match, *view.source.image.shape[-2:])


def _structure_here(view: PairView) -> Bool[Tensor, "1 h w"]:
    """A step of depth or an edge of the image close by: the net's edge is one of the scene."""
    edges, depth = view.edges, view.depth_target
    if depth is not None:
        far, near = F.max_pool2d(depth, 3, 1, 1), -F.max_pool2d(-depth, 3, 1, 1)
        edges = edges | ~view.places.tolerance.same_surface(far, near)[:, 0]
    return F.max_pool2d(edges[:, None].float(), 2 * REACH + 1, 1, REACH)[:, 0] > 0


def _slim(view: PairView) -> Bool[Tensor, "1 h w"]:
    """What an opening takes away, in either frame: of nearness, or of light and dark."""
    pictures = []
    for depth, image in ((view.depth_target, view.target.image), (view.depth_source, view.source.image)):
        if depth is None:
            grey = image.mean(dim=1, keepdim=True)
            found = (_top_hat(grey) > _STANDS_OUT) | (_top_hat(-grey) > _STANDS_OUT)
        else:
            near = torch.where(depth > 0, 1 / depth, torch.zeros_like(depth))
            found = _top_hat(near) > view.places.tolerance.relative * near
        pictures.append(F.max_pool2d(found.float(), 3, 1, 1)[:, 0] > 0)
    return pictures[0] | (sample_labels(pictures[1].long(), view.places.pixels) == 1)


def _top_hat(values: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Values above the highest that a window of THIN_WIDTH + 1 px keeps clear of: 0 but on what is thin and high."""
    size, pad = THIN_WIDTH + 1, THIN_WIDTH // 2
    low = -F.max_pool2d(-values, size, 1, pad)
    return values - F.max_pool2d(low, size, 1, pad)


def _step_there(view: PairView) -> Bool[Tensor, "1 h w"]:
    """Whether the pixel's own surface lies among those that the source sees within a pixel of the place."""
    z, depth = view.places.depth, view.depth_source
    if z is None or depth is None:
        return torch.zeros_like(view.visible)
    far, near = F.max_pool2d(depth, 3, 1, 1), -F.max_pool2d(-depth, 3, 1, 1)
    both = sample_labels(
        torch.arange(depth.numel(), device=depth.device).reshape(depth[:, 0].shape), view.places.pixels
    )
    far, near = far.flatten()[both], near.flatten()[both]
    tolerance, z = view.places.tolerance, z[:, 0]
    slack = tolerance.relative * z + tolerance.absolute
    return (near - slack < z) & (z < far + slack) & ~tolerance.same_surface(far, near)


def _hider(view: PairView) -> tuple[Bool[Tensor, "1 h w"], Bool[Tensor, "1 h w"]]:
    """Who has the pixel's place: another pixel of the target? And, of a flow, would it have left with the others?"""
    none = torch.zeros_like(view.visible)
    places = view.places.pixels
    height, width = view.visible.shape[-2:]
    if view.places.solid is not None:
        # What hides the pixel is a surface of the source: the target sees it too, unless it lies outside of its image.
        solid, T_target_source = view.places.solid, invert_pose(view.places.solid.T_source_target)
        back = correspond(solid.depth_source, solid.camera_source, T_target_source, camera_source=solid.camera_target)
        seen = same_surface_seen(back, solid.depth_target, view.places.tolerance)
        near = F.max_pool2d((seen | ~back.visible)[:, None].float(), 3, 1, 1)[:, 0] > 0  # a place is rounded
        return sample_labels(near.long(), places) == 1, none
    there, back_flow, visible = view.places.flow, view.places.back, view.visible
    owner = places + sample(back_flow, places)
    claimed = sample_labels(visible.long(), owner) == 1
    own = torch.hypot(*(owner - pixel_grid(owner)).unbind(dim=1)) < 1
    fitted = whole_motion(there, visible)
    return claimed & ~own, none if fitted is None else ~inside(fitted, height, width)


def same_surface_seen(
    found: Correspondence, depth: Float[Tensor, "b 1 h w"], tolerance: DepthTolerance
) -> Bool[Tensor, "b h w"]:
    """Whether the depth at the nearest pixel of each place is that of the point itself."""
    at = sample_labels(torch.arange(depth.numel(), device=depth.device).reshape(depth[:, 0].shape), found.pixels)
    return found.visible & tolerance.same_surface(found.depth[:, 0], depth.flatten()[at])


def whole_motion(
    flow: Float[Tensor, "1 2 h w"], usable: Bool[Tensor, "1 h w"], *, rounds: int = 4
) -> Float[Tensor, "1 2 h w"] | None:
    """Where each pixel would lie if the picture moved as one, by the affine map that fits most of the usable flow.

    None where less than a twentieth of the picture is usable.
    """
    if float(usable.float().mean()) < _ENOUGH:
        return None
    grid = pixel_grid(flow)
    ones = torch.ones_like(grid[:, :1])
    rows = torch.cat([grid / max(flow.shape[-2:]), ones], dim=1)[0].flatten(1).T.double()  # n 3
    goal = (grid + flow)[0].flatten(1).T.double()
    weight = usable.flatten().double()
    solution = torch.zeros(3, 2, dtype=torch.float64, device=flow.device)
    for _ in range(rounds):
        weighted = rows * weight[:, None]
        solution = torch.linalg.lstsq(weighted.T @ rows, weighted.T @ goal, driver="gelsd").solution
        missed = (rows @ solution - goal).square().sum(dim=1)
        scale = missed[usable.flatten()].median().clamp(min=0.25)
        weight = usable.flatten() / (1 + missed / scale) ** 2
    return (rows @ solution).T.reshape(grid.shape).to(flow.dtype)


def picture_error(view: PairView, pixels: Float[Tensor, "1 2 h w"]) -> Float[Tensor, "1 h w"]:
    """Mean difference of the two pictures around each pixel, the brightness of its surroundings taken off."""
    apart = view.target.image - aligned_image(sample(view.source.image, pixels), view.target.image)
    apart = apart - _mean_around(apart, _LIGHT)
    return _mean_around(apart.abs().mean(dim=1, keepdim=True), _PATCH)[:, 0]


def _mean_around(values: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c h w"]:
    """Means over windows of `size` px, of the pixels that lie inside the image."""
    return F.avg_pool2d(values, size, stride=1, padding=size // 2, count_include_pad=False)


def thin_regions(labels: Int64[Tensor, "b h w"], width: int = THIN_WIDTH) -> Bool[Tensor, "b h w"]:
    """Pixels that no window of `width` + 1 px with one label alone covers; the image's border goes on."""
    size = width + 1
    padded = F.pad(labels[:, None].float(), (size - 1,) * 4, mode="replicate")
    whole = F.max_pool2d(padded, size, stride=1) == -F.max_pool2d(-padded, size, stride=1)
    return F.max_pool2d(whole.float(), size, stride=1)[:, 0] == 0


def occurs_near(
    labels: Int64[Tensor, "b hs ws"],
    wanted: Int64[Tensor, "b h w"],
    pixels: Float[Tensor, "b 2 h w"],
    *,
    reach: int = REACH,
) -> Bool[Tensor, "b h w"]:
    """Whether the wanted label stands within `reach` px, rows and columns, of the pixel nearest to each position."""
    height, width = labels.shape[-2:]
    padded = F.pad(labels[:, None].float(), (reach,) * 4, mode="replicate").long().flatten(1)
    x, y = (pixels[:, i].round().clamp(0, side - 1).long() + reach for i, side in ((0, width), (1, height)))
    at = (y * (width + 2 * reach) + x).flatten(1)
    found = torch.zeros_like(wanted.flatten(1), dtype=torch.bool)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            found |= padded.gather(1, at + dy * (width + 2 * reach) + dx) == wanted.flatten(1)
    return found.reshape(wanted.shape)
