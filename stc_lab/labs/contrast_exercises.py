"""The exercises of chapter 07: Eq. 1 of He et al. 2021 for one anchor, sure labels, and VC of a constant map."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stc_lab.labs.exercise import IGNORE, Case, Exercise
from stc_lab.losses import contrastive_loss, pseudo_labels
from stc_lab.metrics import video_consistency


def _anchor_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, positives: Tensor, negatives: Tensor, tau: float, hint: str) -> Case:
        # As features: the anchor is the first axis, every other pixel has the wanted product with it.
        products = torch.cat([positives, negatives])
        anchor = torch.zeros(1, 2, dtype=torch.float64)
        anchor[0, 0] = 1.0
        others = torch.stack([products, torch.zeros_like(products)], dim=1)
        labels = torch.cat([torch.zeros(len(positives)), torch.ones(len(negatives))]).long()
        loss = contrastive_loss(
            anchor, torch.zeros(1, dtype=torch.int64), others, labels, temperature=tau, normalise=False
        )
        inputs = {"positives": positives, "negatives": negatives, "tau": tau}
        return Case(title, inputs, loss.total, hint)

    def products(count: int) -> Tensor:
        return 2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1

    zero = torch.zeros(1, dtype=torch.float64)
    yield case(
        "one positive and one negative, equally near", zero, zero, 1.0, "-log(1 / (1 + 1)) = log 2, the natural one"
    )
    yield case("one positive, many negatives", products(1), products(6), 0.5, "divide every product by tau before exp")
    yield case(
        "several positives",
        products(4),
        products(6),
        0.5,
        "the denominator holds ONE positive and all negatives; the mean over the positives comes after the log",
    )
    yield case(
        "unnormalised features, a small tau",
        60 * products(3),
        60 * products(6),
        0.07,
        "exp(800) is infinite: -log(e^p / (e^p + sum e^n)) = log(1 + exp(logsumexp(n) - p)); F.softplus is safe",
    )


def _sure_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, probabilities: Tensor, threshold: float, hint: str) -> Case:
        made = pseudo_labels(probabilities[None], threshold, given="probabilities", ignore_index=IGNORE)
        inputs = {"probabilities": probabilities, "threshold": threshold}
        return Case(title, inputs, made.label[0].double(), hint)

    def drawn(k: int, height: int, width: int) -> Tensor:
        logits = 2 * torch.randn(k, height, width, generator=generator, dtype=torch.float64)
        return logits.softmax(dim=0)

    sure = torch.tensor([[[0.9, 0.2]], [[0.1, 0.8]]], dtype=torch.float64)
    yield case("all are sure", sure, 0.5, "the label is the class of the largest probability, over dim 0")
    unsure = drawn(4, 3, 4)
    unsure[:, 0, 0] = 0.25
    yield case("some are not", unsure, 0.5, "255 where the largest probability is not over the threshold")
    halves = torch.tensor([[[0.5, 0.75]], [[0.5, 0.25]]], dtype=torch.float64)
    yield case("exactly the threshold", halves, 0.5, "'exceed the threshold', says the paper: strictly over")
    yield case("a whole image, a high threshold", drawn(7, 24, 32), 0.8, "the threshold is an argument, not always 0.5")


def _official_cases(generator: torch.Generator) -> Iterator[Case]:
    def case(title: str, prediction: Tensor, truth: Tensor, n: int, hint: str) -> Case:
        score = video_consistency(prediction, truth, n, official=True)
        return Case(title, {"prediction": prediction, "truth": truth, "n": n}, score.value, hint)

    def flickering(frames: int, height: int, width: int, share: float) -> Tensor:
        """Labels of one frame, a share of which is drawn anew in each: some leave their class and come back."""
        label = torch.randint(0, 4, (1, height, width), generator=generator).repeat(frames, 1, 1)
        others = torch.randint(0, 4, label.shape, generator=generator)
        return torch.where(torch.rand(label.shape, generator=generator) < share, others, label)

    still = torch.randint(0, 3, (1, 2, 3), generator=generator).repeat(4, 1, 1)
    yield case(
        "a constant wrong map of a world that stands still",
        torch.full_like(still, 5),
        still,
        3,
        "the official VC never asks whether the prediction is right: constant is enough",
    )
    truth = flickering(4, 3, 4, 0.15)
    yield case(
        "a world that moves",
        torch.full_like(truth, 5),
        truth,
        2,
        "count only the pixels whose TRUTH keeps its class in all n frames of the window",
    )
    still = torch.randint(0, 3, (1, 2, 3), generator=generator).repeat(6, 1, 1)
    prediction = torch.zeros_like(still)
    prediction[-1] = 1
    yield case(
        "only the last frame wavers",
        prediction,
        still,
        3,
        "range(t - n) in the published script: windows start at the first t - n frames, the last one is dropped",
    )
    yield case(
        "a prediction that wavers",
        flickering(6, 12, 12, 0.2),
        flickering(6, 12, 12, 0.1),
        3,
        "a pixel counts if the prediction is one class in all n frames; divide by the steady pixels of the window, "
        "then take the mean over the windows",
    )


_ANCHOR = (
    "L(i) of Eq. 1 for one anchor: anchor_loss(positives, negatives, tau) -> number; the products of the anchor with "
    "its positives [p] and negatives [n], not yet divided by tau."
)
_SURE = (
    "Pseudo-labels: sure_labels(probabilities, threshold) -> labels [h, w]; probabilities [k, h, w]; 255 where the "
    "likeliest class is not sure enough."
)
_OFFICIAL = (
    "VC_n as the published script counts it: official_vc(prediction, truth, n) -> number; both [t, h, w]. The mean, "
    "over the windows, of the share of steady pixels (whose truth keeps its class) at which the prediction is constant."
)

CONTRAST_EXERCISES = (
    Exercise("anchor_loss", "07_contrastive_consistency", _ANCHOR, _anchor_cases),
    Exercise("sure_labels", "07_contrastive_consistency", _SURE, _sure_cases),
    Exercise("official_vc", "07_contrastive_consistency", _OFFICIAL, _official_cases),
)
