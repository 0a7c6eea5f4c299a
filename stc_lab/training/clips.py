"""Frames without labels: which pairs of labelled frames, clips and single ones are drawn, and the flow in a clip."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from stc_lab.data import Clip, Videos
from stc_lab.errors import InputError
from stc_lab.geometry import DisFlow, RigidFlow
from stc_lab.losses import PairFlows, all_pairs, pair_flows


class ClipSampler:
    """Draws clips of consecutive frames of one video, each clip as likely as any other."""

    def __init__(self, videos: Videos, length: int) -> None:
        self.length = length
        counts = {name: videos.frame_count(name) for name in videos.names}
        self.starts = [videos.row(name, first) for name, count in counts.items() for first in range(count - length + 1)]
        if not self.starts:
            raise InputError(
                f"no video of {videos.info.name!r} has a clip of {length} frames; the longest has "
                f"{max(counts.values())}",
                hint="a smaller clip_length",
            )

    def draw(self, count: int, generator: torch.Generator) -> list[list[int]]:
        """Rows of the frames of `count` clips."""
        chosen = torch.randint(len(self.starts), (count,), generator=generator).tolist()
        return [list(range(self.starts[i], self.starts[i] + self.length)) for i in chosen]


class LabelledPairSampler:
    """Draws pairs of labelled frames of one video, whatever lies between them: those that need no pseudo-labels."""

    def __init__(self, videos: Videos, labelled: Sequence[int]) -> None:
        ordered = sorted(labelled)
        names = dict(zip(ordered, videos.videos_of(ordered), strict=True)) if ordered else {}
        self.pairs = [(p, q) for p, q in combinations(ordered, 2) if names[p] == names[q]]
        if not self.pairs:
            raise InputError(
                f"no two of the {len(labelled)} labelled frames are of one video",
                hint="more labelled frames: twice as many as there are videos, or pairs_of='videos'",
            )

    def draw(self, count: int, generator: torch.Generator) -> tuple[list[int], list[int]]:
        """Rows of both frames of `count` pairs, in either order."""
        chosen = torch.randint(len(self.pairs), (count,), generator=generator).tolist()
        turned = (torch.rand(count, generator=generator) < 0.5).tolist()
        drawn = [self.pairs[i][::-1] if turn else self.pairs[i] for i, turn in zip(chosen, turned, strict=True)]
        return [pair[0] for pair in drawn], [pair[1] for pair in drawn]


class FlowMemory:
    """Flow between all pairs of frames of a clip, on the grid of every `stride`-th pixel; each pair is found once."""

    def __init__(self, *, flow: str, stride: int, warp: str, limit: int = 300) -> None:
        """`flow` is "rigid" or "dis"; `warp` "identity" keeps what is visible and sets the flow to 0; `limit` in MB."""
        self.flow, self.stride, self.warp = flow, stride, warp
        self._free = limit * 10**6
        self._known: dict[tuple[int, int], tuple[Tensor, ...]] = {}

    def flows(self, rows: Sequence[int], clip: Clip) -> PairFlows:
        """Of all pairs of the clip, whose rows are these."""
        pairs = all_pairs(len(rows))
        keys = [(rows[p], rows[q]) for p, q in pairs]
        new = [pair for pair, key in zip(pairs, keys, strict=True) if key not in self._known]
        found: dict[tuple[int, int], tuple[Tensor, ...]] = {}
        if new:
            table = self._estimated(clip, new)
            each = zip(table.flow_pq, table.flow_qp, table.visible_p, table.visible_q, strict=True)
            found = {(rows[p], rows[q]): tuple(one) for (p, q), one in zip(new, each, strict=True)}
        for key, tensors in found.items():
            size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            if size <= self._free:
                self._known[key] = tensors
                self._free -= size
        kept = [found[key] if key in found else self._known[key] for key in keys]
        return PairFlows(pairs, *(torch.stack(parts) for parts in zip(*kept, strict=True)))

    def _estimated(self, clip: Clip, pairs: list[tuple[int, int]]) -> PairFlows:
        s = self.stride
        if self.flow == "rigid":
            table = pair_flows(clip.strided(s), RigidFlow(), pairs=pairs, check=None)
            flows, seen = (table.flow_pq, table.flow_qp), (table.visible_p, table.visible_q)
        else:
            # Found where the images are sharp: a displacement of s px is one step of the coarse grid.
            table = pair_flows(clip, DisFlow(), pairs=pairs)
            flows = table.flow_pq[..., ::s, ::s] / s, table.flow_qp[..., ::s, ::s] / s
            seen = table.visible_p[..., ::s, ::s], table.visible_q[..., ::s, ::s]
        if self.warp == "identity":
            flows = torch.zeros_like(flows[0]), torch.zeros_like(flows[1])
        return PairFlows(tuple(pairs), *flows, *seen)
