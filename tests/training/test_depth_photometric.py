"""Learning depth from the photometric error: that it learns what it should, and that nothing else moves with it."""

import copy
from dataclasses import replace

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.geometry import Camera
from stc_lab.losses import edge_aware_smoothness
from stc_lab.models import DepthFPN, FPNSegmenter, PairMotionNet, both_ways
from stc_lab.training import depth_photometric
from stc_lab.training.depth_photometric import PhotometricTraining, train_photometric
from stc_lab.training.depth_photometric_loss import PairMotions, gordon_loss, monodepth2_loss, there_and_back
from stc_lab.training.depth_photometric_recipe import PRESETS, PhotometricRecipe

KNOWN = PhotometricRecipe(
    pose="true",
    focal="given",
    keep_unit=False,
    net_stride=1,
    loss_strides=(1,),
    gaps=(1,),
    scales=3,
    light=0.0,
    batch=2,
)
DISTANCE, FOCAL, WIDTH = 2.0, 20.0, 24  # of the posters of conftest.py: m, px, px
CAMERA = Camera.from_parameters(20.0, 20.0, 11.5, 7.5, height=16, width=24)
STILL = torch.eye(4).repeat(4, 1, 1)  # of the four pairs of two targets


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    from stc_lab.data.rooms import RoomsConfig, rooms_videos

    config = RoomsConfig(train_scenes=2, val_scenes=1, test_scenes=1, frames=8, height=32, width=48, motion="tracking")
    return rooms_videos("train", config, tmp_path_factory.mktemp("rooms"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("matches")


def frames(generator, b=2):
    return torch.rand(b, 3, 3, 16, 24, generator=generator)


def test_with_true_poses_the_error_falls_and_depth_becomes_that_of_the_world(videos):
    """The poster slides by one whole pixel a frame, so that only its true distance warps it exactly."""
    training = train_photometric(videos, replace(KNOWN, steps=60, learning_rate=3e-3))
    errors = [entry["photometric"] for entry in training.history]
    assert sum(errors[-10:]) < 0.5 * sum(errors[:10])
    clip = videos.clip("poster_0")
    with torch.no_grad():
        depth = training.net(clip.image)
    assert float((depth.median() / DISTANCE).log().abs()) < 0.1
    assert training.focal_ratio == pytest.approx(FOCAL / WIDTH)
    assert not training.net.training


@pytest.mark.parametrize("intrinsics", ["pair", "shared"])
def test_gradients_reach_every_part_of_every_net(intrinsics):
    generator = torch.Generator().manual_seed(0)
    depth = DepthFPN((8, 8, 8, 8), 8, generator=generator)
    motion = PairMotionNet(
        matching="concat", widths=(8, 8, 8, 8, 8), intrinsics=intrinsics, residual=True, generator=generator
    )
    recipe = PhotometricRecipe.published("gordon", residual=True)
    images = torch.rand(2, 3, 3, 32, 48, generator=generator)
    a, b = images[:, :2].flatten(0, 1), images[:, 1:].flatten(0, 1)
    ba, ab = both_ways(motion, b, a)
    motions = PairMotions(ba.T_a_b, ab.T_a_b, ba.camera, ba.residual, ab.residual)
    gordon_loss(images, depth.disparities(images.flatten(0, 1))[0], motions, recipe).total.backward(retain_graph=True)
    monodepth2 = monodepth2_loss(images, depth.disparities(images[:, 1]), there_and_back(ba.T_a_b, ba.camera), KNOWN)
    assert torch.autograd.grad(monodepth2.total, [motion.pose.weight], retain_graph=True)[0].abs().sum() > 0
    monodepth2.total.backward()
    for net in (depth, motion):
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            if not name.endswith("bias"):  # one before a norm layer is lost on it
                assert float(parameter.grad.abs().sum()) > 0, name


def test_the_depth_that_is_sampled_has_no_gradient_as_published():
    """Grey frames say nothing; the earlier frame is closer, so that the only thing asked is its own depth."""
    disparity = torch.full((3, 1, 16, 24), 0.5)
    disparity[0] = 1.0
    disparity.requires_grad_()
    motions = there_and_back(STILL[:2], CAMERA)
    recipe = PhotometricRecipe(loss="gordon")
    loss = gordon_loss(torch.full((1, 3, 3, 16, 24), 0.5), disparity, motions, recipe)
    loss.total.backward()
    assert loss.parts["depth"] == pytest.approx(0.5)  # 1 m one way, nothing the other way; mean of both
    assert float(disparity.grad[0].abs().min()) > 0
    assert float(disparity.grad[1:].abs().max()) == 0


def test_what_stands_still_teaches_monodepth2_nothing_but_smoothness():
    generator = torch.Generator().manual_seed(1)
    images = frames(generator)[:, :1].expand(-1, 3, -1, -1, -1)
    maps = tuple(torch.rand(2, 1, 8 // 2**s, 12 // 2**s, generator=generator) + 0.1 for s in range(3))
    loss = monodepth2_loss(images, maps, there_and_back(STILL, CAMERA), replace(KNOWN, smoothness=0.1))
    small = [torch.nn.functional.interpolate(images[:, 1], size=m.shape[-2:], mode="area") for m in maps]
    rough = [edge_aware_smoothness(m, image) / 2**s for s, (m, image) in enumerate(zip(maps, small, strict=True))]
    torch.testing.assert_close(loss.total, 0.1 * torch.stack(rough).mean())
    assert loss.parts["counted"] == 0


def test_each_source_is_warped_by_its_own_motion():
    """The target steps right by a pixel from the earlier frame and so on: of four motions, two are the right ones."""
    wide = torch.rand(1, 3, 16, 26, generator=torch.Generator().manual_seed(2))
    images = torch.stack([wide[..., i : i + 24] for i in range(3)], dim=1)
    step = torch.eye(4).repeat(2, 1, 1)
    step[:, 0, 3] = -DISTANCE / FOCAL  # X_later = X_earlier - the camera's way
    disparity = (torch.full((1, 1, 16, 24), 1 / DISTANCE),)
    right, wrong = (
        monodepth2_loss(images, disparity, there_and_back(T, CAMERA), replace(KNOWN, auto_mask=False)).parts
        for T in (step, step.inverse())
    )
    assert right["photometric"] < 1e-3 < 0.1 < wrong["photometric"]


def test_motion_and_focal_length_that_are_fitted_do_not_listen_to_the_loss(rooms, cache):
    """What is found of the flow hangs on no gradient; a learned focal length hangs on its own alone."""
    for focal, wanted in (("fitted", False), ("learned", True)):
        recipe = replace(PhotometricRecipe.preset("tiny"), focal=focal, first_focal=0.8)
        found = motions_of(rooms, recipe, cache)
        assert not found.T_b_a.requires_grad and not found.T_a_b.requires_grad
        assert found.camera.K.requires_grad is wanted


def motions_of(videos, recipe, cache) -> PairMotions:
    """The motions that a step's loss sees."""
    seen = []
    original = depth_photometric.monodepth2_loss

    def spy(images, maps, motions, *args, **options):
        seen.append(motions)
        return original(images, maps, motions, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depth_photometric, "monodepth2_loss", spy)
        train_photometric(videos, replace(recipe, steps=1), cache=cache)
    return seen[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "gordon"},
        {"focal": "learned"},
        {"loss_strides": (4, 2), "focal": "given"},
        {"pose": "net", "focal": "learned", "pose_first": 0.5},
        {"pose": "net", "focal": "learned", "loss": "gordon", "intrinsics": "pair", "residual": True},
        {"pose": "net", "focal": "given", "matching": "concat", "loss": "gordon"},
        {"pose": "true", "focal": "learned"},
    ],
)
def test_every_way_runs_and_repeats_itself(rooms, cache, changes):
    recipe = PhotometricRecipe.preset("tiny", **{"steps": 2, **changes})
    once, again = (train_photometric(rooms, recipe, cache=cache) for _ in range(2))
    assert same_weights(once, again)
    assert once.history == again.history
    assert (once.motion is not None) == (recipe.pose == "net")
    other = train_photometric(rooms, replace(recipe, seed=1), cache=cache)
    assert not same_weights(once, other)


def same_weights(one: PhotometricTraining, other: PhotometricTraining) -> bool:
    pairs = [(one.net, other.net)] + ([] if one.motion is None else [(one.motion, other.motion)])
    return all(
        torch.equal(value, theirs.state_dict()[name])
        for own, theirs in pairs
        for name, value in own.state_dict().items()
    )


@pytest.mark.parametrize("pose", ["fit", "net"])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(rooms, cache, tmp_path, pose):
    recipe = PhotometricRecipe.preset("tiny", steps=6, pose=pose, focal="fitted" if pose == "fit" else "learned")
    whole = train_photometric(rooms, recipe, cache=cache)

    def stop(entry):
        if entry["step"] == 4:
            raise KeyboardInterrupt

    kept = {"cache": cache, "checkpoint": tmp_path / "run.safetensors", "checkpoint_every": 2}
    with pytest.raises(KeyboardInterrupt):
        train_photometric(rooms, recipe, log=stop, **kept)
    rest = train_photometric(rooms, recipe, **kept)
    assert rest.first_step == 4
    assert same_weights(whole, rest)
    assert rest.focal_ratio == whole.focal_ratio
    assert list(rest.history) == list(whole.history[4:])


def test_the_motion_net_alone_learns_first(rooms, cache):
    start = DepthFPN(generator=torch.Generator().manual_seed(3))
    before = copy.deepcopy(start.state_dict())
    recipe = PhotometricRecipe.preset("tiny", pose="net", focal="given", pose_first=1.0, steps=40, learning_rate=1e-2)
    training = train_photometric(rooms, recipe, cache=cache, start=start)
    assert all(torch.equal(value, before[name]) for name, value in training.net.state_dict().items())
    losses = [entry["loss"] for entry in training.history]
    assert {entry["stage"] for entry in training.history} == {"motion"}
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])


def test_a_start_is_copied_not_changed(rooms, cache, tmp_path):
    from stc_lab.models import save_model

    start = DepthFPN((8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(4))
    before = copy.deepcopy(start.state_dict())
    save_model(tmp_path / "depth.safetensors", start)
    once = train_photometric(rooms, PhotometricRecipe.preset("tiny", steps=1), cache=cache, start=start)
    again = train_photometric(
        rooms, PhotometricRecipe.preset("tiny", steps=1), cache=cache, start=tmp_path / "depth.safetensors"
    )
    assert once.net.architecture == start.architecture
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())
    assert same_weights(once, again)


def test_keep_unit_makes_the_loss_blind_to_the_unit_of_depth(rooms, cache):
    """Twice the disparity everywhere, by the range's own ends, gives the same loss."""
    losses = []
    for unit in (1.0, 2.0):
        start = DepthFPN(
            (8, 8, 8, 8),
            8,
            min_depth=0.1 * unit,
            max_depth=100 * unit,
            initial_depth=2.5,
            generator=torch.Generator().manual_seed(5),
        )
        with torch.no_grad():
            for head in start.heads:
                head.bias.fill_(float(torch.logit(torch.tensor(0.04))))
        training = train_photometric(rooms, PhotometricRecipe.preset("tiny", steps=1), cache=cache, start=start)
        losses.append(training.history[0]["photometric"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_stages_share_the_steps():
    recipe = PhotometricRecipe(steps=9, loss_strides=(8, 4, 2))
    assert [recipe.loss_stride(step) for step in range(9)] == [8] * 3 + [4] * 3 + [2] * 3


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_recipes_survive_json(preset):
    import json

    recipe = PhotometricRecipe.preset(preset)
    assert PhotometricRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    for loss in ("monodepth2", "gordon"):
        assert PhotometricRecipe.published(loss).pose == "net"


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "l2"}, "loss must be one of monodepth2, gordon"),
        ({"steps": 0}, "steps must be whole numbers from 1"),
        ({"steps": 2.0}, "steps must be whole numbers"),
        ({"flip": 1}, "flip must be true or false"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"gaps": ()}, "gaps"),
        ({"gaps": (5,)}, "that have a flow"),
        ({"gaps": 1}, "gaps"),
        ({"loss_strides": (3,)}, "multiples of net_stride"),
        ({"pose": "net"}, "focal='fitted' moves on with pose='fit'"),
        ({"pose_first": 0.5}, "are the motion net's"),
        ({"residual": True}, "are the motion net's"),
        ({"pose": "net", "focal": "given", "residual": True}, "part of loss='gordon'"),
    ],
)
def test_bad_recipes_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        PhotometricRecipe(**changes)


@pytest.mark.bad_input
def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="preset must be one of full, quick, tiny"):
        PhotometricRecipe.preset("huge")
    with pytest.raises(InputError, match="has no speed; it has loss"):
        PhotometricRecipe.from_dict({"speed": 1})


@pytest.mark.bad_input
def test_videos_that_do_not_fit_are_refused(make_videos):
    videos = make_videos(count=1)
    with pytest.raises(InputError, match="need more than 8"):
        train_photometric(videos, replace(KNOWN, gaps=(4,)))
    with pytest.raises(InputError, match="start must be a depth net"):
        train_photometric(videos, KNOWN, start=FPNSegmenter(4))
    videos = copy.copy(videos)
    videos.has = frozenset()
    videos.read = without_poses(videos.read)
    with pytest.raises(InputError, match="T_world_camera"):
        train_photometric(videos, KNOWN)


def without_poses(read):
    return lambda rows: replace(read(rows), T_world_camera=None)
