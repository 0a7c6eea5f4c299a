"""Flow estimators behind one protocol: two views go in, the flow between them comes out.

`visible` is what an estimator knows itself: inside the image for those that look at images alone, the depth test for
the rigid one. Occlusion from two flows is another step (`forward_backward`, then a rule of `occlusion`).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.flow import (
    DisPreset,
    Flow,
    check_dis_preset,
    dis_flow,
    expect_image_pair,
    rigid_flow,
)
from stc_lab.geometry.occlusion import inside_visible
from stc_lab.geometry.pose import relative_pose
from stc_lab.geometry.warp import DepthTolerance
from stc_lab.geometry.weight_files import read_state_dict


@runtime_checkable
class View(Protocol):
    """What an estimator may look at: frames with whatever is known about them, as `stc_lab.data.Clip` has it."""

    @property
    def image(self) -> Float[Tensor, "b 3 h w"]:
        """RGB in [0, 1]."""

    @property
    def depth(self) -> Float[Tensor, "b 1 h w"] | None:
        """Along the optical axis, m; 0 = unknown."""

    @property
    def camera(self) -> Camera | None:
        """One K for all or for each."""

    @property
    def T_world_camera(self) -> Float[Tensor, "b 4 4"] | None:
        """Camera-to-world, m."""


@runtime_checkable
class FlowEstimator(Protocol):
    """Anything that finds flow_ab (px), pair by pair of the frames of two views."""

    def __call__(self, a: View, b: View) -> Flow:
        """Where the pixels of a lie in b."""


def forward_backward(estimator: FlowEstimator, a: View, b: View) -> tuple[Flow, Flow]:
    """The flow a -> b and the flow b -> a, for the checks that follow one after the other."""
    return estimator(a, b), estimator(b, a)


@dataclass(frozen=True)
class DisFlow:
    """Dense inverse search on the two images (Kroeger et al. 2016, OpenCV's): the default for real video.

    Visible is what lands inside the image; see `dis_flow`.
    """

    preset: DisPreset = "medium"

    def __post_init__(self) -> None:
        check_dis_preset(self.preset)

    def __call__(self, a: View, b: View) -> Flow:
        flow = dis_flow(a.image, b.image, preset=self.preset)
        return Flow(flow, inside_visible(flow))


@dataclass(frozen=True)
class RigidFlow:
    """Flow from a's depth and the two poses, of a scene in which only the camera moves.

    Visible is the depth test against b's depth; without it, what lands inside the image and in front of b.
    """

    tolerance: DepthTolerance = DepthTolerance()

    def __call__(self, a: View, b: View) -> Flow:
        if a.depth is None or a.camera is None or b.camera is None:
            raise _lacking("depth of the first frame and the camera of both")
        if a.T_world_camera is None or b.T_world_camera is None:
            raise _lacking("pose T_world_camera of both frames")
        T_b_a = relative_pose(a.T_world_camera, b.T_world_camera)
        return rigid_flow(a.depth, a.camera, T_b_a, camera_b=b.camera, depth_b=b.depth, tolerance=self.tolerance)


def _lacking(what: str) -> InputError:
    return InputError(
        f"RigidFlow needs the {what}, got None", hint="a video without depth and poses: DisFlow looks at its images"
    )


@dataclass(frozen=True)
class RaftFlow:
    """RAFT (Teed and Deng 2020) as torchvision has it, with weights from a local file: the optional extra `raft`.

    `weights` is a state dict of torchvision's `raft_large` or `raft_small`: safetensors, or a `.pth` as torchvision
    publishes it, read without running any code in it. Nothing is downloaded. The images are padded evenly, by
    repeating their border, to multiples of 8 and at least 128 px, which the network's pyramid needs. It computes in
    float32 without gradient; visible is what lands inside the image. Raises InputError where torchvision cannot be
    imported or the file does not fit.

    The tests check what goes in and comes out with a stand-in: torchvision does not import beside the CPU torch of
    the locked version, so the network itself was never run here.
    """

    weights: Path | str
    size: Literal["large", "small"] = "large"
    iterations: int = 12  # of the update; torchvision's default
    _model: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.size not in ("large", "small"):
            raise InputError(f"size must be large or small, got {self.size!r}")
        if self.iterations < 1:
            raise InputError(f"iterations must be at least 1, got {self.iterations}")
        object.__setattr__(self, "_model", _raft(self.size, Path(self.weights)))

    @torch.no_grad()
    def __call__(self, a: View, b: View) -> Flow:
        expect_image_pair(a.image, b.image)
        height, width = a.image.shape[-2:]
        rows, columns = (_padding(length) for length in (height, width))
        images = [F.pad(2 * view.image.float() - 1, (*columns, *rows), mode="replicate") for view in (a, b)]
        found = self._model.to(a.image.device)(*images, num_flow_updates=self.iterations)[-1]
        flow = found[..., rows[0] : rows[0] + height, columns[0] : columns[0] + width]
        flow = flow.to(torch.float64 if a.image.dtype == torch.float64 else torch.float32)
        return Flow(flow, inside_visible(flow))


_RAFT_STEP, _LEAST_RAFT_SIZE = 8, 128  # px


def _padding(length: int) -> tuple[int, int]:
    """Pixels to add before and after a side."""
    added = max(_LEAST_RAFT_SIZE, math.ceil(length / _RAFT_STEP) * _RAFT_STEP) - length
    return added // 2, added - added // 2


def _raft(size: str, weights: Path) -> Any:
    try:
        from torchvision.models import optical_flow  # noqa: TID251  # the extra, by those who have a fitting torch
    except (ImportError, RuntimeError, AttributeError) as error:  # the latter two where it was built for another torch
        raise InputError(
            f"RaftFlow needs torchvision, which cannot be imported: {error}",
            hint="pip install 'stc_lab[raft]' in an environment of its own, with the torch that torchvision asks for",
        ) from error
    state = read_state_dict(weights)
    model = getattr(optical_flow, f"raft_{size}")(weights=None, progress=False)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"the weights in {weights} do not fit raft_{size}: {' '.join(str(error).split())[:300]}",
            hint="weights of the other size, or of RAFT's own repository, which names them otherwise",
        ) from error
    return model.eval()
