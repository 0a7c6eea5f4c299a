"""Depth and poses of real RGB-D video explain its next frames, as measured when the slices were cut."""

from collections.abc import Callable

import pytest
import torch

from stc_lab.data import load
from stc_lab.data.frames import Clip
from stc_lab.geometry import forward_splat, identity_warp, inverse_warp, invert_pose

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FOLDERS = {"icl": "icl_livingroom1", "sevenscenes": "sevenscenes_redkitchen"}
# Mean L1 of the identity over that of the warp t+k -> t, on the visible pixels.
FACTORS = {
    ("icl", 1): 0.0255 / 0.0087,
    ("icl", 5): 0.0608 / 0.0103,
    ("icl", 10): 0.0863 / 0.0124,
    ("sevenscenes", 1): 0.0284 / 0.0168,
    ("sevenscenes", 5): 0.0594 / 0.0191,
    ("sevenscenes", 10): 0.0798 / 0.0226,
}
ROUNDING = 0.99  # the factors stem from four digits, and from pairs that nobody wrote down


def mean_errors(
    name: str, root: object, step: int, warps: Callable[[Clip, Clip], dict[str, torch.Tensor]]
) -> dict[str, float]:
    """Mean error of each warp over every third pair."""
    videos = load(name, root=f"{root}/{FOLDERS[name]}")
    errors = [warps(videos.frames([i]), videos.frames([j])) for i, j in videos.pairs(step)[::3]]
    return {key: float(torch.stack([error[key] for error in errors]).mean()) for key in errors[0]}


def difference(image: torch.Tensor, target: Clip, pixels: torch.Tensor) -> torch.Tensor:
    return (image - target.image).abs().mean(dim=1)[pixels].mean()


@pytest.mark.parametrize(("name", "step"), FACTORS)
def test_the_warp_beats_the_identity_and_the_wrong_direction_does_not(name: str, step: int, real_data: object) -> None:
    def warps(target: Clip, source: Clip) -> dict[str, torch.Tensor]:
        assert target.depth is not None
        assert target.camera is not None
        T = target.motion_to(source)
        right = inverse_warp(source.image, target.depth, target.camera, T, depth_source=source.depth)
        wrong = inverse_warp(source.image, target.depth, target.camera, invert_pose(T))
        control = identity_warp(source.image, right.visible)
        assert right.visible.float().mean() > 0.5
        return {
            "right": difference(right.image, target, right.visible),
            "identity": difference(control.image, target, control.visible),
            "wrong": difference(wrong.image, target, right.visible & wrong.visible),
        }

    errors = mean_errors(name, real_data, step, warps)
    assert errors["identity"] / errors["right"] >= ROUNDING * FACTORS[name, step]
    assert errors["wrong"] > 1.2 * errors["identity"]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_forward_splat_beats_the_identity_too(name: str, real_data: object) -> None:
    def warps(target: Clip, source: Clip) -> dict[str, torch.Tensor]:
        assert source.depth is not None
        assert source.camera is not None
        splat = forward_splat(source.image, source.depth, source.camera, source.motion_to(target))
        return {
            "splat": difference(splat.image, target, splat.visible),
            "identity": difference(source.image, target, splat.visible),
        }

    errors = mean_errors(name, real_data, 5, warps)
    assert errors["identity"] > 2 * errors["splat"]
