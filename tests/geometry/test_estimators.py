"""Flow estimators: one protocol, exact where they claim it, and RAFT's plumbing by a stand-in for its network."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from planar import draw
from safetensors.torch import save_file
from torch import Tensor, nn

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry import (
    Camera,
    DepthTolerance,
    DisFlow,
    FlowEstimator,
    RaftFlow,
    RigidFlow,
    View,
    dis_flow,
    forward_backward,
    inside_visible,
    pose_from,
    relative_pose,
    rigid_flow,
)


def drawn(shift: float, *, height: int = 48, width: int = 64) -> Clip:
    """A frame of the drawn scene from a camera moved sideways, in float32."""
    camera = Camera.from_fov(height, width, 60.0)
    pose = pose_from(torch.zeros(1, 3).double(), torch.tensor([[shift, 0.0, 0.0]]).double())
    view = draw(camera.K[0].double(), height, width, pose[0])
    return Clip(
        video=("drawn",),
        index=torch.tensor([0]),
        time=torch.zeros(1),
        image=view.image.float(),
        depth=view.depth.float(),
        camera=camera,
        T_world_camera=pose.float(),
    )


A, B = drawn(0.0), drawn(0.1)


def test_a_clip_is_a_view_and_each_estimator_fits_the_protocol() -> None:
    assert isinstance(A, View)
    assert not isinstance(A.image, View)
    for estimator in (DisFlow(), RigidFlow()):
        assert isinstance(estimator, FlowEstimator)


def test_anything_with_the_four_fields_is_a_view() -> None:
    plain = [
        SimpleNamespace(image=c.image, depth=c.depth, camera=c.camera, T_world_camera=c.T_world_camera) for c in (A, B)
    ]
    assert torch.equal(RigidFlow()(*plain).flow, RigidFlow()(A, B).flow)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_dis_is_the_function_and_knows_the_frame(preset: Any) -> None:
    found = DisFlow(preset)(A, B)
    assert torch.equal(found.flow, dis_flow(A.image, B.image, preset=preset))
    assert torch.equal(found.visible, inside_visible(found.flow))
    assert not found.visible.all()


def test_rigid_is_the_function_with_the_depth_test() -> None:
    assert A.depth is not None and A.camera is not None
    T_b_a = A.motion_to(B)
    strict = DepthTolerance(relative=0.001, absolute=0.001)
    for tolerance in (DepthTolerance(), strict):
        expected = rigid_flow(A.depth, A.camera, T_b_a, depth_b=B.depth, tolerance=tolerance)
        found = RigidFlow(tolerance)(A, B)
        assert torch.equal(found.flow, expected.flow)
        assert torch.equal(found.visible, expected.visible)
    untested = RigidFlow()(A, replace(B, depth=None))
    assert torch.equal(untested.visible, inside_visible(untested.flow))


def test_rigid_takes_the_second_frames_own_camera() -> None:
    other = drawn(0.1, height=36, width=72)
    found = RigidFlow()(A, other)
    assert A.depth is not None and A.camera is not None
    expected = rigid_flow(A.depth, A.camera, A.motion_to(other), camera_b=other.camera, depth_b=other.depth)
    assert torch.equal(found.flow, expected.flow) and torch.equal(found.visible, expected.visible)
    assert found.flow.shape[-2:] == A.image.shape[-2:]


def test_forward_backward_asks_both_ways() -> None:
    there, back = forward_backward(RigidFlow(), A, B)
    assert torch.equal(there.flow, RigidFlow()(A, B).flow)
    assert torch.equal(back.flow, RigidFlow()(B, A).flow)
    assert float(there.flow[:, 0].median()) < 0 < float(back.flow[:, 0].median())


def test_estimators_are_values() -> None:
    assert DisFlow() == DisFlow("medium") and hash(DisFlow()) == hash(DisFlow("medium"))
    assert RigidFlow() != RigidFlow(DepthTolerance(absolute=0.1))


class Network(nn.Module):
    """What RAFT promises of its input, checked; its last flow tells where each pixel of the first image went."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.calls: list[tuple[tuple[int, ...], int]] = []

    def forward(self, image1: Tensor, image2: Tensor, num_flow_updates: int = 12) -> list[Tensor]:
        for image in (image1, image2):
            height, width = image.shape[-2:]
            assert height % 8 == 0 and width % 8 == 0 and min(height, width) >= 128
            assert image.dtype == torch.float32
            assert image.min() >= -1 and image.max() <= 1
        self.calls.append((tuple(image1.shape), num_flow_updates))
        assert not self.training and not torch.is_grad_enabled()
        last = self.scale * torch.stack([image1[:, 0], image2[:, 1]], dim=1)
        return [torch.zeros_like(last)] * (num_flow_updates - 1) + [last]


@pytest.fixture
def raft(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A stand-in for torchvision, which has RAFT of both sizes; returns what was asked of it."""
    asked: dict[str, Any] = {}

    def build(size: str) -> Callable[..., Network]:
        def make(*, weights: object, progress: bool) -> Network:
            assert weights is None, "a name of weights would be downloaded"
            asked["size"], asked["network"] = size, Network()
            return asked["network"]

        return make

    modules = {name: ModuleType(name) for name in ("torchvision", "torchvision.models")}
    flow = ModuleType("torchvision.models.optical_flow")
    flow.raft_large, flow.raft_small = build("large"), build("small")  # type: ignore[attr-defined]
    modules["torchvision.models"].optical_flow = flow  # type: ignore[attr-defined]
    for name, module in {**modules, "torchvision.models.optical_flow": flow}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return asked


def weights_file(folder: Path, scale: float = 1.0, suffix: str = ".safetensors") -> Path:
    path, state = folder / f"raft{suffix}", {"scale": torch.tensor([scale])}
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)  # noqa: TID251  # as torchvision publishes its weights
    return path


def as_view(image: Tensor) -> Any:
    return SimpleNamespace(image=image, depth=None, camera=None, T_world_camera=None)


@pytest.mark.parametrize(("height", "width"), [(128, 136), (121, 130), (40, 300), (5, 7)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_raft_pads_scales_and_crops(
    raft: dict[str, Any], tmp_path: Path, height: int, width: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(2, 3, height, width, generator=generator).to(dtype) for _ in range(2))
    found = RaftFlow(weights_file(tmp_path), iterations=3)(as_view(a), as_view(b))
    expected = 2 * torch.stack([a[:, 0], b[:, 1]], dim=1).float() - 1
    assert found.flow.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.flow.float(), expected, atol=1e-6, rtol=0)
    assert torch.equal(found.visible, inside_visible(found.flow))
    (shape, updates), *more = raft["network"].calls
    assert updates == 3 and not more
    assert shape[-2] - height < (8 if height > 128 else 129) and shape[-1] - width < (8 if width > 128 else 129)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_raft_loads_local_weights_of_either_kind(raft: dict[str, Any], tmp_path: Path, suffix: str) -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    path = weights_file(tmp_path, 2.5, suffix)
    found = RaftFlow(str(path), size="small")(as_view(image), as_view(image))
    assert raft["size"] == "small"
    torch.testing.assert_close(found.flow, 2.5 * (2 * image[:, :2] - 1))


@pytest.mark.bad_input
def test_raft_without_torchvision_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match=r"RaftFlow needs torchvision.*stc_lab\[raft\]"):
        RaftFlow(weights_file(tmp_path))


@pytest.mark.bad_input
def test_rafts_weights_are_refused_by_name(raft: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no weights file .*nowhere\.pth.*nothing is downloaded"):
        RaftFlow(tmp_path / "nowhere.pth")
    for suffix in (".safetensors", ".pth"):
        damaged = weights_file(tmp_path, suffix=suffix)
        damaged.write_bytes(damaged.read_bytes()[:-20])
        with pytest.raises(InputError, match=rf"raft\{suffix} cannot be read as weights"):
            RaftFlow(damaged)
    torch.save(Network(), tmp_path / "whole.pth")  # noqa: TID251  # a pickled model, whose code must not run
    with pytest.raises(InputError, match=r"whole\.pth cannot be read as weights.*pickled model"):
        RaftFlow(tmp_path / "whole.pth")
    torch.save([torch.ones(1)], tmp_path / "list.pth")  # noqa: TID251
    with pytest.raises(InputError, match=r"must hold a state dict.*got list"):
        RaftFlow(tmp_path / "list.pth")
    save_file({"shift": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors do not fit raft_large.*other size"):
        RaftFlow(tmp_path / "other.safetensors")


@pytest.mark.bad_input
def test_bad_settings_and_views_are_refused(raft: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ultrafast, fast, medium, fine, got 'slow'"):
        DisFlow("slow")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"large or small, got 'huge'"):
        RaftFlow(tmp_path, size="huge")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"iterations must be at least 1, got 0"):
        RaftFlow(tmp_path, iterations=0)
    image = torch.rand(1, 3, 16, 16)
    with pytest.raises(InputError, match=r"both images must have one size"):
        RaftFlow(weights_file(tmp_path))(as_view(image), as_view(image[..., :15]))
    with pytest.raises(InputError, match=r"RigidFlow needs the depth.*got None.*DisFlow"):
        RigidFlow()(as_view(image), B)
    with pytest.raises(InputError, match=r"RigidFlow needs the pose T_world_camera"):
        RigidFlow()(A, replace(B, T_world_camera=None))


def test_relative_pose_maps_the_first_camera_into_the_second() -> None:
    """The direction of RigidFlow's motion, by where the drawn card's centre goes."""
    assert A.T_world_camera is not None and B.T_world_camera is not None
    point = torch.tensor([0.0, 0.0, 2.0, 1.0])
    moved = relative_pose(A.T_world_camera, B.T_world_camera)[0] @ point
    assert A.camera is not None
    fx = float(A.camera.K[0, 0, 0])
    flow = RigidFlow()(A, B).flow[0, 0, 24, 32]
    assert float(flow) == pytest.approx(fx * float(moved[0]) / 2.0, abs=1e-3)
