"""Pairs of frames in random order, for loaders with several workers on several nodes."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64
from torch.utils.data import IterableDataset, get_worker_info

from stc_lab.data.frames import Clip
from stc_lab.data.videos import Videos
from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets

ClipPair = tuple[Clip, Clip]


class PairStream(IterableDataset[ClipPair]):
    """Batches of pairs of frames `gap` apart in one video: two clips, of the earlier and of the later frames.

    One pass gives every pair of every gap once, in an order that the seed and the pass alone determine. The parts of a
    pass that workers and nodes give are disjoint, and the same whenever seed, workers and nodes are the same. In a
    torch `DataLoader(stream, batch_size=None, num_workers=...)` each worker gives its own part.
    """

    def __init__(
        self,
        videos: Videos,
        gaps: Sequence[int],
        *,
        batch: int = 8,
        seed: int = 0,
        passes: int | None = 1,
        node: int = 0,
        nodes: int = 1,
    ) -> None:
        """`batch` pairs at a time, the last of a part fewer; without `passes` it never ends."""
        if batch < 1 or (passes is not None and passes < 1) or len(gaps) == 0:
            raise InputError(f"batch and passes must be at least 1 and gaps not empty, got {batch}, {passes}, {gaps}")
        if not 0 <= node < nodes:
            raise InputError(f"node must lie between 0 and {nodes - 1}, got {node}", hint="ranks are counted from 0")
        self.videos = videos
        self.pairs = [videos.pairs(gap) for gap in gaps]
        self._ends = np.cumsum([len(pairs) for pairs in self.pairs])
        self.batch, self.seed, self.passes, self.node, self.nodes = batch, seed, passes, node, nodes

    @property
    def count(self) -> int:
        """Pairs in one pass of all nodes together."""
        return int(self._ends[-1])

    def __iter__(self) -> Iterator[ClipPair]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        for number in count() if self.passes is None else range(self.passes):
            yield from self.part(self.node * workers + worker, self.nodes * workers, number=number)

    def part(self, part: int, parts: int, *, number: int = 0) -> Iterator[ClipPair]:
        """One of several disjoint parts of pass `number`."""
        rows = self.rows(part, parts, number=number)
        for start in range(0, len(rows), self.batch):
            chosen = rows[start : start + self.batch]
            clip = self.videos.frames(chosen.T.ravel().tolist())
            yield clip[: len(chosen)], clip[len(chosen) :]

    def rows(self, part: int = 0, parts: int = 1, *, number: int = 0) -> Int64[np.ndarray, "n 2"]:
        """Rows of the frames of one part of pass `number`, in its order."""
        order = np.random.default_rng([self.seed, number]).permutation(self.count)[part::parts]
        of_gap = np.searchsorted(self._ends, order, side="right")
        rows = np.empty((len(order), 2), np.int64)
        for i, pairs in enumerate(self.pairs):
            rows[of_gap == i] = pairs.rows(order[of_gap == i] - (self._ends[i] - len(pairs)))
        return rows

    def streamed(self, shards: int) -> "datasets.IterableDataset":
        """One pass as a stream of Hugging Face `datasets`, examples {"earlier": Clip, "later": Clip}.

        `datasets.distributed.split_dataset_by_node` and a DataLoader's workers share its shards: take a multiple of
        nodes times workers. `node` and `nodes` of the stream itself must not be set as well.
        """
        from datasets import IterableDataset as Stream

        if self.nodes != 1:
            raise InputError(
                "a stream that is one node's cannot be split by node again", hint="leave out node=, nodes="
            )
        if shards < 1:
            raise InputError(f"shards must be at least 1, got {shards}")
        return Stream.from_generator(
            _examples, gen_kwargs={"part": self.part, "shard": list(range(shards)), "of": shards}
        )


def _examples(part: Callable[[int, int], Iterator[ClipPair]], shard: list[int], of: int) -> Iterator[dict[str, Clip]]:
    for own in shard:
        for earlier, later in part(own, of):
            yield {"earlier": earlier, "later": later}
