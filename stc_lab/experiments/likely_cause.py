"""Why a pixel is not the same in two frames: the likely cause, from what an explorer can know.

`cause_truth` holds it against rooms, where the cause is known.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from stc_lab.experiments.cause_clues import REACH, THIN_WIDTH, Clues, gather_clues
from stc_lab.experiments.journey import BEHIND, FARTHER, OCCLUDED, OUTSIDE, UNKNOWN, UNKNOWN_THERE
from stc_lab.experiments.pair_places import HIDDEN_BY_FLOW, HIDDEN_BY_RULE
from stc_lab.experiments.pair_view import PairView
from stc_lab.experiments.pixel_story import PixelStory, expect_pixel, pixel_story

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
BETTER = 0.75  # share of the pictures' difference that may be left there
STRANGE = 3.0  # times the usual difference of the pictures: not the same surface

# What was found at a pixel, and the cause that it speaks for. Later ones overrule earlier ones.
_RULES: tuple[tuple[str, int], ...] = (
    ("flicker", FLICKER),
    ("boundary", BOUNDARY),
    ("thin", THIN),
    ("strange", GEOMETRY),
    ("match", GEOMETRY),
    ("same", NO_CAUSE),
    ("occluded", HIDDEN),
    ("no hider", GEOMETRY),
    ("hidden match", GEOMETRY),
    ("broken flow", GEOMETRY),
    ("gone", LEFT),
    ("rule", GEOMETRY),
    ("farther", GEOMETRY),
    ("step", BOUNDARY),
    ("unknown", GEOMETRY),
    ("outside", LEFT),
    ("behind", LEFT),
)
_NAMES = tuple(name for name, _ in _RULES)


@dataclass(frozen=True)
class Cause:
    """The likely cause at one pixel."""

    name: str  # of CAUSES; "" where there is nothing to explain
    sentence: str  # the cause and its evidence, in plain words
    evidence: dict[str, float | str]  # what it rests on, by name


def cause_map(view: PairView) -> Int64[Tensor, "h w"]:
    """Index into CAUSES for each pixel that is not seen or that disagrees; NO_CAUSE for the others."""
    causes = torch.tensor([cause for _, cause in _RULES], device=view.visible.device)
    return causes[rules_of(_clues(view))]


def rules_of(found: Clues) -> Int64[Tensor, "h w"]:
    """The rule that decides at each pixel, as an index into `_RULES`.

    Seen, but called differently: flicker, unless both labels stand within REACH px in both frames, where the scene has
    an edge (boundary), or something no wider than THIN_WIDTH stands out and its label comes or goes (thin), or the
    pictures do not look alike, or match better elsewhere, where the labels agree (geometry). Not seen: occluded, if
    what hides the pixel stands where it should in this frame, too, or may lie outside of it; geometry, if not, or if
    the pictures match elsewhere, or the other frame sees a farther surface, which could not hide the pixel.
    """
    meets = found.near_here & found.near_there
    narrow = found.thin_here | found.thin_there
    comes_or_goes = (found.thin_here & found.near_here) | (found.thin_there & found.near_there)
    accused = (found.apart > OFF) & (found.better < BETTER) & found.matched
    hidden, by_flow = ~found.visible, found.reason == HIDDEN_BY_FLOW
    by_rule, farther = found.reason == HIDDEN_BY_RULE, found.reason == FARTHER
    holds = {
        "boundary": found.structure & meets & ~narrow,
        "thin": found.slim & comes_or_goes,
        "strange": (found.error > STRANGE * found.usual_error) & ~meets & ~(found.slim & comes_or_goes),
        "match": accused & found.agrees_there,
        "same": ~found.disagrees,
        "occluded": hidden,
        "no hider": hidden & (found.reason == OCCLUDED) & ~found.claimed,
        "hidden match": hidden & accused,
        "broken flow": by_flow & ~found.claimed,
        "gone": by_flow & found.gone,
        "rule": by_rule,
        "farther": hidden & farther & ~found.step,
        "step": (hidden & farther | by_rule) & found.step,
        "unknown": hidden & ((found.reason == UNKNOWN) | (found.reason == UNKNOWN_THERE)),
        "outside": hidden & (found.reason == OUTSIDE),
        "behind": hidden & (found.reason == BEHIND),
    }
    rule = torch.zeros_like(found.reason)
    for number, name in enumerate(_NAMES[1:], start=1):
        rule = rule.masked_fill(holds[name], number)
    return rule


def likely_cause(view: PairView, x: int, y: int) -> Cause:
    """The likely cause at pixel (x, y) of the target, in one sentence, with what it rests on."""
    expect_pixel(x, y, *view.labels_target.shape[-2:])
    found = _clues(view)
    rule = int(rules_of(found)[y, x])
    name, cause = _RULES[rule]
    story = pixel_story(view, x, y)
    evidence: dict[str, float | str] = {
        "rule": name,
        "visibility": story.reason,
        "px to where the pictures match": float(found.apart[y, x]),
        "difference of the pictures": float(found.error[y, x]),
        "difference left at the match": float(found.error[y, x] * found.better[y, x]),
        "usual difference": found.usual_error,
    }
    if story.back is not None:
        evidence["px missed there and back"] = story.back
    return Cause("" if cause == NO_CAUSE else CAUSES[cause], _sentence(name, story, evidence), evidence)


def _clues(view: PairView) -> Clues:
    kept: Clues = view.kept("clues", lambda: gather_clues(view))
    return kept


def _sentence(rule: str, story: PixelStory, evidence: dict[str, float | str]) -> str:
    here, there = (
        "nothing" if label is None else f"'{story.classes[label]}'" for label in (story.label, story.label_there)
    )
    sure = f"{here} here ({max(story.shares):.0%})"
    if story.shares_there is not None:
        sure += f" and {there} there ({max(story.shares_there):.0%})"
    apart, error, left, usual = (
        f"{evidence[name]:.2g}"
        for name in (
            "px to where the pictures match",
            "difference of the pictures",
            "difference left at the match",
            "usual difference",
        )
    )
    place = "" if story.place is None else f"x = {story.place[0]:.1f}, y = {story.place[1]:.1f}"
    match = f"the pictures match better {apart} px beside the place that the geometry gives ({left} of {error} is left)"
    surfaces = ""
    if story.depth_there is not None and story.depth_seen is not None:
        surfaces = f"a surface {story.depth_seen:.2f} m away, this one is at {story.depth_there:.2f} m"
    missed = f"{evidence.get('px missed there and back', float('nan')):.1f} px"
    return {
        "same": f"Nothing to explain: both frames see this pixel, and the net calls it {here} in both.",
        "flicker": f"Genuine flicker of the net: the same surface in both frames (the pictures differ by {error}, "
        f"usual are {usual}), and the net says {sure}.",
        "boundary": f"Boundary pixel: {here} and {there} meet within {REACH} px of it in both frames, so that an edge "
        "which moves by a pixel or two changes its label.",
        "thin": f"Thin structure: something no wider than {THIN_WIDTH} px stands out there, and the net, which says "
        f"{sure}, loses it in one of the frames.",
        "strange": "Geometry error: the pictures do not look alike at the place that the geometry gives (they differ "
        f"by {error}, usual are {usual}), so that it is hardly the same surface.",
        "match": f"Geometry error: {match}, and there the labels agree.",
        "occluded": f"Occluded: the other frame sees {surfaces}."
        if surfaces
        else f"Occluded: there and back along the flow misses the pixel by {missed}; another pixel has its place.",
        "no hider": f"Geometry error: the other frame sees {surfaces}, but that surface is not where it should then be "
        "in this frame.",
        "hidden match": f"Geometry error: the rule calls the pixel hidden, but {match}.",
        "broken flow": f"Geometry error: there and back along the flow misses the pixel by {missed}, and no other "
        "pixel that could hide it has its place.",
        "gone": "Left the image: its flow is broken, and with the motion of the rest of the picture it would lie "
        "outside.",
        "rule": "Geometry error: the chosen rule hides the pixel, though the depths of both frames agree there.",
        "farther": f"Geometry error: the other frame sees {surfaces}, so that it would hide what is seen.",
        "step": f"Boundary pixel: the other frame sees {surfaces}, but right beside it the depth steps to this one's.",
        "unknown": "Geometry error: the depth is unknown here or there, so that nobody can say where the pixel lies.",
        "outside": f"Left the image: its place, {place}, lies outside the other frame.",
        "behind": "Left the image: the point lies behind the other camera.",
    }[rule]
