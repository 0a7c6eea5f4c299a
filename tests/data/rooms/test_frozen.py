"""The frames that the shipped net was trained on stay as they were: whatever is added draws from streams of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stc_lab.data.rooms import PRESETS, render_video

FROZEN = Path(__file__).parent / "frozen.npz"  # every third frame of rooms-train-0001 of `tiny`, and all its poses


@pytest.mark.parametrize("motion", ["dolly", "handheld"])
def test_a_seed_gives_the_frames_it_always_gave(motion: str) -> None:
    """To the bit on the machine that wrote them; elsewhere an edge pixel may fall to the other side."""
    clip = render_video("rooms-train-0001", replace(PRESETS["tiny"], motion=motion))
    assert clip.label is not None and clip.depth is not None and clip.T_world_camera is not None
    with np.load(FROZEN) as stored:
        image, label, depth, pose = (stored[f"{motion}_{name}"] for name in ("image", "label", "depth", "pose"))
    assert np.allclose(clip.T_world_camera.numpy(), pose, atol=1e-6)
    assert (clip.label.numpy()[::3] == label).mean() > 0.999
    assert (np.abs(clip.depth.numpy()[::3] / depth - 1) < 1e-4).mean() > 0.999
    levels = (clip.image * 255).round().to(torch.int64).numpy()[::3]
    assert (np.abs(levels - image) <= 1).mean() > 0.998


def test_what_is_new_leaves_the_rest_alone() -> None:
    """Moving things change only pixels that they, their shadows or their highlights touch; the path is the same."""
    config = replace(PRESETS["tiny"], motion="handheld", dial=0.0, auto_exposure=0.0, shadows=False)
    plain = render_video("rooms-train-0001", config)
    moving = render_video("rooms-train-0001", replace(config, moving_objects=3))
    blurred = render_video("rooms-train-0001", replace(config, motion_blur=0.5))
    assert plain.label is not None and moving.label is not None
    assert plain.depth is not None and moving.depth is not None and blurred.depth is not None
    assert plain.T_world_camera is not None and moving.T_world_camera is not None
    assert torch.equal(plain.T_world_camera, moving.T_world_camera)
    assert torch.equal(plain.depth, blurred.depth) and not torch.equal(plain.image, blurred.image)
    same = plain.depth == moving.depth
    assert 0.5 < float(same.double().mean()) < 1
    assert torch.equal(plain.label[same[:, 0]], moving.label[same[:, 0]])
    assert torch.allclose(plain.image[same.expand(-1, 3, -1, -1)], moving.image[same.expand(-1, 3, -1, -1)], atol=1e-5)
    assert (moving.depth[~same] < plain.depth[~same]).all()
