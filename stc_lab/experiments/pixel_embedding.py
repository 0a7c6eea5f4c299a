"""Pixels of two frames in a net's feature space: a sample to draw, and what one anchor of Eq. 1 sees there."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.losses import class_balanced_sample, contrastive_loss
from stc_lab.metrics import Projection2D, Separation, class_separation, project_2d
from stc_lab.models import FeatureSegmenter

_IGNORE = 255


@dataclass(frozen=True)
class PixelFeatures:
    """Features of the pixels of some frames on the net's coarse grid, of length 1, with what is known of each."""

    frames: Clip  # as they were recorded
    stride: int  # of the grid
    features: Float[Tensor, "t d h w"]
    labels: Int64[Tensor, "t h w"]
    predictions: Int64[Tensor, "t h w"]

    @property
    def rows(self) -> Float[Tensor, "n d"]:
        """One feature per pixel: frame by frame, row by row."""
        return self.features.permute(0, 2, 3, 1).flatten(0, 2)

    def places(self, index: Int64[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
        """(frame, x, y) of pixels by their number; x and y in pixels of the recorded frame."""
        _, height, width = self.labels.shape
        frame, rest = index // (height * width), index % (height * width)
        return frame, rest % width * self.stride, rest // width * self.stride

    def separation(self) -> Separation:
        """How well the true classes lie apart."""
        return class_separation(self.features, self.labels)


def pixel_features(model: FeatureSegmenter, frames: Clip) -> PixelFeatures:
    """The features that the net classifies, of frames with labels; the net is put into evaluation mode."""
    frames.require("label")
    model.eval()
    stride = model.coarse_stride
    with torch.no_grad():
        features = model.features(frames.image)
        predictions = model.classify(features).argmax(dim=1)
    labels = frames.label[..., ::stride, ::stride] if frames.label is not None else predictions
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return PixelFeatures(frames, stride, features / length.clamp(min=1e-12), labels, predictions)


@dataclass(frozen=True)
class EmbeddedPixels:
    """A sample of pixels in the plane of one net, with what a reader asks of each."""

    xy: Float[Tensor, "n 2"]
    frame: Int64[Tensor, " n"]  # index of the frame in its video
    x: Int64[Tensor, " n"]  # px of the recorded frame
    y: Int64[Tensor, " n"]
    label: Int64[Tensor, " n"]
    prediction: Int64[Tensor, " n"]
    projection: Projection2D
    separation: Separation  # of all pixels of the frames, in all dimensions

    def __len__(self) -> int:
        return len(self.xy)


def embedded_pixels(
    models: Mapping[str, FeatureSegmenter], frames: Clip, *, count: int = 400, seed: int = 0, method: str = "pca"
) -> dict[str, EmbeddedPixels]:
    """The same `count` pixels, balanced over the classes, in the plane of each net.

    Each plane is fitted to all labelled pixels of the frames, each net's by itself: a net is free to turn its space, so
    that the axes of two pictures have nothing in common. PCA does not know the classes.
    """
    found = {name: pixel_features(model, frames) for name, model in models.items()}
    if not found:
        raise InputError("embedded_pixels needs at least one net, got none")
    generator = torch.Generator().manual_seed(seed)
    chosen: Tensor | None = None
    planes = {}
    for name, pixels in found.items():
        labels = pixels.labels.flatten()
        if chosen is None:
            chosen = class_balanced_sample(labels, count, generator).sort().values
        known = labels != _IGNORE
        projection = project_2d(pixels.rows[known], labels[known], method=method)  # type: ignore[arg-type]  # it checks
        frame, x, y = pixels.places(chosen)
        planes[name] = EmbeddedPixels(
            xy=projection.apply(pixels.rows[chosen]).float(),
            frame=frames.index[frame],
            x=x,
            y=y,
            label=labels[chosen],
            prediction=pixels.predictions.flatten()[chosen],
            projection=projection,
            separation=pixels.separation(),
        )
    return planes


@dataclass(frozen=True)
class AnchorView:
    """One anchor of Eq. 1: its cosines with all pixels, and how hard each negative is pushed."""

    temperature: float
    cosine: Float[Tensor, "t h w"]
    weight: Float[Tensor, "t h w"]  # share of the push on each negative; 0 at positives, sums to 1; NaN: no label
    positives: int
    negatives: int
    loss: float  # L(i)
    effective: float  # negatives that the push rests on: exp of its entropy
    hardest: float  # share of the push on the hardest 1 % of the negatives
    pull: float  # how hard the positives are pulled: mean of 1 - p, with p as Eq. 1 has it in the logarithm


def anchor_view(pixels: PixelFeatures, frame: int, x: int, y: int, temperature: float) -> AnchorView:
    """Eq. 1 of He et al. 2021 for the anchor at (x, y) of a frame, as it is differentiated.

    With s the cosines over tau, the derivative of L(i) by s_n is exp(s_n) times a number that is the same for all
    negatives n: what each gets of the push is their softmax. tau decides whether it goes to all or to the nearest.
    """
    if not temperature > 0:
        raise InputError(f"temperature must be positive, got {temperature}")
    row, column = y // pixels.stride, x // pixels.stride
    label = pixels.labels[frame, row, column]
    anchor = pixels.features[frame, :, row, column]
    cosine = torch.einsum("d,tdhw->thw", anchor, pixels.features)
    same, known = pixels.labels == label, pixels.labels != _IGNORE
    same[frame, row, column] = False
    other = known & (pixels.labels != label)
    if int(label) == _IGNORE or not bool(same.any()) or not bool(other.any()):
        raise InputError(
            f"the pixel ({x}, {y}) of frame {frame} is no anchor: label {int(label)}, {int(same.sum())} positives, "
            f"{int(other.sum())} negatives"
        )
    scores = cosine.double() / temperature
    push = torch.softmax(scores[other], dim=0)
    all_negatives = torch.logsumexp(scores[other], dim=0)
    share_of_negatives = torch.sigmoid(all_negatives - scores[same])
    loss = torch.nn.functional.softplus(all_negatives - scores[same]).mean()
    most = max(1, math.ceil(0.01 * len(push)))
    weight = torch.full_like(cosine, torch.nan)
    weight[known] = 0.0
    weight[other] = push.float()
    return AnchorView(
        temperature,
        cosine,
        weight,
        positives=int(same.sum()),
        negatives=len(push),
        loss=float(loss),
        effective=float(torch.exp(-(push * push.clamp(min=1e-300).log()).sum())),
        hardest=float(push.topk(most).values.sum()),
        pull=float(share_of_negatives.mean()),
    )


def ordinary_anchor(pixels: PixelFeatures, temperature: float) -> tuple[int, int]:
    """(x, y) of the anchor of the first frame whose L(i) is the median: one as good as any, picked by a rule."""
    loss = contrastive_loss(
        pixels.features[:1], pixels.labels[:1], pixels.features[1:], pixels.labels[1:], temperature=temperature
    )
    losses = loss.map[0]
    row, column = (losses == losses.nanmedian()).nonzero()[0].tolist()
    return column * pixels.stride, row * pixels.stride
