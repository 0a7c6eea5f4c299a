"""Training with any objective: every term is learned, from what it may know, and rows differ in nothing else."""

import copy
import dataclasses

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.losses import TERMS
from stc_lab.models import FPNSegmenter, ProjectionHead
from stc_lab.plots import training_curves
from stc_lab.plots.curves import PARTS
from stc_lab.training import (
    FrameMemory,
    ObjectiveRecipe,
    SegmentationRecipe,
    print_progress,
    train,
    train_objective,
)

CE = ("cross_entropy", 1.0)
SMALL = {
    "labelled": 6,
    "batch": 2,
    "pairs": 2,
    "gaps": (1, 2),
    "clip_length": 3,
    "frames": 4,
    "projection": 8,
    "threshold": 0.0,
    "weight_warm_up": 0.0,
}
EVERYTHING = tuple((name, 0.1) for name in TERMS)


def recipe_of(*terms, **changes):
    return ObjectiveRecipe(**{**SMALL, "terms": terms, "learning_rate": 1e-3, **changes})


def run(model, videos, recipe, **options):
    entries: list[dict] = []
    result = train_objective(model, videos, recipe, log=entries.append, **options)
    return result, entries


def weights_of(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


@pytest.fixture(scope="module")
def started(videos) -> FPNSegmenter:
    """A net that has learned a little."""
    model = FPNSegmenter(4, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))
    recipe = SegmentationRecipe(steps=40, labelled=3, batch=3, learning_rate=1e-2, flip=False, zoom=1)
    return train(model, videos, recipe).model


def changed_videos(videos, change):
    """The same videos, each frame read through `change(row, frame)`."""
    other = copy.copy(videos)

    def read(rows):
        assert len(rows) == 1  # as the memory reads them
        return change(rows[0], videos.read(rows))

    other.read = read
    return other


@pytest.mark.parametrize("name", list(TERMS))
def test_each_term_lowers_its_own_loss(videos, started, name):
    rate = 3e-2 if name in ("cross_entropy", "contrastive", "sampled_contrastive") else 3e-3
    recipe = recipe_of((name, 1.0), steps=24, learning_rate=rate, jitter=0.0)
    if name == "semantic_smoothness":  # to which a flat poster says nothing
        bumps = 2 + 0.5 * torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(0))
        videos = changed_videos(videos, lambda row, frame: dataclasses.replace(frame, depth=bumps))
    new = FPNSegmenter(4, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))
    model = new if name == "cross_entropy" else copy.deepcopy(started)
    _, entries = run(model, videos, recipe)
    first, last = (sum(entry[name] for entry in part) / len(part) for part in (entries[:4], entries[-4:]))
    assert last < 0.9 * first


def test_eq_1_is_the_consistency_training_on_the_same_batches(videos, started):
    """Two loops, one method: the same draws, the same losses, the same net."""
    shared = {"labelled": 6, "batch": 2, "pairs": 2, "gaps": (1, 2), "steps": 8, "learning_rate": 1e-3}
    theirs: list[dict] = []
    model = copy.deepcopy(started)
    train(model, videos, SegmentationRecipe(**shared, freeze_batch_norm=True), log=theirs.append)
    result, ours = run(copy.deepcopy(started), videos, ObjectiveRecipe((CE, ("logits_consistency", 0.3)), **shared))
    for a, b in zip(theirs, ours, strict=True):
        assert b["cross_entropy"] == pytest.approx(a["ce"], rel=1e-4)
        assert b["logits_consistency"] == pytest.approx(a["consistency"], rel=1e-4)
        assert b["visible"] == pytest.approx(a["visible"]) and b["skipped"] == a["skipped"]
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4) and b["learning_rate"] == a["learning_rate"]
    torch.testing.assert_close(weights_of(result.model), weights_of(model), rtol=1e-3, atol=1e-5)


def test_everything_at_once_is_a_run_and_the_same_by_seed_alone(videos, started):
    recipe = recipe_of(*EVERYTHING, steps=3)
    torch.manual_seed(1)
    one, log = run(copy.deepcopy(started), videos, recipe)
    torch.manual_seed(2)
    two, again = run(copy.deepcopy(started), videos, recipe, memory=FrameMemory(videos, limit=0))
    other, _ = run(copy.deepcopy(started), videos, dataclasses.replace(recipe, seed=1))
    assert torch.equal(weights_of(one.model), weights_of(two.model)) and log == again
    assert torch.equal(weights_of(one.head), weights_of(two.head))
    assert not torch.equal(weights_of(one.model), weights_of(other.model))
    assert not one.model.training and not one.head.training and len(one.labelled_rows) == 6 and one.seconds > 0
    for entry in log:
        assert entry["loss"] == pytest.approx(sum(0.1 * entry[name] for name in TERMS), rel=1e-4)
        assert entry["loss"] == pytest.approx(sum(entry[f"{name}.weighted"] for name in TERMS), rel=1e-4)


def test_labels_of_other_frames_are_never_used(videos, started):
    recipe = recipe_of(*EVERYTHING, steps=3)
    true, _ = run(copy.deepcopy(started), videos, recipe)

    def corrupted(row, frame):
        wrong = frame.label if row in true.labelled_rows else (frame.label + 1 + row % 3) % 4
        return dataclasses.replace(frame, label=wrong)

    blind, _ = run(copy.deepcopy(started), changed_videos(videos, corrupted), recipe)
    assert blind.labelled_rows == true.labelled_rows
    assert torch.equal(weights_of(true.model), weights_of(blind.model))

    def all_wrong(row, frame):
        return dataclasses.replace(frame, label=(frame.label + 1) % 4)

    seen, _ = run(copy.deepcopy(started), changed_videos(videos, all_wrong), recipe)
    assert not torch.equal(weights_of(true.model), weights_of(seen.model))  # those that may be used are


def test_only_what_the_terms_need_is_asked_of_the_data(videos, started):
    """Without depth, cameras and poses the terms that live on images and labels still run."""
    bare = changed_videos(
        videos, lambda row, frame: dataclasses.replace(frame, depth=None, camera=None, T_world_camera=None)
    )
    terms = (CE, ("sampled_contrastive", 0.1), ("teacher", 0.1), ("transform_invariance", 0.01))
    run(copy.deepcopy(started), bare, recipe_of(*terms, steps=2))
    estimated = recipe_of(("pair_stability", 1.0), steps=2, flow="dis", clip_length=2, labelled=0)
    unlabelled = changed_videos(bare, lambda row, frame: dataclasses.replace(frame, label=None))
    run(copy.deepcopy(started), unlabelled, estimated)
    for name, missing in (
        ("edge_loss_h", "depth"),
        ("logits_consistency", "depth, camera"),
        ("pair_stability", "RigidFlow needs"),
    ):
        with pytest.raises(InputError, match=missing):
            run(copy.deepcopy(started), bare, recipe_of((name, 1.0), steps=1))


def test_all_rows_see_the_same_labelled_batches(videos, started):
    found = []
    for terms in ((CE,), (CE, ("logits_consistency", 1.0)), (CE, ("contrastive", 1.0)), (CE, ("pair_stability", 1.0))):
        _, entries = run(copy.deepcopy(started), videos, recipe_of(*terms, steps=3, learning_rate=1e-9))
        found.append([entry["cross_entropy"] for entry in entries])
    assert all(row == pytest.approx(found[0], rel=1e-4) for row in found)


def test_the_net_runs_once_a_step_and_once_more_on_moved_images(videos, started):
    model, frames = copy.deepcopy(started), []
    model.classify.register_forward_hook(
        lambda module, inputs, _: frames.append(len(inputs[0])) if module is model.classify else None
    )
    others = [(name, 0.1) for name in TERMS if name != "transform_invariance"]
    run(model, videos, recipe_of(*others, steps=2))
    assert frames == [2 + 4 + 3] * 2  # labelled, pairs, a clip
    frames.clear()
    run(model, videos, recipe_of(*EVERYTHING, steps=2))
    assert frames == [9, 7] * 2
    frames.clear()
    run(model, videos, recipe_of(CE, steps=2))
    assert frames == [2] * 2


def test_weights_rise_from_nothing_but_that_of_the_cross_entropy(videos, started):
    recipe = recipe_of(CE, ("logits_consistency", 0.5), steps=10, weight_warm_up=0.4)
    _, entries = run(copy.deepcopy(started), videos, recipe)
    shares = [entry["logits_consistency.weighted"] / entry["logits_consistency"] for entry in entries]
    assert shares == pytest.approx([0, 0.125, 0.25, 0.375] + [0.5] * 6)
    assert all(entry["cross_entropy.weighted"] == entry["cross_entropy"] for entry in entries)


def test_a_weight_of_zero_teaches_nothing(videos, started):
    alone, _ = run(copy.deepcopy(started), videos, recipe_of(CE, steps=3))
    watched, entries = run(
        copy.deepcopy(started), videos, recipe_of(CE, ("edge_loss_p", 0.0), ("contrastive", 0.0), steps=3)
    )
    torch.testing.assert_close(weights_of(alone.model), weights_of(watched.model), rtol=1e-3, atol=1e-5)
    assert all(entry["edge_loss_p"] > 0 and entry["contrastive"] > 0 for entry in entries)
    model = copy.deepcopy(started)
    run(model, videos, recipe_of(("edge_loss_p", 0.0), steps=2))
    assert torch.equal(weights_of(model), weights_of(started))


def test_a_head_is_learned_beside_the_net_and_can_be_taken_further(videos, started):
    recipe = recipe_of(CE, ("contrastive", 1.0), steps=4, head_learning_rate=1e-2)
    first, _ = run(copy.deepcopy(started), videos, recipe)
    new = ProjectionHead(8, 8, generator=torch.Generator().manual_seed(0))
    assert first.head.dim == 8 and not torch.equal(weights_of(first.head), weights_of(new))
    before = weights_of(first.head).clone()
    second, _ = run(copy.deepcopy(started), videos, recipe, head=first.head)
    assert second.head is first.head and not torch.equal(weights_of(second.head), before)
    assert run(copy.deepcopy(started), videos, recipe_of(CE, steps=1))[0].head is None


def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(videos, started, tmp_path):
    recipe = recipe_of(*EVERYTHING, steps=6, weight_warm_up=0.5)
    whole, log = run(copy.deepcopy(started), videos, recipe)

    class Killed(BaseException):
        pass

    def kill(entry: dict) -> None:
        if entry["step"] == 5:
            raise Killed

    file = tmp_path / "run.safetensors"
    with pytest.raises(Killed):
        train_objective(copy.deepcopy(started), videos, recipe, checkpoint=file, checkpoint_every=3, log=kill)
    resumed, rest = run(copy.deepcopy(started), videos, recipe, checkpoint=file)
    assert resumed.first_step == 3 and rest == log[3:]
    assert torch.equal(weights_of(whole.model), weights_of(resumed.model))
    assert torch.equal(weights_of(whole.head), weights_of(resumed.head))


def test_a_loss_that_is_no_number_stops_the_run_and_names_its_parts(videos, started):
    model = copy.deepcopy(started)
    torch.nn.init.constant_(model.classify.bias, torch.inf)
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 0 \(cross_entropy nan\)"):
        run(model, videos, recipe_of(CE))


class Plain(torch.nn.Module):
    """A net whose features cannot be had."""

    num_classes, coarse_stride = 4, 4
    architecture: dict[str, object] = {"name": "Plain"}  # noqa: RUF012  # what the protocol asks for

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 4, kernel_size=1)

    def coarse(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images[..., ::4, ::4])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.coarse(images).repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_a_net_of_another_make_and_stride_learns_all_that_needs_no_features(videos):
    terms = [(name, 0.1) for name in TERMS if "contrastive" not in name]
    result, entries = run(Plain(), videos, recipe_of(*terms, steps=20, learning_rate=0.1))
    assert entries[-1]["loss"] < entries[0]["loss"] and result.head is None


@pytest.mark.bad_input
def test_what_does_not_fit_is_named(videos, started, make_videos):
    with pytest.raises(InputError, match="memory holds frames of other videos"):
        run(copy.deepcopy(started), videos, recipe_of(CE), memory=FrameMemory(make_videos()))
    with pytest.raises(InputError, match="a head was given, but no term contrasts features"):
        run(copy.deepcopy(started), videos, recipe_of(CE), head=ProjectionHead(8, 8))
    with pytest.raises(InputError, match="a contrast needs a net with features and classify, Plain has none"):
        run(Plain(), videos, recipe_of(CE, ("contrastive", 1.0)))
    with pytest.raises(InputError, match="no two of the 3 labelled frames are of one video"):
        run(copy.deepcopy(started), videos, recipe_of(("contrastive", 1.0), labelled=3, pairs_of="labelled"))
    with pytest.raises(InputError, match="the longest has 8"):
        run(copy.deepcopy(started), videos, recipe_of(("pair_stability", 1.0), clip_length=9))
    with pytest.raises(InputError, match="count must lie between 1 and the 24"):
        run(copy.deepcopy(started), videos, recipe_of(CE, labelled=25))


def test_its_log_prints_and_draws_its_terms(videos, started):
    lines: list[str] = []
    recipe = recipe_of(CE, ("edge_loss_h", 0.1), steps=2)
    _, entries = run(copy.deepcopy(started), videos, recipe)
    log = print_progress(2, write=lines.append)
    for entry in entries:
        log(entry)
    mean = sum(entry["edge_loss_h"] for entry in entries) / 2
    assert len(lines) == 1 and f"edge loss h {mean:.3f}" in lines[0] and "cross entropy" in lines[0]
    names = {trace.name for trace in training_curves(entries).data}
    assert names == {"total", "cross-entropy", "depth edges (L_h)"}
    assert set(TERMS) <= set(PARTS)
