"""How well a mask finds what is occluded: counts that add up over pairs, and the shares that follow from them."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor


@dataclass(frozen=True)
class OcclusionCounts:
    """Pixels by what is true of them and what a rule says; occluded is the class that is looked for."""

    hits: int  # occluded, and said to be
    false_alarms: int  # visible, but said to be occluded
    misses: int  # occluded, but said to be visible
    kept: int  # visible, and said to be

    @classmethod
    def of(
        cls, visible: Bool[Tensor, "b h w"], truth: Bool[Tensor, "b h w"], counted: Bool[Tensor, "b h w"]
    ) -> "OcclusionCounts":
        """Count what a rule calls `visible` against what truly is, over the `counted` pixels."""
        said, true = visible[counted], truth[counted]
        return cls(
            hits=int((~said & ~true).sum()),
            false_alarms=int((~said & true).sum()),
            misses=int((said & ~true).sum()),
            kept=int((said & true).sum()),
        )

    def __add__(self, other: "OcclusionCounts") -> "OcclusionCounts":
        return OcclusionCounts(
            self.hits + other.hits,
            self.false_alarms + other.false_alarms,
            self.misses + other.misses,
            self.kept + other.kept,
        )

    @property
    def pixels(self) -> int:
        return self.hits + self.false_alarms + self.misses + self.kept

    @property
    def precision(self) -> float | None:
        """Share of truly occluded pixels among those said to be; None if the rule flags nothing."""
        return _share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float | None:
        """Share of the truly occluded pixels that are found; None if nothing is occluded."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None if nothing is occluded nor said to be."""
        return _share(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)

    @property
    def visible(self) -> float | None:
        """Share of the pixels that the rule calls visible; None if no pixel counts."""
        return _share(self.misses + self.kept, self.pixels)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
