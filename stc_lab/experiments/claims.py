"""The sentences of Pasad et al. 2020 that can be tested, and what the results of a study say to each.

One rule for all. A claim comes down to an effect, a number per seed that is positive if the sentence holds (mIoU in
points, a correlation, ...), and to the same effect of its controls. One of them must be beaten, or several: the
identity warp, what smoothing without geometry does, and for what this kit found also self-distillation, where it was
run. From Student's 95 % intervals over the seeds,

- **shows**: the interval of the effect lies above 0, and so does that of effect minus control for each control that
  must be beaten;
- **does not show**: otherwise, if one of these intervals lies below the smallest effect worth having
  (`Claim.smallest`);
- **inconclusive**: anything else, and whatever has fewer than 3 seeds or lacks a row; and what would not show, if the
  effect may be larger than it was measured (`Effect.lower_bound`).

A claim of several parts (each prior, each label count) shows if all parts do, and does not show if one does not. A
claim that there is no improvement shows if the interval of the effect lies below the smallest effect worth having;
otherwise it does not show if the interval lies above 0. Verdicts are not corrected for the number of claims.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stc_lab.experiments.pasad_results import Result
from stc_lab.experiments.published import PAPER
from stc_lab.experiments.statistics import FEWEST, Gain, paired_gain

Word = Literal["shows", "does not show", "inconclusive"]
BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Effect:
    """One part of a claim: what was found in each seed, and what the controls did."""

    name: str
    values: BySeed  # positive: as the paper has it
    controls: Mapping[str, BySeed] = field(default_factory=dict)  # all that have a value are shown
    missing: str = ""  # what is lacking, in words; then there is no verdict
    must_beat: tuple[str, ...] | None = None  # controls, by name; None: the first of them
    lower_bound: bool = False  # a value may be larger than it is given
    note: str = ""  # said beside the numbers

    @property
    def to_beat(self) -> tuple[str, ...]:
        """The controls that must be beaten."""
        return tuple(self.controls)[:1] if self.must_beat is None else self.must_beat


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper, with its published numbers and the rule that tests it."""

    name: str
    sentence: str
    place: str  # table, figure or section
    published: Mapping[str, float]
    effects: Callable[[Sequence[Result]], list[Effect]]
    unit: str = "points of mIoU"
    smallest: float = 0.5  # the smallest effect worth having, in that unit
    absent: bool = False  # the sentence says that there is no improvement
    paper: str = PAPER


@dataclass(frozen=True)
class Part:
    """The verdict on one effect."""

    name: str
    word: Word
    gain: Gain | None  # of the effect; None without a seed
    over: Mapping[str, Gain]  # effect minus each control that must be beaten, seed by seed
    controls: Mapping[str, Gain]
    missing: str = ""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the results say to a claim."""

    claim: Claim
    word: Word
    parts: tuple[Part, ...]

    @property
    def seeds(self) -> int:
        """The fewest of any part."""
        return min((0 if part.gain is None else part.gain.n for part in self.parts), default=0)

    @property
    def text(self) -> str:
        """The verdict in a few sentences, computed from the numbers."""
        said = {"shows": "This **shows** here", "does not show": "This **does not show** here"}
        head = said.get(self.word, "This is **inconclusive** here")
        return f"{head}: " + "; ".join(_part_text(part, self.claim.unit) for part in self.parts) + "."


def verdict(claim: Claim, results: Sequence[Result]) -> Verdict:
    """Apply the rule at the head of this module."""
    parts = tuple(_judged(effect, claim) for effect in claim.effects(results))
    words = {part.word for part in parts}
    word: Word = "inconclusive"
    if "does not show" in words:
        word = "does not show"
    elif words == {"shows"}:
        word = "shows"
    return Verdict(claim, word, parts)


def _judged(effect: Effect, claim: Claim) -> Part:
    gain = _gain(effect.values)
    controls = {name: found for name, of in effect.controls.items() if (found := _gain(of)) is not None}
    over, missing = {}, effect.missing
    for name in effect.to_beat:
        control = effect.controls.get(name, {})
        both = sorted(effect.values.keys() & control.keys())
        if both:
            over[name] = paired_gain([control[s] for s in both], [effect.values[s] for s in both])
        elif not missing and gain is not None:
            missing = f"no seed of the control {name!r}"
    if gain is None and not missing:
        missing = "no seed"
    word = "inconclusive" if missing or gain is None else _word(gain, list(over.values()), claim)
    notes = [effect.note] if effect.note else []
    if effect.lower_bound:
        notes.append("a seed's value is only a lower bound")
        word = "inconclusive" if word == "does not show" else word
    return Part(effect.name, word, gain, over, controls, missing, ", ".join(notes))


def _word(gain: Gain, over: Sequence[Gain], claim: Claim) -> Word:
    intervals = [gain, *over]
    if any(one.n < FEWEST for one in intervals):
        return "inconclusive"
    if claim.absent:
        return "shows" if gain.high < claim.smallest else "does not show" if gain.above_zero else "inconclusive"
    if all(one.above_zero for one in intervals):
        return "shows"
    return "does not show" if any(one.high < claim.smallest for one in intervals) else "inconclusive"


def _gain(values: BySeed) -> Gain | None:
    return paired_gain([0.0] * len(values), list(values.values())) if values else None


def _part_text(part: Part, unit: str) -> str:
    gain = part.gain
    if gain is None:
        return f"{part.name}: not measured ({'; '.join(one for one in (part.missing, part.note) if one)})"
    if math.isnan(gain.low):
        words = f"{part.name}: {_number(gain.mean)} {unit} in one seed, which has no interval"
    else:
        words = f"{part.name}: {_number(gain.mean)} {unit}, 95 % interval {_interval(gain)}, {gain.n} seeds"
    beside = [_control_text(name, control, part.over.get(name)) for name, control in part.controls.items()]
    beside += [one for one in (part.missing, part.note) if one]
    return f"{words} ({'; '.join(beside)})" if beside else words


def _control_text(name: str, control: Gain, over: Gain | None) -> str:
    words = f"{name} {_number(control.mean)}"
    if over is None or math.isnan(over.low):
        return words
    return f"{words}, difference {_number(over.mean)} {_interval(over)}"


def _interval(gain: Gain) -> str:
    return f"[{_number(gain.low)}, {_number(gain.high)}]"


def _number(value: float) -> str:
    return f"{value:+.2f}"


def difference(base: BySeed, other: BySeed, *, scale: float = 100.0) -> dict[int, float]:
    """`other` minus `base` of the seeds that both have, by default in per cent."""
    return {seed: scale * (other[seed] - base[seed]) for seed in sorted(base.keys() & other.keys())}


def slope(values: Mapping[int, BySeed]) -> dict[int, float]:
    """For each seed that all counts have: how much a value falls for each doubling of the labels (least squares)."""
    if len(values) < 2:
        return {}
    counts = sorted(values)
    x = np.log2(counts)
    x = x - x.mean()
    seeds = set.intersection(*(set(values[count]) for count in counts))
    return {s: -float(x @ np.array([values[count][s] for count in counts]) / (x @ x)) for s in sorted(seeds)}
