"""Why a pixel is not the same in two frames: the likely cause, from what an explorer can know."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from stc_lab.experiments.journey import BEHIND, OUTSIDE, UNKNOWN
from stc_lab.experiments.pair_view import PairView
from stc_lab.experiments.pixel_story import expect_pixel
from stc_lab.geometry import gmflow_visible, inside_visible, sample, sample_labels
from stc_lab.geometry.flow import landing
from stc_lab.geometry.reproject import pixel_grid

CAUSES = (
    "left the image",
    "occluded",
    "boundary pixel",
    "thin structure",
    "geometry error",
    "genuine flicker of the net",
)
LEFT, HIDDEN, BOUNDARY, THIN, GEOMETRY, FLICKER = range(len(CAUSES))
NO_CAUSE = -1  # seen in both frames and called the same

THIN_WIDTH = 4  # px: what is no wider is thin
_OFF = 1.0  # px by which the flow of the images must differ from the geometry's to accuse it
_BETTER = 0.75  # and the share of its picture error that may be left along that flow
_PATCH = 5  # px of the window in which pictures are compared


@dataclass(frozen=True)
class Cause:
    """The likely cause at one pixel."""

    name: str  # of CAUSES; "" where there is nothing to explain
    sentence: str
    evidence: dict[str, float | str]


@dataclass(frozen=True)
class Clues:
    """What the causes are told by, at each pixel of the target."""

    reason: Int64[Tensor, "h w"]  # of `PairPlaces.reasons`
    visible: Bool[Tensor, "h w"]
    disagrees: Bool[Tensor, "h w"]
    thin: Bool[Tensor, "h w"]  # in a region of one label, here or there, that is no wider than THIN_WIDTH
    boundary: Bool[Tensor, "h w"]  # the other frame's label stands next to the pixel, and its own next to the place
    apart: Float[Tensor, "h w"]  # px between the place and where the flow of the two images leads
    better: Float[Tensor, "h w"]  # picture error along that flow as a share of that at the place
    matched: Bool[Tensor, "h w"]  # that flow there and back returns, inside the image
    agrees_along: Bool[Tensor, "h w"]  # along that flow the labels are the same


def clues(view: PairView) -> Clues:
    """Gather what tells the causes of one pair."""
    target, source = view.rows
    there = view.frames.flow([target], [source], aligned=True, exposure=(0, view.disturbance.exposure))
    back = view.frames.flow([source], [target], aligned=True, exposure=(view.disturbance.exposure, 0))
    along = landing(there)
    label, label_there = view.labels_target, view.labels_source
    at_place = sample_labels(label_there, view.places.pixels)
    thin = thin_regions(label) | (sample_labels(thin_regions(label_there).long(), view.places.pixels) == 1)
    errors = [picture_error(view, pixels) for pixels in (view.places.pixels, along)]
    return Clues(
        reason=view.places.reasons(view.occlusion)[0],
        visible=view.visible[0],
        disagrees=view.disagreement[0],
        thin=thin[0],
        boundary=(
            occurs_near(label, at_place, pixel_grid(along)) & occurs_near(label_there, label, view.places.pixels)
        )[0],
        apart=(along - view.places.pixels).norm(dim=1)[0],
        better=(errors[1] / errors[0].clamp(min=1e-3))[0],
        matched=(gmflow_visible(there, back, relative=0.025, absolute=1.0) & inside_visible(there))[0],
        agrees_along=(sample_labels(label_there, along) == label)[0],
    )


def cause_map(view: PairView) -> Int64[Tensor, "h w"]:
    """Index into CAUSES for each pixel that is not seen or that disagrees; NO_CAUSE for the others."""
    return causes_of(clues(view))


def causes_of(found: Clues) -> Int64[Tensor, "h w"]:
    """The rules: the first that holds, from above."""
    accused = (found.apart > _OFF) & (found.better < _BETTER) & found.matched
    cause = torch.full_like(found.reason, FLICKER)
    cause = cause.masked_fill(found.boundary, BOUNDARY)
    cause = cause.masked_fill(found.boundary & found.thin, THIN)
    cause = cause.masked_fill(accused & found.agrees_along, GEOMETRY)
    cause = cause.masked_fill(found.visible & ~found.disagrees, NO_CAUSE)
    unseen = torch.where(accused, GEOMETRY, HIDDEN)
    cause = torch.where(found.visible, cause, unseen)
    outside = (found.reason == OUTSIDE) | (found.reason == BEHIND) | (found.reason == UNKNOWN)
    return cause.masked_fill(outside & ~found.visible, LEFT)


def likely_cause(view: PairView, x: int, y: int) -> Cause:
    """The likely cause at pixel (x, y) of the target, in one sentence, with what it rests on."""
    expect_pixel(x, y, *view.labels_target.shape[-2:])
    found = clues(view)
    number = int(causes_of(found)[y, x])
    evidence: dict[str, float | str] = {
        "px between place and flow of the images": float(found.apart[y, x]),
        "picture error left along that flow": float(found.better[y, x]),
    }
    return Cause("" if number == NO_CAUSE else CAUSES[number], _SENTENCES[number], evidence)


_SENTENCES = {
    NO_CAUSE: "Both frames see this pixel and call it the same.",
    LEFT: "The pixel left the image: its place lies outside the other frame.",
    HIDDEN: "The pixel is occluded: the other frame shows something else in its place.",
    BOUNDARY: "A boundary pixel: the edge between the two classes moved by about a pixel.",
    THIN: f"A thin structure: no wider than {THIN_WIDTH} px, it comes and goes.",
    GEOMETRY: "A geometry error: the images match better at another place, and there the labels agree.",
    FLICKER: "A genuine flicker of the net: the same surface, well inside its region, is called differently.",
}


def thin_regions(labels: Int64[Tensor, "b h w"], width: int = THIN_WIDTH) -> Bool[Tensor, "b h w"]:
    """Pixels that no window of `width` + 1 px with one label alone covers; the image's border goes on."""
    size = width + 1
    padded = F.pad(labels[:, None].double(), (size - 1,) * 4, mode="replicate")
    whole = F.max_pool2d(padded, size, stride=1) == -F.max_pool2d(-padded, size, stride=1)
    return F.max_pool2d(whole.float(), size, stride=1)[:, 0] == 0


def occurs_near(
    labels: Int64[Tensor, "b h w"], wanted: Int64[Tensor, "b h w"], pixels: Float[Tensor, "b 2 h w"]
) -> Bool[Tensor, "b h w"]:
    """Whether the wanted label stands in the 3 x 3 pixels around each position."""
    found = torch.zeros_like(wanted, dtype=torch.bool)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            near = pixels + pixels.new_tensor([dx, dy])[None, :, None, None]
            found |= sample_labels(labels, near) == wanted
    return found


def picture_error(view: PairView, pixels: Float[Tensor, "1 2 h w"]) -> Float[Tensor, "1 h w"]:
    """Mean difference of the two pictures in a window, after the window's own brightness."""
    apart = view.target.image - sample(view.source.image, pixels)
    apart = apart - F.avg_pool2d(apart, 9, stride=1, padding=4, count_include_pad=False)
    return F.avg_pool2d(apart.abs().mean(dim=1), _PATCH, stride=1, padding=_PATCH // 2, count_include_pad=False)
