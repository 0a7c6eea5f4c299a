"""What Tables 1 and 2 of Pasad et al. 2020 are made of on rooms: profiles, rows, and the recipe of each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stc_lab.errors import InputError
from stc_lab.experiments.pasad_geometry import TOLERANCE
from stc_lab.training import ObjectiveRecipe, SegmentationRecipe

STRENGTH_NAMES = ("equal weight", "equalised")
WEIGHT = 0.3  # of the consistency loss; the paper names none
LEARNING_RATE = 1.5e-3
FRESH = 30  # the first test room that nothing but a final table was made with
# Weights, spaces, gaps and pressures compared on validation rooms (one seed, 200 labels) before the rows were fixed.
TRIED_BEFORE = 15
BASELINES_TRIED = 6  # lengths and learning rates of the baseline, on validation rooms as well
TRIED_IN_SEARCH = 11  # by `pasad_search`, whose results are kept; a test holds the number to them


@dataclass(frozen=True)
class Profile:
    """All that a profile fixes."""

    name: str
    rooms: str  # preset of dolly rooms for training
    counts: tuple[int, ...]  # nested label counts
    seeds: tuple[int, ...]
    ablation_count: int  # the low count of Table 2
    baseline_steps: int
    steps: int  # of every continuation
    test_rooms: int
    rows: tuple[str, ...]  # of Table 1 and its controls, at every count
    ablation: tuple[str, ...]  # rows of Table 2
    more_rows: tuple[str, ...] = ()  # of Table 1, at some counts alone, for each takes a tenth of the whole
    more_counts: tuple[int, ...] = ()
    first_test_room: int = 0  # the test rooms before FRESH were looked at while the kit was built
    strengths: tuple[str, ...] = STRENGTH_NAMES
    gaps: tuple[int, ...] = (1, 2, 4, 8)
    channels: int = 32  # of the net
    widths: tuple[int, ...] = (16, 32, 64, 96)


@dataclass(frozen=True)
class Row:
    """One way to go on with a baseline."""

    sentence: str  # what it is, for tables
    terms: tuple[tuple[Any, ...], ...]  # beside the cross-entropy
    geometry: str = "exact"  # or learned: from the images of the training videos alone
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe
    control: bool = False
    tried: int = TRIED_BEFORE  # settings compared on validation rooms before this one was taken


def _eq1(uniform: float, label_prior: float, pixel_prior: float) -> tuple[Any, ...]:
    options = {"uniform": uniform, "label_prior": label_prior, "pixel_prior": pixel_prior}
    return ("logits_consistency", WEIGHT, options)


_PAPER = (_eq1(0.2, 0.4, 0.4),)
_PSEUDO = ("pseudo_label_cross_entropy", WEIGHT)
_TEACHER = (("teacher", 2.0),)
ROWS: dict[str, Row] = {
    "baseline continued": Row("the same further steps without any consistency loss", (), tried=0),
    "consistency": Row("Eq. 1 along exact depth and motion", _PAPER),
    "consistency, learned geometry": Row(
        "Eq. 1 along depth, motion and focal length learned from the images alone",
        _PAPER,
        geometry="learned",
        changes={"tolerance": TOLERANCE},
    ),
    "identity warp": Row(
        "Eq. 1 between the same pixels, without a warp", _PAPER, changes={"warp": "identity"}, control=True
    ),
    "another room": Row(
        "Eq. 1 along the warp of a pair whose later frame is one of another room",
        _PAPER,
        changes={"partner": "another"},
        control=True,
    ),
    "self-distillation": Row(
        "keep to what the baseline itself says of single frames",
        _TEACHER,
        changes={"targets": "probabilities"},
        control=True,
    ),
}
_VIEWS: dict[str, Any] = {"targets": "fused", "label_votes": 4.0}
BEST = "best found: fused views and labels"
ROWS |= {
    BEST: Row(
        "keep to what the baseline says of all views of a surface, and to the label of any labelled frame that sees it",
        _TEACHER,
        changes=_VIEWS,
        tried=TRIED_BEFORE + TRIED_IN_SEARCH,
    ),
    "best found, learned geometry": Row(
        "the same along depth, motion and focal length learned from the images alone",
        _TEACHER,
        geometry="learned",
        changes={**_VIEWS, "tolerance": TOLERANCE},
        tried=TRIED_BEFORE + TRIED_IN_SEARCH,
    ),
    "best found, identity warp": Row(
        "the same views and labels at the same pixels, without a warp",
        _TEACHER,
        changes={**_VIEWS, "warp": "identity"},
        control=True,
        tried=TRIED_BEFORE + TRIED_IN_SEARCH,
    ),
}
ABLATION: dict[str, Row] = {
    "baseline continued": ROWS["baseline continued"],
    "uniform": Row("Eq. 1, every pixel and class alike", (_eq1(1, 0, 0),)),
    "label prior": Row("Eq. 1, only the class believed at the pixel", (_eq1(0, 1, 0),)),
    "pixel prior": Row("Eq. 1, only pixels on an image edge", (_eq1(0, 0, 1),)),
    "all three": Row("Eq. 1 with the paper's weights 0.2, 0.4, 0.4", _PAPER),
    "pseudo-label CE": Row("cross-entropy of the warped logits with the predicted class", (_PSEUDO,)),
    "all three + pseudo-label CE": Row("both of the above", (*_PAPER, _PSEUDO)),
}

# Twice as many labels from step to step, over the same ratio as the paper's shares (0.1-4 %): of 4,800 frames, 50 are
# the fewest that make a net which tells most classes apart, and 1,600 make one that more labels hardly help.
_COUNTS = (50, 100, 200, 400, 800, 1600)
_MORE = ("best found, learned geometry",)
_ALWAYS = tuple(name for name in ROWS if name not in _MORE)
PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="tiny",
            rooms="tiny",
            counts=(3, 6),
            seeds=(0,),
            ablation_count=3,
            baseline_steps=30,
            steps=6,
            test_rooms=2,
            rows=tuple(ROWS),
            ablation=tuple(ABLATION),
            gaps=(1, 2),
            channels=8,
            widths=(8, 8, 8, 8),
        ),
        Profile(
            name="quick",
            rooms="quick",
            counts=(64, 256),
            seeds=(0,),
            ablation_count=64,
            baseline_steps=1500,  # at 800 the net with more labels is the worse one (validation, one seed)
            steps=150,
            test_rooms=24,
            rows=("baseline continued", "consistency", "identity warp", BEST, "best found, identity warp"),
            ablation=("baseline continued", "uniform", "all three", "pseudo-label CE"),
            strengths=("equal weight",),
        ),
        Profile(
            name="full",
            rooms="full",
            counts=_COUNTS,
            seeds=(0, 1, 2, 3, 4),
            ablation_count=100,
            baseline_steps=3000,  # at 1500, 1,600 labels teach no more than 800 (validation, one seed)
            steps=500,  # at 300, half of what the views add is not learned yet (validation, one seed)
            test_rooms=30,
            first_test_room=FRESH,
            rows=_ALWAYS,
            ablation=tuple(ABLATION),
            more_rows=_MORE,
            more_counts=(100, 400),
        ),
        Profile(
            name="paper",
            rooms="full",
            counts=_COUNTS,
            seeds=tuple(range(10)),
            ablation_count=100,
            baseline_steps=6000,
            steps=3000,
            test_rooms=200,
            first_test_room=FRESH,
            rows=tuple(ROWS),
            ablation=tuple(ABLATION),
        ),
    )
}


def profile_of(name: str) -> Profile:
    """The profile of this name."""
    if name not in PROFILES:
        raise InputError(f"no profile is called {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


def row_of(name: str) -> Row:
    """A row of either table."""
    known = {**ABLATION, **ROWS}
    if name not in known:
        raise InputError(f"no row is called {name!r}; there are {', '.join(known)}")
    return known[name]


def planned_rows(profile: Profile) -> list[tuple[str, int, int, str]]:
    """(row, count, seed, strength) of every continuation of a profile, none twice.

    Table 2 shares two runs with Table 1: the baseline continued, which knows no strength, and at equal weight "all
    three", which is "consistency".
    """
    table_1 = [
        (row, count, seed, STRENGTH_NAMES[0])
        for count in profile.counts
        for seed in profile.seeds
        for row in (*profile.rows, *(profile.more_rows if count in profile.more_counts else ()))
    ]
    shared = {"baseline continued", "all three"}
    table_2 = [
        (row, profile.ablation_count, seed, strength)
        for strength in profile.strengths
        for seed in profile.seeds
        for row in profile.ablation
        if row not in shared or (row == "all three" and strength != STRENGTH_NAMES[0])
    ]
    return table_1 + table_2


def baseline_recipe(profile: Profile, count: int, seed: int) -> SegmentationRecipe:
    """The supervised phase with `count` labelled frames; those of a smaller count of the same seed are among them."""
    return SegmentationRecipe.baseline("full", labelled=count, steps=profile.baseline_steps, seed=seed)


def row_recipe(profile: Profile, row: str, count: int, seed: int, *, strength: str = "equal weight") -> ObjectiveRecipe:
    """How a row goes on; at strength "equalised" `train_row` multiplies its terms by what it measures at the start."""
    if strength not in STRENGTH_NAMES:
        raise InputError(f"strength must be one of {', '.join(STRENGTH_NAMES)}, got {strength!r}")
    kind = row_of(row)
    fixed = {
        "terms": (("cross_entropy", 1.0), *kind.terms),
        "labelled": count,
        "steps": profile.steps,
        "learning_rate": LEARNING_RATE,
        "gaps": profile.gaps,
        "views": tuple(gap for gap in (2, 4, 8) if gap <= max(profile.gaps)),
        "seed": seed,
    }
    return ObjectiveRecipe(**{**fixed, **kind.changes})
