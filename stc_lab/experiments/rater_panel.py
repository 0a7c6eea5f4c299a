"""A simulated panel of raters, and how well each measure ranks videos as it does. No person has rated anything here.

What raters see is set by the knobs of the corruption, never by a measure, else the measure would be asked about itself.
So the panel can test the procedure of a study (qualification, number of raters, p-values, what is left out), and cannot
tell what people see: for that there is only the real study, whose numbers are `PUBLISHED`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from stc_lab.errors import InputError
from stc_lab.experiments.stability_lab import (
    EROSIONS,
    ESTIMATED,
    JITTERS,
    KINDS,
    Corruption,
    MaskVideo,
    both_flows,
    corrupted,
    jitter_labels,
    nine_corruptions,
)
from stc_lab.metrics import RankCorrelation, spearman, spearman_p_value

Law = Literal["displacement", "area"]
VIDEOS = 96  # of the paper's study
QUALIFICATION_CLIPS = 4  # each in nine corruptions
LOW_AGREEMENT = 1.0  # a larger deviation of a video's ratings is low agreement
KNOB = "what raters felt"  # a perfect measure: only the panel's own noise stands between
_ACCURACY = ("J", "F", "pixel recall")


@dataclass(frozen=True)
class PublishedCorrelation:
    """A Spearman correlation with the mean ratings of 96 videos by crowd workers (Azulay et al. 2021, section 4.2)."""

    value: float
    p_value: float


PUBLISHED: Mapping[str, PublishedCorrelation] = MappingProxyType(
    {
        "E_cons / boundary": PublishedCorrelation(0.569, 1.5e-9),
        "E_cons": PublishedCorrelation(0.535, 1.9e-8),
        "E_smooth": PublishedCorrelation(0.474, 1.08e-6),
    }
)
PUBLISHED_AGREED: Mapping[str, PublishedCorrelation] = MappingProxyType(
    {
        "E_cons / boundary": PublishedCorrelation(0.724, 1.3e-6),
        "E_smooth": PublishedCorrelation(0.671, 1.39e-5),
    }
)  # without the videos of low agreement: a standard deviation of the nine ratings over 1.0


def videos_behind(correlation: float, p_value: float, most: int = 1000) -> int:
    """The number of videos for which Spearman's p-value comes nearest to a printed one."""
    return min(range(3, most), key=lambda n: abs(math.log(max(spearman_p_value(correlation, n), 1e-300) / p_value)))


@dataclass(frozen=True)
class PanelRecipe:
    """How raters are made. The last three are set so that the panel agrees with itself as the paper's did.

    That one: mean pairwise Spearman correlation 0.38, mean deviation of a video's ratings 1.08, mean rating 2.65.
    """

    raters: int = 12
    confused: float = 0.25  # chance that a rater looks at accuracy instead of consistency
    lapse: float = 0.15  # how much of the other axis leaks in, share
    noise: float = 1.06  # deviation of a rater's opinion of one video, the videos' own being 1
    step: float = 0.72  # width of one of the five steps of the scale, in the same unit
    centre: float = 0.36  # opinion that divides the scale in halves


@dataclass(frozen=True)
class Panel:
    """What the raters said: 1 (bad) to 5 (good), and who of them passed the qualification."""

    ratings: Int64[np.ndarray, "r v"]
    qualification: Int64[np.ndarray, "r q"]
    confused: Bool[np.ndarray, " r"]  # who was made so
    kept: Bool[np.ndarray, " r"]  # who ranked the qualification videos rather by consistency than by accuracy

    @property
    def score(self) -> Float64[np.ndarray, " v"]:
        """Mean rating of each video by those who were kept."""
        return self.ratings[self.kept].mean(axis=0)

    @property
    def deviation(self) -> Float64[np.ndarray, " v"]:
        """Standard deviation of each video's kept ratings (n - 1)."""
        return self.ratings[self.kept].std(axis=0, ddof=1)

    @property
    def agreement(self) -> float:
        """Mean Spearman correlation of any two kept raters."""
        kept = self.ratings[self.kept].astype(np.float64)
        return float(np.mean([spearman(a, b).value for i, a in enumerate(kept) for b in kept[:i]]))


def simulate_panel(
    unsteady: Float64[np.ndarray, " v"],
    wrong: Float64[np.ndarray, " v"],
    generator: np.random.Generator,
    recipe: PanelRecipe = PanelRecipe(),
) -> Panel:
    """Let a panel rate videos, of which it feels how unsteady and how wrong they are, and the qualification videos.

    Both are brought to deviation 1. A rater's opinion of a video is minus what he looks at, (1 - lapse) of one axis and
    `lapse` of the other, plus his own noise; five steps of the scale make it a rating. The qualification videos are
    `QUALIFICATION_CLIPS` times the nine corruptions, felt by their knobs in the units of the paper's levels; raters
    whose ranks follow accuracy at least as well as consistency are dropped, as in the paper (section 4.1).
    """
    if unsteady.shape != wrong.shape or len(unsteady) < 3:
        raise InputError(f"at least 3 videos, felt on both axes, are expected, got {len(unsteady)} and {len(wrong)}")
    felt = np.stack([_standard(unsteady), _standard(wrong)])
    grid = [(jitter, erosion) for erosion in EROSIONS for jitter in JITTERS] * QUALIFICATION_CLIPS
    levels = np.array(grid, dtype=np.float64).T
    confused = generator.random(recipe.raters) < recipe.confused
    ratings = _rated(felt, confused, generator, recipe)
    qualification = _rated(np.stack([_standard(axis) for axis in levels]), confused, generator, recipe)
    kept = np.array([_qualified(own, levels) for own in qualification.astype(np.float64)])
    if kept.sum() < 2:
        raise InputError(f"only {int(kept.sum())} of {recipe.raters} raters qualified", hint="fewer confused ones")
    return Panel(ratings, qualification, confused, kept)


def _standard(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    if spread == 0:
        raise InputError("what raters feel must differ between videos, got the same everywhere")
    return (values - values.mean()) / spread


def _rated(felt: np.ndarray, confused: np.ndarray, generator: np.random.Generator, recipe: PanelRecipe) -> np.ndarray:
    first = np.where(confused[:, None], felt[1], felt[0])
    second = np.where(confused[:, None], felt[0], felt[1])
    noise = recipe.noise * generator.standard_normal(first.shape)
    opinion = -(1 - recipe.lapse) * first - recipe.lapse * second + noise
    return np.clip(np.floor((opinion - recipe.centre) / recipe.step + 3.5), 1, 5).astype(np.int64)


def _qualified(ratings: np.ndarray, levels: np.ndarray) -> bool:
    if (ratings == ratings[0]).all():
        return False
    by_consistency, by_accuracy = (spearman(-ratings, level).value for level in levels)
    return by_consistency > by_accuracy


@dataclass(frozen=True)
class MeasuredVideos:
    """Videos corrupted by known amounts, what each law says raters feel, and what every measure says."""

    names: tuple[str, ...]
    corruptions: tuple[Corruption, ...]
    sizes: Float64[np.ndarray, " v"]  # square root of the true object's pixels
    felt: dict[Law, Float64[np.ndarray, " v"]]  # how unsteady each is
    values: dict[str, Float64[np.ndarray, " v"]]  # by measure; those with DIS flow end in `ESTIMATED`

    def unsteadiness(self, measure: str) -> Float64[np.ndarray, " v"]:
        """A measure's values, signed so that more is worse."""
        if measure not in self.values:
            raise InputError(f"a measure must be one of {', '.join(self.values)}, got {measure!r}")
        lower_is_better = KINDS[measure.removesuffix(ESTIMATED)].better == "lower"
        return self.values[measure] if lower_is_better else -self.values[measure]


@dataclass(frozen=True)
class PanelStudy:
    """What a panel says of videos, beside what the measures say."""

    videos: MeasuredVideos
    law: Law
    panel: Panel

    def correlation(self, measure: str, *, agreed: bool = False, resamples: int = 0, seed: int = 0) -> RankCorrelation:
        """Spearman's correlation of a measure with the panel's mean rating, signed so that 1 is full agreement.

        `agreed` leaves out the videos of low agreement, those with a deviation of the ratings over 1.0, as the paper
        does. Videos that a measure cannot judge are left out too. `KNOB` is what the raters felt, without their noise.
        """
        value = self.videos.felt[self.law] if measure == KNOB else self.videos.unsteadiness(measure)
        usable = np.isfinite(value) & ((self.panel.deviation <= LOW_AGREEMENT) | (not agreed))
        draws = np.random.default_rng(seed) if resamples else None
        return spearman(value[usable], -self.panel.score[usable], resamples=resamples, generator=draws)


def corrupt_and_measure(videos: Sequence[MaskVideo], seed: int, *, count: int = VIDEOS) -> MeasuredVideos:
    """Corrupt `count` videos at random, and measure each with exact and with estimated flow.

    Each is an object drawn from `videos`, eroded and jittered by amounts drawn evenly between none and the strongest of
    the nine corruptions.
    """
    if not videos or count < 3:
        raise InputError(f"at least one object and 3 videos are needed, got {len(videos)} and {count}")
    draws, jumps = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    chosen = [videos[i] for i in draws.integers(0, len(videos), count)]
    corruptions, flipped, found = [], [], []
    for video in chosen:
        strongest = nine_corruptions(video.mask.shape[1])[-1]
        corruption = Corruption(*(float(v) for v in draws.random(2) * (strongest.erosion, strongest.jitter)))
        eroded = corrupted(video.mask, Corruption(corruption.erosion, 0.0), jumps)
        mask = jitter_labels(eroded, corruption.jitter, jumps)
        corruptions.append(corruption)
        flipped.append(float((mask != eroded).double().mean()))
        found.append(both_flows(mask, video))
    return MeasuredVideos(
        names=tuple(video.name for video in chosen),
        corruptions=tuple(corruptions),
        sizes=np.sqrt([video.size for video in chosen]),
        felt={"displacement": np.array([c.jitter for c in corruptions]), "area": np.array(flipped)},
        values={name: np.array([row[name] for row in found]) for name in found[0]},
    )


def panel_study(
    videos: MeasuredVideos, seed: int, *, law: Law = "displacement", recipe: PanelRecipe = PanelRecipe()
) -> PanelStudy:
    """Let a panel drawn from `seed` rate the videos.

    By the law of `displacement` raters feel the jitter's size in px, whatever the object; by that of `area`, the share
    of the picture that the jitter flips. Whoever corrupts knows both without any measure.
    """
    if law not in get_args(Law):
        raise InputError(f"law must be one of {', '.join(get_args(Law))}, got {law!r}")
    wrong = np.array([corruption.erosion for corruption in videos.corruptions])
    return PanelStudy(videos, law, simulate_panel(videos.felt[law], wrong, np.random.default_rng(seed), recipe))


def spread_over(studies: Sequence[PanelStudy], number: Callable[[PanelStudy], float]) -> tuple[float, float]:
    """Mean and standard deviation over studies of several seeds (n - 1; NaN for a single one)."""
    each = np.array([number(study) for study in studies])
    return float(each.mean()), float(each.std(ddof=1)) if len(each) > 1 else float("nan")


@dataclass(frozen=True)
class ClosingRow:
    """One measure: its correlation with simulated panels (mean, deviation over seeds), and the published one."""

    measure: str
    simulated: dict[Law, tuple[float, float]]
    published: PublishedCorrelation | None


def closing_rows(studies: Mapping[Law, Sequence[PanelStudy]]) -> list[ClosingRow]:
    """Every measure of stability, with exact and with estimated flow; last, what a perfect measure would reach."""
    laws = list(studies)
    if not laws or not all(studies.values()):
        raise InputError("a closing table needs at least one study of each law, got none")
    measured = studies[laws[0]][0].videos.values
    names = [both for name in KINDS if name not in _ACCURACY for both in (name, name + ESTIMATED) if both in measured]

    def row(name: str) -> ClosingRow:
        found = {law: spread_over(studies[law], lambda study: study.correlation(name).value) for law in laws}
        return ClosingRow(name, found, PUBLISHED.get(name))

    return [row(name) for name in (*names, KNOB)]


def closing_table(rows: Sequence[ClosingRow]) -> str:
    """The rows in Markdown."""
    laws = list(rows[0].simulated)
    heads = ["measure", *(f"simulated panel, law of {law}" for law in laws), "published, people"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        ours = [f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in (row.simulated[law] for law in laws)]
        theirs = "" if row.published is None else f"{row.published.value} (p = {row.published.p_value:.3g})"
        lines.append("| " + " | ".join([row.measure, *ours, theirs]) + " |")
    return "\n".join(lines)
