"""Pairs of MPI Sintel (Butler et al. 2012), an animated film with exact flow and occlusion."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from stc_lab.data.flow_files import read_flo, read_sintel_mask
from stc_lab.data.frames import Clip
from stc_lab.data.image_files import read_image
from stc_lab.geometry.flow import Flow
from stc_lab.geometry.occlusion import inside_visible

_FRAME_RATE = 24.0  # Hz


@dataclass(frozen=True)
class SintelPair:
    """Two frames that follow each other, and what is true of the first."""

    a: Clip
    b: Clip
    truth: Flow  # visible: neither hidden in b nor outside of it
    counted: Bool[Tensor, "1 h w"]  # pixels whose flow is to be judged


def read_sintel_pair(root: Path | str, render: str, scene: str, frame: int) -> SintelPair:
    """Read frames `frame` and `frame + 1` of a scene with their truth from Sintel's folder `training`.

    `render` is `clean` or `final`. Sintel's occlusions do not mark what leaves the frame; `truth.visible` does.
    """
    root = Path(root)
    paths = [root / render / scene / f"frame_{frame + i:04d}.png" for i in range(2)]
    name = f"frame_{frame:04d}"
    flow = read_flo(root / "flow" / scene / f"{name}.flo")
    hidden, invalid = (read_sintel_mask(root / kind / scene / f"{name}.png") for kind in ("occlusions", "invalid"))
    index = torch.arange(frame, frame + 2)
    clip = Clip(
        video=(f"{render}/{scene}",) * 2,
        index=index,
        time=index / _FRAME_RATE,
        image=torch.stack([torch.from_numpy(read_image(path)).permute(2, 0, 1) for path in paths]).float() / 255,
    )
    truth = Flow(flow.flow, inside_visible(flow.flow) & ~hidden)
    return SintelPair(clip[0], clip[1], truth, flow.known & ~invalid)
