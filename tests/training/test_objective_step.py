"""What a step knows: each tensor belongs to the frame that it stands beside."""

import copy
import dataclasses

import pytest
import torch

from stc_lab.geometry import RigidFlow
from stc_lab.losses import TERMS, pair_flows, pair_stability_loss, pseudo_labels, transform_invariance
from stc_lab.models import ProjectionHead
from stc_lab.training import FrameMemory, ObjectiveRecipe, PairSampler
from stc_lab.training.clips import ClipSampler
from stc_lab.training.objective_step import PseudoLabelMemory, StepMaker
from stc_lab.training.pairs import warp_logits
from stc_lab.training.schedule import stream

LABELLED = [1, 6, 9, 14, 17, 22]
TERMS_OF_ALL = tuple((name, 1.0) for name in TERMS)


def maker_of(videos, model, **changes):
    settings = {
        "terms": TERMS_OF_ALL,
        "labelled": 6,
        "batch": 2,
        "pairs": 3,
        "gaps": (2,),
        "anchored": 0.5,
        "clips": 2,
        "clip_length": 3,
        "threshold": 0.3,
        "projection": 8,
    }
    recipe = ObjectiveRecipe(**{**settings, **changes})
    head = ProjectionHead(8, 8, generator=torch.Generator().manual_seed(0)) if "features" in recipe.needs else None
    return StepMaker(model.eval(), head, FrameMemory(videos), recipe, LABELLED)


@pytest.fixture
def rows(videos):
    """The rows that a maker of seed 0 draws first: pairs and clips."""
    pairs = PairSampler(videos, LABELLED, gaps=(2,), anchored=0.5).draw(3, stream(0, "pairs"))
    return pairs, ClipSampler(videos, 3).draw(2, stream(0, "clips"))


@pytest.fixture
def made(videos, new_model):
    """A net, and what a step with all terms knows."""
    model = new_model()
    return model, maker_of(videos, model).make()


def test_logits_are_those_of_the_labelled_frames_the_pairs_and_the_clips(videos, made, rows):
    (earlier, later), clips = rows
    step = made[1].step
    frames = videos.frames([*earlier, *later, *clips[0], *clips[1]])
    assert len(step.logits) == 2 + 6 + 6
    torch.testing.assert_close(step.logits[2:], made[0].coarse(frames.image))
    assert bool((step.labels[2:] == 255).all()) and bool((step.labels[:2] != 255).all())
    assert step.labels.shape == step.logits[:, 0].shape
    torch.testing.assert_close(step.depth[2:], frames.depth[..., ::2, ::2])
    assert float(step.depth[:2].abs().max()) == 0  # of augmented frames nothing is known


def test_pairs_are_warped_both_ways(videos, made, rows):
    (earlier, later), _ = rows
    first, second = (videos.frames(of).strided(2) for of in (earlier, later))
    logits = made[1].step.logits[2:8].split(3)
    there, back = made[1].step.pairs
    for way, source, target, own in ((there, first, second, 0), (back, second, first, 1)):
        expected = warp_logits(logits[own], source, target, warp="geometry")
        torch.testing.assert_close(way.warped.image, expected.image)
        torch.testing.assert_close(way.logits_target, logits[1 - own])
        torch.testing.assert_close(way.weight, logits[1 - own].softmax(dim=1))
    visible = torch.stack([there.warped.visible, back.warped.visible]).float().mean()
    assert made[1].notes == {"visible": pytest.approx(float(visible)), "skipped": 0}


def test_flows_join_the_frames_of_a_clip(videos, made, rows):
    step = made[1].step
    assert step.flows.pairs == ((8, 9), (8, 10), (9, 10), (11, 12), (11, 13), (12, 13))
    found = pair_stability_loss(step.logits.softmax(dim=1), step.flows).fractions
    expected = []
    for clip in rows[1]:
        frames = videos.frames(clip)
        exact = pair_flows(frames.strided(2), RigidFlow(), check=None)
        expected.append(pair_stability_loss(made[0].coarse(frames.image).softmax(dim=1), exact).fractions)
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-6)


def test_the_teacher_is_the_net_as_it_was(videos, made, rows):
    model, step = made[0], made[1].step
    (earlier, later), clips = rows
    images = videos.frames([*earlier, *later, *clips[0], *clips[1]]).image
    sure = pseudo_labels(model.coarse(images), 0.3).label
    assert torch.equal(step.teacher[2:], sure) and bool((step.teacher[:2] == 255).all())
    assert 0 < float((sure == 255).float().mean()) < 1
    maker = maker_of(videos, model)
    torch.nn.init.normal_(model.classify.weight)  # it learns something else
    again = maker.make().step
    assert torch.equal(again.teacher, step.teacher) and not torch.equal(again.logits, step.logits)


def test_a_frame_is_labelled_once_and_not_with_its_company(videos, new_model):
    model = new_model().eval()
    memory = PseudoLabelMemory(model, 0.3)
    images = videos.frames(range(6)).image
    together = memory.labels(range(6), images)
    alone = torch.cat([PseudoLabelMemory(model, 0.3).labels([i], images[i : i + 1]) for i in range(6)])
    assert torch.equal(together, alone)
    torch.nn.init.constant_(memory._model.classify.bias, 0)
    assert torch.equal(memory.labels([5, 0, 5], images[[5, 0, 5]]), together[[5, 0, 5]])  # as it was kept


def test_features_have_true_labels_where_they_may_be_known(videos, new_model, rows):
    (earlier, later), _ = rows
    drawn = [*earlier, *later]
    anchors = [row in LABELLED for row in drawn]
    assert 0 < sum(anchors) < len(anchors)
    model = new_model()
    truth = videos.frames(drawn).label[:, ::2, ::2]
    guessed = pseudo_labels(model.eval().coarse(videos.frames(drawn).image), 0.3).label
    for own, others in ((True, guessed), (False, torch.full_like(truth, 255))):
        step = maker_of(videos, model, pseudo_labels=own).make().step
        expected = torch.where(torch.tensor(anchors)[:, None, None], truth, others)
        assert torch.equal(torch.cat(step.feature_labels), expected)
    head = ProjectionHead(8, 8, generator=torch.Generator().manual_seed(0))
    features = head(model.features(videos.frames(drawn).image))
    torch.testing.assert_close(torch.cat(step.features), features, rtol=1e-4, atol=1e-5)


def test_pairs_of_labelled_frames_need_no_teacher(videos, new_model):
    terms = (("contrastive", 1.0),)
    maker = maker_of(videos, new_model(), terms=terms, pairs_of="labelled", pseudo_labels=False)
    assert maker.teacher is None
    step = maker.make().step
    assert bool((torch.cat(step.feature_labels) != 255).all()) and step.labels is None and step.pairs is None


def test_what_the_net_said_of_its_own_images_is_not_asked_again(videos, made):
    step = made[1].step
    direct = transform_invariance(made[0], step.images, generator=torch.Generator().manual_seed(0))
    spared = transform_invariance(step.model, step.images, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spared.total, direct.total, rtol=1e-4, atol=1e-5)


def test_nothing_is_drawn_or_computed_that_no_term_needs(videos, new_model):
    model = new_model()
    for terms, count, known in (
        ((("cross_entropy", 1.0),), 2, {"labels", "class_weights"}),
        ((("pseudo_label_cross_entropy", 1.0),), 6, {"pairs"}),
        ((("edge_loss_h", 1.0),), 8, {"depth"}),
        ((("pair_stability", 1.0),), 6, {"flows"}),
        ((("pair_stability", 1.0), ("edge_loss_h", 1.0)), 6, {"flows", "depth"}),
    ):
        step = maker_of(videos, copy.deepcopy(model), terms=terms).make().step
        assert len(step.logits) == count
        fields = {name for name, value in vars(step).items() if value is not None}
        assert fields == known | {"logits", "generator"}
    assert step.flows is not None
    single = maker_of(videos, model, terms=(("pseudo_label_cross_entropy", 1.0),)).make().step
    assert single.pairs[0].edges_target is None and single.pairs[0].weight is None


def test_a_wider_tolerance_takes_pixels_whose_depths_differ(videos, new_model):
    """As learned depths of one surface do."""
    other = copy.copy(videos)

    def uneven(rows):
        clip = videos.read(rows)
        return dataclasses.replace(clip, depth=clip.depth * (1 + 0.1 * (clip.index % 2))[:, None, None, None])

    other.read = uneven
    terms = (("logits_consistency", 1.0),)
    strict, wide = (
        maker_of(other, new_model(), terms=terms, gaps=(1,), tolerance=tolerance).make().notes["visible"]
        for tolerance in (0.02, 0.2)
    )
    assert strict == 0 and wide > 0.5
