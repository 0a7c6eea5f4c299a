"""How often classes occur, and how many of them a few labelled frames show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.supervision import supervised_share
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # of the labelled frames; the smallest is that of the papers
OFTEN = 5  # frames: seen once is not learned


@dataclass(frozen=True)
class ClassCensus:
    """Pixels of each class in each labelled frame of some videos."""

    names: tuple[str, ...]
    rows: Int64[np.ndarray, " n"]  # of the videos
    pixels: Int64[Tensor, "n k"]
    ignored: Int64[Tensor, " n"]  # pixels without a class

    def pixel_share(self) -> Float[Tensor, " k"]:
        """Share of each class among the pixels that have one."""
        total = self.pixels.sum(dim=0).double()
        return total / total.sum()

    def frame_share(self) -> Float[Tensor, " k"]:
        """Share of the labelled frames in which each class occurs, be it by one pixel."""
        return (self.pixels > 0).double().mean(dim=0)

    def ignored_share(self) -> float:
        """Share of the pixels of labelled frames that have no class."""
        return float(self.ignored.sum() / (self.ignored.sum() + self.pixels.sum()))

    def fewest_filling(self, share: float) -> int:
        """The fewest classes that together fill this share of the pixels."""
        if not 0 < share <= 1:
            raise InputError(f"share must be above 0 and at most 1, got {share}")
        filled = self.pixel_share().sort(descending=True).values.cumsum(0)
        return min(len(self.names), int((filled < share - 1e-9).sum()) + 1)

    def seen(self, rows: Sequence[int], *, at_least: int = 1) -> int:
        """How many classes occur in `at_least` of these labelled frames."""
        chosen = torch.from_numpy(np.searchsorted(self.rows, np.asarray(rows)))
        return int(((self.pixels[chosen] > 0).sum(dim=0) >= at_least).sum())


def count_classes(videos: Videos) -> ClassCensus:
    """Count the classes in every labelled frame; one frame at a time."""
    if "label" not in videos.has:
        raise InputError(
            f"data set {videos.info.name!r} has no labels to count",
            hint="`stc-lab data list` says which data sets have labels",
        )
    rows = videos.rows_with("label")
    classes, ignore = len(videos.info.classes), videos.info.ignore_index
    pixels, ignored = [], []
    for row in rows.tolist():
        label = videos.frames([row]).label
        assert label is not None
        counts = torch.bincount(label.flatten(), minlength=256)
        ignored.append(counts[ignore])
        pixels.append(counts[:classes])
    return ClassCensus(videos.info.classes, rows, torch.stack(pixels), torch.stack(ignored))


@dataclass(frozen=True)
class LabelCoverage:
    """How many classes the labelled frames show, for nested shares of them and several seeds."""

    shares: tuple[float, ...]
    frames: tuple[int, ...]  # labelled at each share
    classes: int  # there are
    once: Int64[Tensor, "share seed"]  # classes seen in one labelled frame or more
    often: Int64[Tensor, "share seed"]  # in OFTEN or more
    as_filmed: Int64[Tensor, "share seed"]  # control: seen once, if one video after the other is labelled


def label_coverage(
    videos: Videos, census: ClassCensus, *, shares: Sequence[float] = SHARES, seeds: Sequence[int] = range(5)
) -> LabelCoverage:
    """What each share of labelled frames shows: drawn spread over the videos, and as a control video by video."""
    once, often, filmed = (torch.zeros(len(shares), len(seeds), dtype=torch.int64) for _ in range(3))
    frames = []
    for j, seed in enumerate(seeds):
        for i, share in enumerate(shares):
            rows = supervised_share(videos, share, seed=seed)
            once[i, j] = census.seen(rows)
            often[i, j] = census.seen(rows, at_least=OFTEN)
            filmed[i, j] = census.seen(rows_as_filmed(videos, len(rows), seed=seed))
            if j == 0:
                frames.append(len(rows))
    return LabelCoverage(tuple(shares), tuple(frames), len(census.names), once, often, filmed)


def rows_as_filmed(videos: Videos, count: int, *, seed: int) -> list[int]:
    """The first `count` labelled frames when videos are labelled whole, one after the other, in random order."""
    rows = videos.rows_with("label")
    if not 1 <= count <= len(rows):
        raise InputError(f"count must lie between 1 and the {len(rows)} labelled frames, got {count}")
    names = np.array(videos.videos_of(rows.tolist()))
    order = np.random.default_rng(seed).permutation(sorted(set(names.tolist())))
    return np.concatenate([rows[names == name] for name in order])[:count].tolist()


def labelled_first(videos: Videos, *, shares: Sequence[float] = SHARES, seed: int = 0) -> Float[Tensor, "v t"]:
    """For each frame of each video the smallest of the nested shares that labels it; NaN where there is no frame."""
    longest = max(videos.frame_count(name) for name in videos.names)
    first = torch.full((len(videos.names), longest), torch.nan, dtype=torch.float64)
    place = {name: i for i, name in enumerate(videos.names)}
    for share in sorted(shares, reverse=True):
        rows = supervised_share(videos, share, seed=seed)
        for row, name in zip(rows, videos.videos_of(rows), strict=True):
            first[place[name], row - videos.row(name, 0)] = share
    return first
