"""The pixels of two frames that are contrasted with each other."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.checks import expect_alike
from stc_lab.losses.pixel_samples import class_balanced_sample, pixel_rows


@dataclass(frozen=True)
class Pool:
    """Pixels that are contrasted with each other; those of frame t come first."""

    features: Float[Tensor, "m d"]
    labels: Int64[Tensor, " m"]
    places: Int64[Tensor, " n"]  # where the pixels of frame t lie in their frame


@dataclass(frozen=True)
class Frames:
    """Frames t and t+k with one row per pixel; each item of the batch makes one pool."""

    features_t: Float[Tensor, "b n d"]
    labels_t: Int64[Tensor, "b n"]
    features_other: Float[Tensor, "b m d"]
    labels_other: Int64[Tensor, "b m"]

    @classmethod
    def of(
        cls,
        features_t: Tensor,
        labels_t: Tensor,
        features_other: Tensor | None,
        labels_other: Tensor | None,
        *,
        gradient: str,
        together: bool,
    ) -> "Frames":
        """Check the arguments of `contrastive_loss`, and hold fixed what is not to learn."""
        if gradient not in ("both", "t", "other"):
            raise InputError(f"gradient must be 'both', 't' or 'other', got {gradient!r}")
        if (features_other is None) != (labels_other is None):
            raise InputError("features_other and labels_other go together, got only one of them")
        rows, ids = pixel_rows("features_t", features_t, "labels_t", labels_t)
        if features_other is None or labels_other is None:
            rows_other, ids_other = rows[:, :0], ids[:, :0]
        else:
            rows_other, ids_other = pixel_rows("features_other", features_other, "labels_other", labels_other)
            expect_alike("features_t", rows, "features_other", rows_other)
            if rows.shape[2] != rows_other.shape[2]:
                raise InputError(
                    "the features of both frames must have as many channels, "
                    f"got {rows.shape[2]} and {rows_other.shape[2]}"
                )
        rows = rows.detach() if gradient == "other" else rows
        rows_other = rows_other.detach() if gradient == "t" else rows_other
        frames = (rows, ids, rows_other, ids_other)
        return cls(*(value.flatten(0, 1)[None] for value in frames)) if together else cls(*frames)

    def __len__(self) -> int:
        return len(self.labels_t)

    def pool(self, item: int) -> Pool:
        """All pixels."""
        labels = self.labels_t[item]
        return Pool(
            torch.cat([self.features_t[item], self.features_other[item]]),
            torch.cat([labels, self.labels_other[item]]),
            torch.arange(len(labels), device=labels.device),
        )

    def sampled_pool(self, item: int, count: int, generator: torch.Generator, ignore_index: int) -> Pool:
        """`count` pixels, half of them from either frame, balanced over the classes of each."""
        of_other = count // 2 if self.labels_other.shape[1] > 0 else 0
        features = self.features_t[item], self.features_other[item]
        labels = self.labels_t[item], self.labels_other[item]
        drawn = [
            class_balanced_sample(ids, share, generator, ignore_index=ignore_index)
            if bool((ids != ignore_index).any())
            else ids.new_zeros(0)
            for ids, share in zip(labels, (count - of_other, of_other), strict=True)
        ]
        return Pool(
            torch.cat([values.index_select(0, index) for values, index in zip(features, drawn, strict=True)]),
            torch.cat([ids[index] for ids, index in zip(labels, drawn, strict=True)]),
            drawn[0],
        )
