"""Soft targets: whose they are, what fusing adds, and that controls take away the geometry and nothing else."""

import copy

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.filters import fuse_views
from stc_lab.training import FrameMemory, ObjectiveRecipe, train_objective
from stc_lab.training.objective_step import StepMaker
from stc_lab.training.schedule import stream
from stc_lab.training.targets import TargetMemory, augmented

LABELLED = [1, 9, 22]  # of videos of 8 frames each
CE = ("cross_entropy", 1.0)
TEACHER = ("teacher", 1.0)


def recipe_of(*terms, **changes):
    settings = {"terms": terms or (CE, TEACHER), "labelled": 3, "batch": 2, "frames": 4, "views": (1, 2)}
    return ObjectiveRecipe(**{**settings, "targets": "fused", "weight_warm_up": 0.0, "steps": 6, **changes})


def targets_of(videos, model, **changes):
    return TargetMemory(model.eval(), FrameMemory(videos), recipe_of(**changes), LABELLED, None)


@pytest.fixture
def model(new_model):
    return new_model().eval()


@pytest.fixture
def said(videos, model):
    """What the net says of the frames of the second video."""
    with torch.no_grad():
        return model.coarse(videos.clip("poster_1").image).softmax(dim=1)


def test_targets_of_a_frame_alone_are_what_the_net_says(videos, model, said):
    found = targets_of(videos, model, targets="probabilities").probabilities([8, 13])
    torch.testing.assert_close(found, said[[0, 5]], atol=1e-3, rtol=0)


def test_the_teacher_stays_as_it_was_while_the_net_learns(videos, model, said):
    memory = targets_of(videos, model, targets="probabilities")
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3)
    torch.testing.assert_close(memory.probabilities([10]), said[[2]], atol=1e-3, rtol=0)


def test_in_training_too_the_target_is_the_start(videos, new_model):
    model = new_model()
    recipe = recipe_of(targets="probabilities", learning_rate=3e-2)
    maker = StepMaker(model.eval(), None, FrameMemory(videos), recipe, LABELLED)
    start = copy.deepcopy(model)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    step = maker.make().step
    frames = torch.randint(len(videos), (4,), generator=stream(0, "frames"))
    with torch.no_grad():
        expected = start.coarse(videos.frames(frames.tolist()).image).softmax(dim=1)
    torch.testing.assert_close(step.teacher[2:], expected, atol=1e-3, rtol=0)
    assert bool((step.teacher_weight[:2] == 0).all()) and bool((step.teacher_weight[2:] > 0).all())


def test_a_renewed_teacher_is_the_mean_of_the_old_and_the_net(videos, new_model):
    model, learned = new_model().eval(), new_model(1).eval()
    memory = targets_of(videos, model, targets="probabilities", momentum=0.25)
    before = memory.probabilities([3])
    memory.renew(learned)
    expected = new_model().eval()
    with torch.no_grad():
        for mean, old, new in zip(expected.parameters(), model.parameters(), learned.parameters(), strict=True):
            mean.copy_(0.25 * old + 0.75 * new)
        said = expected.coarse(videos.frames([3]).image).softmax(dim=1)
    found = memory.probabilities([3])
    torch.testing.assert_close(found, said, atol=1e-3, rtol=0)
    assert not torch.allclose(found, before, atol=1e-3)


@pytest.mark.parametrize("warp", ["geometry", "identity"])
def test_fused_targets_are_the_mean_over_views(videos, model, said, warp):
    clip = videos.clip("poster_1").strided(model.coarse_stride)
    expected = fuse_views(said, clip.depth, clip.camera, clip.T_world_camera, offsets=(-2, -1, 1, 2), warp=warp)
    found = targets_of(videos, model, warp=warp).probabilities(range(8, 16))
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_votes_carry_a_label_to_every_frame_that_sees_it(make_videos, model):
    videos = make_videos(shift=2)  # one pixel of the coarse grid a frame, so that nothing is between pixels
    stride = model.coarse_stride
    found = targets_of(videos, model, label_votes=1e6).probabilities(range(8, 16)).argmax(dim=1)
    true = videos.clip("poster_1").label[:, ::stride, ::stride]
    torch.testing.assert_close(found[1], true[1])  # row 9, the labelled one
    torch.testing.assert_close(found[4][:, :-3], true[4][:, :-3])  # what moved in from the right nobody labelled
    torch.testing.assert_close(found[0][:, 1:], true[0][:, 1:])


def test_without_the_warp_votes_stay_at_their_pixels(make_videos, model):
    videos = make_videos(shift=2)
    stride = model.coarse_stride
    found = targets_of(videos, model, label_votes=1e6, warp="identity").probabilities(range(8, 16)).argmax(dim=1)
    label = videos.clip("poster_1").label[1, ::stride, ::stride]
    torch.testing.assert_close(found[4][:, :-3], label[:, :-3])


def test_other_videos_get_no_votes(videos, model):
    memory = TargetMemory(model, FrameMemory(videos), recipe_of(label_votes=50.0), [9], None)
    without = TargetMemory(model, FrameMemory(videos), recipe_of(), [9], None)
    torch.testing.assert_close(memory.probabilities([0, 17]), without.probabilities([0, 17]))
    assert not torch.allclose(memory.probabilities([10]), without.probabilities([10]))


def test_what_nobody_labelled_casts_no_vote(make_videos, model):
    videos = make_videos(last_label=255)
    memory = TargetMemory(model, FrameMemory(videos), recipe_of(label_votes=1e6), [9], None)
    plain = TargetMemory(model, FrameMemory(videos), recipe_of(), [9], None)
    assert torch.isfinite(memory.probabilities([9])).all()
    stride = model.coarse_stride
    unknown = videos.clip("poster_1").label[1, ::stride, ::stride] == 255
    torch.testing.assert_close(
        memory.probabilities([9])[0][:, unknown], plain.probabilities([9])[0][:, unknown], atol=2e-3, rtol=0
    )


def test_sharpness_confidence_and_balance_do_what_they_say(videos, model, said):
    sharp = targets_of(videos, model, targets="probabilities", sharpness=2.0).probabilities([8])
    torch.testing.assert_close(sharp[0], said[0] ** 2 / (said[0] ** 2).sum(dim=0), atol=3e-3, rtol=0)
    sure = targets_of(videos, model, confidence=3.0)
    torch.testing.assert_close(sure.weight(said), said.amax(dim=1) ** 3)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    balanced = TargetMemory(model, FrameMemory(videos), recipe_of(balanced=True), LABELLED, weights)
    torch.testing.assert_close(balanced.weight(said), (said * weights[:, None, None]).sum(dim=1))


def test_augmented_targets_move_with_their_frames():
    """A target that says of each pixel where it is tells whether it went where its picture went."""
    height, width, stride = 32, 48, 2
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    images = torch.stack([x, y, torch.zeros_like(x)])[None].repeat(6, 1, 1, 1)
    places = images[:, :, ::stride, ::stride]
    recipe = ObjectiveRecipe(jitter=0.0, zoom=1.5)
    shown, moved = augmented(images, places, recipe, torch.Generator().manual_seed(1))
    assert not torch.allclose(shown, images, atol=0.05)
    torch.testing.assert_close(moved, shown[:, :, ::stride, ::stride], atol=1.01 * stride / height, rtol=0)


def test_augmented_frames_are_learned_from(videos, new_model):
    entries: list[dict] = []
    result = train_objective(new_model(), videos, recipe_of(augmented=True), log=entries.append)
    assert len(entries) == 6 and all(entry["teacher"] > 0 for entry in entries)
    assert result.recipe.augmented


def test_another_partner_is_never_of_the_same_video(videos, new_model):
    recipe = recipe_of(CE, ("logits_consistency", 1.0), targets="labels", partner="another", gaps=(1, 2), pairs=8)
    maker = StepMaker(new_model().eval(), None, FrameMemory(videos), recipe, LABELLED)
    for _ in range(30):
        rows = maker._draw()
        strangers = videos.videos_of(rows.partners)
        assert all(a != b for a, b in zip(videos.videos_of(rows.later), strangers, strict=True))
        assert videos.videos_of(rows.earlier) == videos.videos_of(rows.later)


def test_strangers_are_compared_along_the_warp_of_the_pair(videos, new_model):
    model = new_model().eval()
    terms = CE, ("logits_consistency", 1.0)
    settings = {"targets": "labels", "gaps": (2,), "pairs": 3}
    own, other = (
        StepMaker(model, None, FrameMemory(videos), recipe_of(*terms, **settings, partner=partner), LABELLED)
        for partner in ("own", "another")
    )
    true, strange = own.make(), other.make()
    assert true.notes == strange.notes  # the same pixels are compared
    torch.testing.assert_close(true.step.logits[:5], strange.step.logits[:5])  # labelled and earlier frames
    assert not torch.allclose(true.step.logits[5:], strange.step.logits[5:])


@pytest.mark.parametrize("renew", [0, 3])
def test_a_run_with_fused_targets_goes_on_bit_by_bit(videos, new_model, tmp_path, renew):
    recipe = recipe_of(label_votes=4.0, augmented=True, renew=renew, momentum=0.5, learning_rate=3e-2)
    whole = train_objective(new_model(), videos, recipe).model.state_dict()

    def kill(entry):
        if entry["step"] == 5:
            raise KeyboardInterrupt

    file = tmp_path / "state.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_objective(new_model(), videos, recipe, checkpoint=file, checkpoint_every=2, log=kill)
    resumed = train_objective(new_model(), videos, recipe, checkpoint=file)
    assert resumed.first_step == 4
    assert all(torch.equal(value, resumed.model.state_dict()[name]) for name, value in whole.items())


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"terms": (CE,)}, "not listed"),
        ({"terms": (CE, TEACHER, ("logits_consistency", 1.0)), "augmented": True}, "geometry would be wrong"),
        ({"terms": (TEACHER,), "labelled": 0, "label_votes": 1.0}, "labelled is 0"),
        ({"views": (0,)}, "views"),
        ({"partner": "nobody"}, "partner"),
        ({"terms": (CE, ("contrastive", 1.0)), "targets": "labels", "partner": "another"}, "control"),
    ],
)
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(InputError, match=said):
        recipe_of(**{"terms": (CE, TEACHER), **changes})


@pytest.mark.bad_input
def test_one_video_has_no_strangers(make_videos, new_model):
    videos = make_videos(count=1)
    recipe = recipe_of(CE, ("logits_consistency", 1.0), targets="labels", partner="another", gaps=(1,))
    with pytest.raises(InputError, match="only one video"):
        StepMaker(new_model().eval(), None, FrameMemory(videos), recipe, [1]).make()
