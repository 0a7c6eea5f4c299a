"""Why a pixel is not the same in two frames: the likely cause, from what an explorer can know."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.experiments.cause_clues import REACH, THIN_WIDTH, Clues, gather_clues
from stc_lab.experiments.journey import BEHIND, FARTHER, OUTSIDE, UNKNOWN
from stc_lab.experiments.pair_view import PairView
from stc_lab.experiments.pixel_story import expect_pixel

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

OFF = 1.0  # px from the place to the match of the pictures, above which the geometry is accused
BETTER = 0.75  # share of the picture's difference that may be left there
STRANGE = 3.0  # times the usual difference of the pictures: not the same surface
DOUBTED = 0.5  # share of hidden pixels that are likely hidden in vain, above which none is believed


@dataclass(frozen=True)
class Cause:
    """The likely cause at one pixel."""

    name: str  # of CAUSES; "" where there is nothing to explain
    sentence: str  # the cause and its evidence, in plain words
    evidence: dict[str, float | str]


def cause_map(view: PairView) -> Int64[Tensor, "h w"]:
    """Index into CAUSES for each pixel that is not seen or that disagrees; NO_CAUSE for the others."""
    return causes_of(gather_clues(view))


def causes_of(found: Clues) -> Int64[Tensor, "h w"]:
    """The rules, each overruling those before it.

    Seen and called differently: flicker, unless a label of the other side stands within REACH of the pixel in both
    frames (boundary) or a region no wider than THIN_WIDTH comes or goes (thin), or the pictures accuse the geometry:
    they match elsewhere, where the labels agree, or do not look alike at all. Not seen: occluded, unless the pictures
    match elsewhere, a farther surface stands in its place, or too many such pixels put the whole geometry in doubt.
    """
    accused = (found.apart > OFF) & (found.better < BETTER) & found.matched
    strange = found.error > STRANGE * found.usual_error
    cause = torch.full_like(found.reason, FLICKER)
    cause = cause.masked_fill(found.near_here & found.near_there, BOUNDARY)
    comes_or_goes = (found.thin_here & found.near_here) | (found.thin_there & found.near_there)
    cause = cause.masked_fill(comes_or_goes, THIN)
    cause = cause.masked_fill(accused & found.agrees_there, GEOMETRY)
    cause = cause.masked_fill(strange & ~comes_or_goes & ~(found.near_here & found.near_there), GEOMETRY)
    cause = cause.masked_fill(~found.disagrees, NO_CAUSE)

    hidden = torch.full_like(found.reason, GEOMETRY if found.doubt > DOUBTED else HIDDEN)
    hidden = hidden.masked_fill(accused, GEOMETRY)
    hidden = torch.where(found.reason == FARTHER, torch.where(found.step, BOUNDARY, GEOMETRY), hidden)
    cause = torch.where(found.visible, cause, hidden)
    outside = (found.reason == OUTSIDE) | (found.reason == BEHIND) | (found.reason == UNKNOWN)
    return cause.masked_fill(outside & ~found.visible, LEFT)


def likely_cause(view: PairView, x: int, y: int) -> Cause:
    """The likely cause at pixel (x, y) of the target, in one sentence, with what it rests on."""
    expect_pixel(x, y, *view.labels_target.shape[-2:])
    found = gather_clues(view)
    number = int(causes_of(found)[y, x])
    evidence: dict[str, float | str] = {
        "px between place and match": float(found.apart[y, x]),
        "picture error": float(found.error[y, x]),
    }
    return Cause("" if number == NO_CAUSE else CAUSES[number], _SENTENCES[number], evidence)


_SENTENCES = {
    NO_CAUSE: "Both frames see this pixel and call it the same.",
    LEFT: "The pixel left the image: its place lies outside the other frame.",
    HIDDEN: "The pixel is occluded: the other frame shows something else in its place.",
    BOUNDARY: f"A boundary pixel: the edge between the two classes lies within {REACH} px in both frames.",
    THIN: f"A thin structure: no wider than {THIN_WIDTH} px, it comes and goes.",
    GEOMETRY: "A geometry error: the images match better at another place, and there the labels agree.",
    FLICKER: "A genuine flicker of the net: the same surface, well inside its region, is called differently.",
}
