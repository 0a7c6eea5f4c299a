import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stc_lab.errors import InputError
from stc_lab.geometry import invert_pose, pose_from, so3_exp
from stc_lab.losses import motion_consistency

B, H, W = 2, 4, 5


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def example(seed=0):
    """Two motions that have nothing to do with each other, as fields, and the pixels to ask."""
    usable = normal(seed + 4, B, H, W) < 0.5
    usable[0, 0, 0] = True
    rotations = [so3_exp(0.3 * normal(seed + i, B, 3)) for i in range(2)]
    fields = [normal(seed + 2 + i, B, 3, H, W) for i in range(2)]
    return rotations[0], fields[0], rotations[1], fields[1], usable


def undone(seed=0, scale=1.0):
    """A camera's motion and its inverse, as fields, seen at all pixels."""
    T_b_a = pose_from(0.3 * scale * normal(seed, B, 3), scale * normal(seed + 1, B, 3))
    there, back = (
        (T[:, :3, :3], T[:, :3, 3][:, :, None, None].expand(B, 3, H, W)) for T in (T_b_a, invert_pose(T_b_a))
    )
    return *there, *back, torch.ones(B, H, W, dtype=torch.bool)


def loop_reference(R_ba, t_ba, R_ab, t_ab, usable, t_ab_unwarped=None, official=False):
    """Gordon et al. 2019 as their code has it, one pixel after the other."""
    rotation, translation = [], []
    one = np.eye(3)
    for i in range(B):
        there, back = R_ba[i].numpy(), R_ab[i].numpy()
        off, turn_there, turn_back = (np.mean((R - one) ** 2) for R in (there @ back, there, back))
        rotation.append(off / (turn_there + turn_back))
        for y, x in np.ndindex(H, W):
            if usable[i, y, x]:
                t, t_back = t_ba[i, :, y, x].numpy(), t_ab[i, :, y, x].numpy()
                divisor = t_back if t_ab_unwarped is None else t_ab_unwarped[i, :, y, x].numpy()
                rest = there @ t_back + t
                translation.append(rest @ rest / (t @ t + divisor @ divisor))
    return np.mean(rotation), np.sum(translation) / (B * H * W if official else len(translation))


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("year", [2019, 2021])
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_agrees_with_a_loop_written_from_the_published_code(official, year, seed):
    motions = example(seed)
    unwarped = normal(seed + 9, B, 3, H, W) if year == 2019 else None
    rotation, translation = loop_reference(*motions, unwarped, official)
    found = motion_consistency(*motions, translation_ab=unwarped, official=official)
    assert float(found.rotation) == pytest.approx(rotation, rel=1e-9)
    assert float(found.translation) == pytest.approx(translation, rel=1e-9)
    assert float(found.total) == pytest.approx(1e-3 * rotation + 1e-2 * translation, rel=1e-9)
    assert int(found.support) == int(motions[-1].sum())


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_motion_and_its_inverse_cost_nothing(seed):
    found = motion_consistency(*undone(seed))
    assert float(found.rotation) < 1e-24 and float(found.translation) < 1e-24


def test_the_same_motion_there_and_back_costs_a_lot():
    """The trap of a pair net fed in one order: x and x, instead of x and its inverse."""
    R, t, _, _, usable = undone(scale=0.1)
    found = motion_consistency(R, t, R, t, usable)
    assert float(found.translation) == pytest.approx(2.0, rel=0.1)  # |2 t|^2 / (2 |t|^2)
    assert float(found.rotation) == pytest.approx(2.0, rel=0.1)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-2, 1e2))
def test_smaller_translations_are_no_more_consistent(seed, scale):
    """Without the denominators, shrinking all motions would lower the loss."""
    R, t, R_back, t_back, usable = example(seed)
    found = motion_consistency(R, t, R_back, t_back, usable)
    scaled = motion_consistency(R, scale * t, R_back, scale * t_back, usable)
    torch.testing.assert_close(scaled.translation, found.translation, rtol=1e-9, atol=0)


def test_the_form_of_2019_divides_by_another_points_motion():
    """It takes the way back at the pixel's own place, not where the pixel lands: on an object's edge, another thing's.

    Two motions that undo each other cost nothing in both forms, others do not cost the same.
    """
    R, t, R_back, t_back, usable = example()
    elsewhere = t_back.roll(1, dims=3)
    new, old = (motion_consistency(R, t, R_back, t_back, usable, translation_ab=d) for d in (None, elsewhere))
    assert abs(float(old.translation) / float(new.translation) - 1) > 0.05
    exact = undone()
    assert float(motion_consistency(*exact, translation_ab=3 * exact[3]).translation) < 1e-24


def test_officially_masking_more_lowers_the_translation():
    R, t, R_back, t_back, _ = example()
    t, t_back = t[..., :1, :1].expand_as(t), t_back[..., :1, :1].expand_as(t)
    full = torch.ones(B, H, W, dtype=torch.bool)
    half = full.clone()
    half[:, ::2] = False
    few, many = (motion_consistency(R, t, R_back, t_back, m).translation for m in (half, full))
    torch.testing.assert_close(few, many)
    few, many = (motion_consistency(R, t, R_back, t_back, m, official=True).translation for m in (half, full))
    torch.testing.assert_close(few, many / 2)


def test_no_motion_and_no_pixel_cost_nothing_and_have_a_finite_gradient():
    still = torch.zeros(B, 3, H, W, requires_grad=True)
    R = torch.eye(3).repeat(B, 1, 1).requires_grad_()
    for usable in (torch.ones(B, H, W, dtype=torch.bool), torch.zeros(B, H, W, dtype=torch.bool)):
        found = motion_consistency(R, still, R.clone(), still.clone(), usable)
        assert found.total == 0 and found.support == usable.sum()
        for gradient in torch.autograd.grad(found.total, (R, still)):
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("garbage", [1e30, float("inf"), float("nan")])
def test_what_stands_at_unusable_pixels_does_not_matter(garbage):
    R, t, R_back, t_back, usable = example()
    spoilt = [field.masked_fill(~usable[:, None], garbage).requires_grad_() for field in (t, t_back)]
    found = motion_consistency(R, spoilt[0], R_back, spoilt[1], usable)
    assert torch.equal(found.total, motion_consistency(R, t, R_back, t_back, usable).total)
    for gradient in torch.autograd.grad(found.total, spoilt):
        assert torch.isfinite(gradient).all()


def test_gradcheck():
    R, t, R_back, t_back, usable = example()
    inputs = [value.requires_grad_() for value in (R, t, R_back, t_back)]
    assert torch.autograd.gradcheck(lambda *motions: motion_consistency(*motions, usable).total, inputs)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("index", "change", "message"),
    [
        (0, lambda R: R[:, :2], r"rotation_ba must be \[2, 3, 3\].*\[2, 2, 3\]"),
        (1, lambda t: t[:, :, 0, 0], r"translation_ba must be \[b, 3, h, w\], got \[2, 3\]"),
        (3, lambda t: t[:, :, :1, :1], r"translation_ab_warped must be \[2, 3, 4, 5\].*expand\(b, 3, h, w\)"),
        (4, lambda usable: usable[0], r"usable must be \[2, 4, 5\].*\[4, 5\]"),
        (4, lambda usable: usable.double(), "usable must be bool, got torch.float64"),
    ],
)
def test_motions_that_do_not_fit(index, change, message):
    motions = list(example())
    motions[index] = change(motions[index])
    with pytest.raises(InputError, match=message):
        motion_consistency(*motions)


@pytest.mark.bad_input
def test_an_unwarped_field_of_another_size():
    motions = example()
    with pytest.raises(InputError, match=r"translation_ab must be \[2, 3, 4, 5\].*\[2, 3, 1, 1\]"):
        motion_consistency(*motions, translation_ab=motions[3][..., :1, :1])
