"""What learning depth reads of a clip: small frames for the net, and the flow between them, found once and kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from stc_lab.data import Videos
from stc_lab.data.cache import build_once, cache_root
from stc_lab.errors import InputError
from stc_lab.geometry import Flow, dis_flow, gmflow_visible, inside_visible
from stc_lab.geometry.reconstruct import Matches
from stc_lab.models.store import read_safetensors, write_safetensors

GAPS = (1, 2, 3, 4, 6)  # frames between the two of a pair
_FORM = 1  # of what is kept; counted up when it changes
_FILE = "matches.safetensors"


@dataclass(frozen=True)
class MatchedClip:
    """A clip as learning depth sees it. Flow is held in half precision and given out in single."""

    video: str
    image: UInt8[Tensor, "t 3 hn wn"]  # frames at the net's size
    pairs: dict[tuple[int, int], int]  # frames (i, j), i < j, of each row below
    flow: Float[Tensor, "p 2 2 h w"]  # i -> j and j -> i, px of the grid
    usable: Bool[Tensor, "p 2 h w"]  # flow there and back agrees

    def matches(self, pairs: Sequence[tuple[int, int]] | None = None) -> Matches:
        """Of the pairs named, or of all."""
        wanted = list(self.pairs) if pairs is None else list(pairs)
        rows = [self.pairs[pair] for pair in wanted]
        flow, usable = self.flow[rows].float(), self.usable[rows]
        return Matches(torch.tensor(wanted), Flow(flow[:, 0], usable[:, 0]), Flow(flow[:, 1], usable[:, 1]))

    def images(self, frames: Sequence[int] | None = None) -> Float[Tensor, "n 3 hn wn"]:
        """RGB in [0, 1] of the frames named, or of all."""
        chosen = self.image if frames is None else self.image[list(frames)]
        return chosen.float() / 255


def matched_clips(
    videos: Videos,
    *,
    flow_stride: int = 4,
    net_stride: int = 2,
    cache: Path | str | None = None,
    log: Callable[[str], None] | None = None,
) -> list[MatchedClip]:
    """Each video with its flows, from the cache folder; found first if they are not there (10 ms a flow of 128x192).

    The flow is OpenCV's dense inverse search, down to single pixels, at the frames' full size, of brightness-aligned
    frames. Usable is where following it there and back misses the start by less than 1 px and 5 % of the way.
    """
    root = cache_root() if cache is None else Path(cache).expanduser()
    clips = []
    for number, name in enumerate(videos.names):
        image = videos.clip(name).image
        if len(image) <= max(GAPS):
            raise InputError(f"video {name!r} has {len(image)} frames, learning depth needs more than {max(GAPS)}")
        if min(image.shape[-2:]) < 16 * net_stride:
            raise InputError(f"video {name!r} has {list(image.shape[-2:])} px, expected at least {16 * net_stride}")
        folder = root / "matches" / _digest(image, flow_stride, net_stride)

        def build(partial: Path, image: Tensor = image) -> None:
            write_safetensors(partial / _FILE, _found(image, flow_stride, net_stride), {"form": _FORM})

        build_once(folder, build)
        tensors, _ = read_safetensors(folder / _FILE)
        pairs = {(i, j): row for row, (i, j) in enumerate(tensors["pairs"].tolist())}
        clips.append(MatchedClip(name, tensors["image"], pairs, tensors["flow"], tensors["usable"]))
        if log is not None and (number + 1) % 8 == 0:
            log(f"flow: {number + 1}/{len(videos.names)} clips")
    return clips


def small_frames(images: Float[Tensor, "t 3 h w"], stride: int) -> Float[Tensor, "t 3 hn wn"]:
    """Frames at the size a net was trained at: the mean of each stride x stride px."""
    size = [side // stride for side in images.shape[-2:]]
    return F.interpolate(images, size=size, mode="area")


def _found(image: Float[Tensor, "t 3 h w"], flow_stride: int, net_stride: int) -> dict[str, Tensor]:
    pairs = [(i, i + gap) for gap in GAPS for i in range(len(image) - gap)]
    size = [side // flow_stride for side in image.shape[-2:]]
    scale = torch.tensor([size[1] / image.shape[-1], size[0] / image.shape[-2]])[:, None, None]
    flows, usable = [], []
    for i, j in pairs:
        a, b = image[i : i + 1], image[j : j + 1]
        ab, ba = dis_flow(a, _aligned(b, a), preset="fine"), dis_flow(b, _aligned(a, b), preset="fine")
        good = [_agrees(ab, ba), _agrees(ba, ab)]
        both = torch.cat([ab, ba])
        flows.append((F.interpolate(both, size=size, mode="bilinear", align_corners=False) * scale).half())
        kept = F.interpolate(torch.stack(good).float(), size=size, mode="bilinear", align_corners=False)
        usable.append(kept[:, 0] > 0.99)
    small = (small_frames(image, net_stride) * 255).round().to(torch.uint8)
    return {
        "image": small,
        "pairs": torch.tensor(pairs),
        "flow": torch.stack(flows).contiguous(),
        "usable": torch.stack(usable),
    }


def _agrees(ab: Float[Tensor, "1 2 h w"], ba: Float[Tensor, "1 2 h w"]) -> Bool[Tensor, "1 h w"]:
    return gmflow_visible(ab, ba, relative=0.025, absolute=1.0) & inside_visible(ab)


def _aligned(image: Float[Tensor, "1 3 h w"], like: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
    """The image with the other's mean and contrast: flow follows brightness, and exposure is not motion."""
    gain = like.std() / image.std().clamp(min=1e-3)
    return ((image - image.mean()) * gain + like.mean()).clamp(0, 1)


def _digest(image: Tensor, flow_stride: int, net_stride: int) -> str:
    settings = json.dumps([_FORM, GAPS, flow_stride, net_stride, list(image.shape)])
    pixels = (image * 255).round().to(torch.uint8).contiguous().numpy().tobytes()
    return hashlib.sha256(settings.encode() + pixels).hexdigest()[:20]
