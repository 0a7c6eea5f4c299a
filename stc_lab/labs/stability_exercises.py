"""The exercises of chapter 09: E_pair of two frames, E_smooth of a mask, a rank correlation."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.labs.exercise import Case, Exercise
from stc_lab.losses.stability import PairFlows
from stc_lab.metrics import e_pair, e_smooth, spearman


def _pair_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, labels: Tensor, warped: Tensor, visible: Tensor, hint: str) -> Case:
        inputs = {
            "labels_p": labels[0],
            "labels_q": labels[1],
            "p_on_q": warped[0],
            "q_on_p": warped[1],
            "visible_q": visible[0],
            "visible_p": visible[1],
        }
        return Case(title, inputs, _e_pair(labels, warped, visible), hint)

    size = (2, 3, 4)
    labels, moved = (torch.randint(0, 3, size, generator=generator) for _ in range(2))
    everywhere = torch.ones(size, dtype=torch.bool)
    yield case("everything is visible", labels, moved, everywhere, "two shares, one for each direction, ADDED: 0 to 2")
    yield case(
        "two equal frames that stand still",
        labels[:1].expand(size),
        labels[:1].expand(size),
        everywhere,
        "d_cat is 1 where labels DIFFER, whatever the text says: equal frames score 0",
    )
    hidden = torch.rand(size, generator=generator) < 0.4
    hidden[:, 0, 0], hidden[:, 0, 1] = True, False
    hidden[0, 2] = True
    yield case("some pixels are hidden", labels, moved, ~hidden, "each direction divides by its own VISIBLE pixels")
    size = (2, 24, 32)
    labels = torch.randint(0, 4, size, generator=generator)
    flips = torch.rand(size, generator=generator) < 0.2
    moved = torch.where(flips, (labels.flip(0) + 1) % 4, labels.flip(0))
    visible = torch.rand(size, generator=generator) < 0.7
    yield case("two whole frames", labels, moved, visible, "compare p_on_q with labels_q, and q_on_p with labels_p")


def _e_pair(labels: Tensor, warped: Tensor, visible: Tensor) -> float:
    """The package's E_pair where p, warped to q, shows `warped[0]`: each compared with its still copy."""
    fractions = []
    for own, other, seen in zip(labels.flip(0), warped, visible, strict=True):
        still, mask = torch.zeros(1, 2, *own.shape), seen[None]
        score = e_pair(torch.stack([own, other]), PairFlows(((0, 1),), still, still, mask, mask))
        fractions.append(float(score.terms[0]))
    return sum(fractions)


def _smooth_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, mask: Tensor, smoothed: Tensor, boundary: float, hint: str) -> Case:
        terms = ((mask.double() - smoothed.double()) ** 2).flatten(1).sum(dim=1).sqrt()
        inputs = {"mask": mask, "smoothed": smoothed, "boundary_pixels": boundary}
        return Case(title, inputs, float((terms / boundary).mean()), hint)

    blinking = torch.zeros(4, 3, 4)
    blinking[1, 1, 1:3] = 1.0
    yield case("two pixels blink", blinking, torch.zeros(4, 3, 4), 1.0, "per frame the ROOT of the summed squares")
    yield case("the same, by the boundary", blinking, torch.zeros(4, 3, 4), 6.0, "divide by the boundary's pixels")
    mask = (torch.rand(5, 12, 16, generator=generator) < 0.4).float()
    smoothed = torch.rand(5, 12, 16, generator=generator)
    yield case("a whole clip", mask, smoothed, 37.0, "then the MEAN over the frames, so that long clips compare")
    clip = torch.zeros(9, 12, 16)
    clip[:, 3:9, 4:12] = 1.0
    clip[4] = 0.0
    yield _packaged("an object that is missed once", clip)


def _packaged(title: str, clip: Tensor) -> Case:
    """A case whose smoothed masks are those of the package, and its answer too."""
    from scipy.ndimage import gaussian_filter1d

    smoothed = torch.from_numpy(gaussian_filter1d(clip.double().numpy(), 1.0, axis=0))
    score = e_smooth(clip.long(), sigma=1.0, form="shares")
    inputs = {"mask": clip, "smoothed": smoothed, "boundary_pixels": score.normaliser}
    return Case(title, inputs, score.value, "nothing new: |O - G(O)|_2 of each frame, divided by N, mean over frames")


def _rank_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, a: Tensor, b: Tensor, hint: str) -> Case:
        return Case(title, {"a": a, "b": b}, spearman(a.double().numpy(), b.double().numpy()).value, hint)

    a = torch.randperm(6, generator=generator).double()
    yield case("six videos in the same order", a, a.exp(), "only the ORDER counts: correlate the ranks, not the values")
    yield case("in opposite order", a, -a, "the sign stays: -1")
    b = torch.rand(6, generator=generator, dtype=torch.float64) ** 4
    yield case("two measures of six videos", a, b, "ranks: torch.argsort of the argsort; then Pearson's correlation")
    likert = torch.tensor([1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 5.0, 4.0])
    other = torch.rand(8, generator=generator, dtype=torch.float64)
    yield case("ratings with ties", likert, other, "equal values share the MEAN of their ranks: scipy.stats.rankdata")


_PAIR = (
    "E_pair of two frames p and q (Eq. 3): pair_energy(labels_p, labels_q, p_on_q, q_on_p, visible_q, visible_p) -> "
    "number; p_on_q are p's labels warped to q's grid, visible_q is where that warp can be trusted; all [h, w]."
)
_SMOOTH = (
    "E_smooth of one object, the mean over frames (Eq. 2 sums): smooth_energy(mask, smoothed, boundary_pixels) -> "
    "number; mask and the same smoothed over time [t, h, w]."
)
_RANK = "Spearman's rank correlation of two lists: rank_correlation(a, b) -> number in -1..1; ties share their rank."

STABILITY_EXERCISES = (
    Exercise("pair_energy", "09_measuring_stability", _PAIR, _pair_cases),
    Exercise("smooth_energy", "09_measuring_stability", _SMOOTH, _smooth_cases),
    Exercise("rank_correlation", "09_measuring_stability", _RANK, _rank_cases),
)
