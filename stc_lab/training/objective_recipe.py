"""A recipe of any objective: which losses with which weights, and what a step draws for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from stc_lab.errors import InputError
from stc_lab.losses import Objective
from stc_lab.training.recipe import checked

# What a step must draw and compute for each term. "frames" are frames without labels, of whatever pairs or clips.
NEEDS: dict[str, frozenset[str]] = {
    name: frozenset(needs.split())
    for name, needs in {
        "cross_entropy": "labelled",
        "logits_consistency": "pairs warp edges",
        "weighted_consistency": "pairs warp weight",
        "pseudo_label_cross_entropy": "pairs warp",
        "edge_loss_p": "frames depth",
        "edge_loss_h": "frames depth",
        "semantic_smoothness": "frames depth",
        "pair_stability": "clips flow",
        "teacher": "frames teacher",
        "contrastive": "pairs features",
        "sampled_contrastive": "pairs features",
        "transform_invariance": "frames images",
    }.items()
}


@dataclass(frozen=True)
class ObjectiveRecipe:
    """How a segmenter is trained with a weighted sum of losses (`losses.Objective`).

    A step draws labelled frames for the cross-entropy, and frames without labels for the rest: pairs and clips where
    terms compare frames, else single ones. Terms that look at frames one by one take all of these. What no term needs
    is neither drawn nor computed; a term of weight 0 is computed and logged, and teaches nothing.

    `weighted_consistency` has W(x, c) = the probabilities of the target frame. Values are checked when it is made.
    """

    terms: tuple[tuple[Any, ...], ...] = (("cross_entropy", 1.0),)  # (name, weight) or (name, weight, {option: value})
    # labelled frames; as in SegmentationRecipe
    labelled: int = 200  # frames whose labels may be used; 0 = none, for objectives without cross-entropy
    batch: int = 4
    class_balance: float = 0.25
    flip: bool = True
    zoom: float = 1.3
    jitter: float = 0.6
    # frames without labels, as they were recorded
    pairs: int = 4  # per step
    pairs_of: str = "videos"  # any frames `gaps` apart; or labelled = labelled frames of one video, however far apart
    gaps: tuple[int, ...] = (1, 2, 4, 8)  # frames between the two of a pair; each step draws one of these
    anchored: float = 0.2  # share of the pairs of which one frame is labelled
    partner: str = "own"  # or another, the control: in the later frame's place, along its warp, one of another video
    clips: int = 1  # per step, of consecutive frames
    clip_length: int = 4  # frames; all pairs of them are compared: 7 frames (Azulay et al. 2021) have 21
    frames: int = 8  # single frames per step, where no term asks for pairs or clips
    # what terms rest on
    warp: str = "geometry"  # or identity, the control: same pixels, no warp
    tolerance: float = 0.04  # share by which two frames' depths of one surface may differ; more where depth is learned
    flow: str = "rigid"  # of the pairs of a clip: from depth and poses; or dis, estimated from the images
    pseudo_labels: bool = True  # of the net as it starts, as labels of the features of unlabelled frames
    threshold: float = 0.5  # probability over which a pseudo-label is kept; 0 = all
    # what the term teacher teaches
    targets: str = "labels"  # sure labels of the net as it starts; or its probabilities; or those, fused along `warp`
    views: tuple[int, ...] = (2, 4, 8)  # fused: frames between a frame and its neighbours, both ways
    label_votes: float = 0.0  # how much each labelled frame's label counts wherever it is seen; the net's views: 1
    sharpness: float = 1.0  # power that probabilities are raised to
    confidence: float = 0.0  # pixels count as the likeliest class's probability to this power
    balanced: bool = False  # pixels count as their class does in the cross-entropy
    renew: int = 0  # steps after which the teacher is renewed by the net as it is then; 0 = it stays as it started
    momentum: float = 0.0  # share of the old teacher in the new one's weights
    augmented: bool = False  # flip, zoom and jitter frames and targets as labelled frames are
    projection: int = 128  # channels of the features that are contrasted
    # optimiser
    steps: int = 500
    learning_rate: float = 3e-4  # peak of the one-cycle schedule
    head_learning_rate: float = 3e-3  # that of the projection head, which is new
    warm_up: float = 0.1
    weight_warm_up: float = 0.2  # share of the steps in which all weights but the cross-entropy's rise from 0
    weight_decay: float = 0.02
    freeze_batch_norm: bool = True  # of the segmenter; the projection head learns its own statistics
    seed: int = 0  # of labelled frames, batches, pairs, clips, augmentation and the head's first weights

    def __post_init__(self) -> None:
        listed = Objective(self.terms).to_json()
        object.__setattr__(self, "terms", tuple(tuple(term) for term in listed))
        for field in fields(self)[1:]:
            value = checked(field.name, field.type, getattr(self, field.name), _CHOICES, _RANGES)
            object.__setattr__(self, field.name, value)
        self._expect_draws()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ObjectiveRecipe":
        """From names and values, as read from JSON; InputError lists the legal names."""
        legal = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(legal))
        if unknown:
            raise InputError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(legal)}")
        # JSON has no tuples.
        tuples = {name: _as_tuple(values[name]) for name in ("terms", "gaps", "views") if name in values}
        return cls(**{**values, **tuples})

    def to_dict(self) -> dict[str, Any]:
        """Names and values, in JSON's types."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**values, "gaps": list(self.gaps), "views": list(self.views), "terms": Objective(self.terms).to_json()}

    @property
    def needs(self) -> frozenset[str]:
        """What its steps draw and compute, in the words of `NEEDS`."""
        needs = frozenset().union(*(NEEDS[name] for name in self.names))
        return needs | {"teacher"} if "features" in needs and self.pseudo_labels else needs

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(term[0] for term in self.terms)

    def _expect_draws(self) -> None:
        """Raise where a term would find nothing to work on."""
        for kind in ("pairs", "clips"):
            if kind in self.needs and getattr(self, kind) == 0:
                raise InputError(f"{_listing(kind)} compare frames of {kind}, but the recipe draws {kind}=0")
        if "frames" in self.needs and not self.needs & {"pairs", "clips"} and self.frames == 0:
            raise InputError("the terms look at frames without labels, but the recipe draws frames=0")
        if self.partner == "another" and self.needs & {"features", "depth"}:
            raise InputError(
                "partner='another' is a control of terms that compare logits along a warp, and of no other"
            )
        if self.targets != "labels":
            self._expect_targets()
        if self.labelled > 0:
            return
        anchored = "pairs" in self.needs and (self.anchored > 0 or self.pairs_of == "labelled")
        blind = "features" in self.needs and not self.pseudo_labels
        if "labelled" in self.needs or anchored or blind:
            raise InputError(
                "labelled is 0, but labels are asked for: by cross_entropy, by anchored or labelled pairs, or by a "
                "contrast without pseudo-labels",
                hint="without labels: anchored=0, and the term teacher in place of cross_entropy",
            )

    def _expect_targets(self) -> None:
        if "teacher" not in self.names:
            raise InputError(f"targets={self.targets!r} are those of the term teacher, which is not listed")
        if self.augmented and self.needs & {"pairs", "clips", "images"}:
            raise InputError("augmented frames cannot be those of pairs or clips too, whose geometry would be wrong")
        if self.labelled == 0 and (self.label_votes > 0 or self.balanced):
            raise InputError("label_votes and balanced rest on labelled frames, but labelled is 0")


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _listing(kind: str) -> str:
    return ", ".join(name for name, needs in NEEDS.items() if kind in needs)


_CHOICES = {
    "pairs_of": ("videos", "labelled"),
    "warp": ("geometry", "identity"),
    "flow": ("rigid", "dis"),
    "partner": ("own", "another"),
    "targets": ("labels", "probabilities", "fused"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "labelled": (0, math.inf),
    "batch": (1, math.inf),
    "class_balance": (0, 1),
    "zoom": (1, 4),
    "jitter": (0, 2),
    "pairs": (0, math.inf),
    "gaps": (1, math.inf),
    "anchored": (0, 1),
    "clips": (0, math.inf),
    "clip_length": (2, math.inf),
    "frames": (0, math.inf),
    "tolerance": (0, 1),
    "threshold": (0, 0.999),
    "projection": (1, math.inf),
    "views": (1, math.inf),
    "label_votes": (0, math.inf),
    "sharpness": (0.1, 100),
    "renew": (0, math.inf),
    "momentum": (0, 1),
    "confidence": (0, 100),
    "steps": (1, math.inf),
    "learning_rate": (1e-9, 1),
    "head_learning_rate": (1e-9, 1),
    "warm_up": (0, 1),
    "weight_warm_up": (0, 1),
    "weight_decay": (0, 1),
    "seed": (0, 2**31 - 1),
}
