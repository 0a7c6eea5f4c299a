"""Where kornia's warp and ours are the same function, and where they part."""

import math

import torch
from kornia.geometry.depth import warp_frame_depth

from stc_lab.geometry import Camera, inverse_warp, pose_from

GENERATOR = torch.Generator().manual_seed(3)
HEIGHT, WIDTH = 24, 32
CAMERA = Camera.from_fov(HEIGHT, WIDTH, 60.0, dtype=torch.float64)
SOURCE = torch.rand(2, 3, HEIGHT, WIDTH, generator=GENERATOR, dtype=torch.float64) + 0.5
DEPTH = 2 + torch.rand(2, 1, HEIGHT, WIDTH, generator=GENERATOR, dtype=torch.float64)


def both(rotation: list[float], translation: list[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    T = pose_from(torch.tensor([rotation] * 2).double(), torch.tensor([translation] * 2).double())
    ours = inverse_warp(SOURCE, DEPTH, CAMERA, T)
    # kornia's src_trans_dst maps points of the depth's frame into the image's frame: our T_source_target.
    theirs = warp_frame_depth(SOURCE, DEPTH, T, CAMERA.K.repeat(2, 1, 1))
    return ours.image, ours.visible, theirs


def test_they_agree_where_the_pixel_is_visible() -> None:
    image, visible, theirs = both([0.03, -0.06, 0.05], [0.2, -0.1, 0.15])
    assert 0.5 < visible.double().mean() < 0.99
    apart = (image - theirs).abs().amax(dim=1)
    assert apart[visible].max() < 1e-8


def test_outside_the_image_kornia_fades_to_zero_and_we_say_invisible() -> None:
    image, visible, theirs = both([0.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert (theirs == 0).all(dim=1)[~visible].double().mean() > 0.5
    assert image.amin() >= 0.5  # border values: meaningless but of the source's range


def test_behind_the_camera_kornia_still_shows_the_image_and_we_do_not() -> None:
    image, visible, theirs = both([0.0, math.pi, 0.0], [0.0, 0.0, 0.0])  # a look over the shoulder
    assert not visible.any()
    assert (theirs > 0).any()
    assert image.isfinite().all()
