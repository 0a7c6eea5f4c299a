"""Labels that were computed elsewhere, in the place of a net: one map for each frame of some videos."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

IGNORE = 255
SURE = 12.0  # logit of the class that is named, over 0 of the others: probability 0.9999 among 21


class LabelMaps:
    """Label maps of the rows of a data set, read when asked for; a pixel of label 255 has no class."""

    def __init__(self, read: Callable[[Sequence[int]], Int64[Tensor, "b h w"]], num_classes: int, digest: str) -> None:
        """`read` gives the maps of rows, at the frames' size; `digest` names their content."""
        if num_classes < 2:
            raise InputError(f"label maps need at least 2 classes, got {num_classes}")
        self._read, self.num_classes, self.digest = read, num_classes, digest

    @classmethod
    def of_videos(cls, videos: Videos, digest: str) -> "LabelMaps":
        """The labels of videos that were loaded with them, as `load("folder", labels=...)` does, as a model's."""
        if "label" not in videos.has or len(videos.info.classes) < 2:
            raise InputError(f"{videos.info.name!r} has no labels of named classes", hint="load('folder', labels=...)")

        def read(rows: Sequence[int]) -> Tensor:
            label = videos.frames(rows).label
            assert label is not None
            return label

        return cls(read, len(videos.info.classes), digest)

    def labels(self, rows: Sequence[int]) -> Int64[Tensor, "b h w"]:
        """The maps of these rows; InputError for an id that is no class."""
        found = self._read(rows)
        wrong = found[(found != IGNORE) & ((found < 0) | (found >= self.num_classes))]
        if len(wrong):
            raise InputError(
                f"label maps must hold classes 0 to {self.num_classes - 1}, or 255, got {int(wrong[0])}",
                hint="colours instead of class ids, or more classes than were named",
            )
        return found

    def logits(self, rows: Sequence[int]) -> Float[Tensor, "b k h w"]:
        """Logits of a net that is sure of them: 12 for the class, 0 for the others; all 0 where there is none."""
        labels = self.labels(rows)
        known = labels != IGNORE
        chosen = torch.nn.functional.one_hot(labels.masked_fill(~known, 0), self.num_classes).permute(0, 3, 1, 2)
        return (chosen * known[:, None]).float() * SURE
