"""Evaluation agrees with what its parts say when computed directly."""

import json
import math

import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.filters import fuse_views
from stc_lab.models import upsample_strided
from stc_lab.training import SegmentationRecipe, evaluate, fused_predictions, fusion_ceiling, predict, train
from stc_lab.training.evaluate import fused_clips


@pytest.fixture(scope="module")
def trained(videos):
    from stc_lab.models import FPNSegmenter

    model = FPNSegmenter(4, (8, 8, 8, 8), 8, generator=torch.Generator().manual_seed(0))
    return train(model, videos, SegmentationRecipe(steps=25, labelled=3, batch=3, learning_rate=5e-3)).model


def test_scores_are_those_of_all_pixels_counted_one_by_one(trained, make_videos):
    videos = make_videos(last_label=255)
    result = evaluate(trained, videos)
    clip = videos.frames(range(len(videos)))
    with torch.no_grad():
        predicted = trained(clip.image).argmax(1)
    used = clip.label != 255
    assert result.scores.support == int(used.sum()) == 24 * (16 * 24 - 1) and result.frames == 24
    assert result.scores.accuracy == pytest.approx(float((predicted == clip.label)[used].float().mean()))
    ious = []
    for k in range(4):
        hit = ((predicted == k) & (clip.label == k) & used).sum()
        union = (((predicted == k) | (clip.label == k)) & used).sum()
        ious.append(float(hit / union))
        assert float(result.scores.frequency[k]) == pytest.approx(float((clip.label[used] == k).float().mean()))
    assert result.scores.iou.tolist() == pytest.approx(ious)
    assert result.scores.miou == pytest.approx(sum(ious) / 4)


def test_agreement_is_that_of_poster_columns_seen_twice(trained, videos):
    """Frame i + 2 shows at column x what frame i shows at column x + 2."""
    result = evaluate(trained, videos, gap=2)
    same, seen = 0, 0
    for name in videos.names:
        predicted = predict(trained, videos.clip(name).image)
        same += int((predicted[2:, :, :-2] == predicted[:-2, :, 2:]).sum())
        seen += predicted[2:, :, :-2].numel()
    assert result.temporal_agreement.support == seen
    assert result.temporal_agreement.value == pytest.approx(same / seen)


def test_video_consistency_is_the_mean_over_all_windows(trained, videos):
    result = evaluate(trained, videos, window=4)
    shares = []
    for name in videos.names:
        clip = videos.clip(name)
        predicted = predict(trained, clip.image)
        for i in range(8 - 4 + 1):
            steady = (clip.label[i : i + 4] == clip.label[i]).all(0)
            right = (predicted[i : i + 4] == clip.label[i]).all(0)
            shares.append(float((steady & right).sum() / steady.sum()))
    assert result.video_consistency.value == pytest.approx(sum(shares) / len(shares))


def test_what_videos_are_too_short_for_is_none(trained, videos):
    result = evaluate(trained, videos, gap=8, window=9)
    assert result.temporal_agreement is None and result.video_consistency is None
    assert result.to_dict()["temporal_agreement"] is None


def test_fusion_agrees_with_fusing_by_hand(trained, videos):
    clip = videos.clip(videos.names[1])
    views = fused_predictions(trained, clip, offsets=(-2, 1))
    half = clip.strided(2)
    with torch.no_grad():
        alone = trained.coarse(clip.image).softmax(1)
    fused = fuse_views(alone, half.depth, half.camera, half.T_world_camera, offsets=(-2, 1))
    assert torch.equal(views.single, upsample_strided(alone, 16, 24).argmax(1))
    assert torch.equal(views.fused, upsample_strided(fused, 16, 24).argmax(1))
    assert not torch.equal(views.identity, views.fused)


def test_fusing_helps_here_and_the_identity_hurts(trained, make_videos):
    videos = make_videos(shift=2, seed=5)
    ceiling = fusion_ceiling(trained, videos, offsets=(-2, -1, 1, 2))
    assert ceiling.fused.accuracy > ceiling.identity.accuracy
    assert ceiling.single.support == ceiling.fused.support == ceiling.identity.support


def test_the_summary_is_json_with_classes_by_name(trained, videos):
    result = evaluate(trained, videos, fusion=True)
    summary = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert set(summary["iou"]) == {"red", "green", "blue", "grey"}
    assert summary["miou"] == pytest.approx(result.scores.miou)
    assert set(summary["fusion"]) == {"offsets", "single", "fused", "identity"}
    assert math.isclose(sum(summary["frequency"].values()), 1, abs_tol=1e-4)


def test_evaluation_leaves_the_mode_of_each_layer_alone(trained, videos):
    trained.train()
    trained.levels[0].eval()
    modes = [module.training for module in trained.modules()]
    statistics = trained.smooth[1].running_mean.clone()
    predict(trained, videos.clip(videos.names[0]).image, batch=3)
    assert [module.training for module in trained.modules()] == modes
    assert torch.equal(trained.smooth[1].running_mean, statistics)
    trained.eval()


@pytest.mark.bad_input
def test_a_gap_below_one_is_refused(videos, new_model):
    with pytest.raises(InputError, match="gap must be at least 1 frame, got 0"):
        evaluate(new_model(), videos, gap=0)


def test_a_long_video_is_fused_in_pieces_as_at_once(trained, make_videos):
    videos = make_videos(shift=2, seed=5)
    whole = {clip.video[0]: views for clip, views in fused_clips(trained, videos, offsets=(-3, 1, 2))}
    pieces = list(fused_clips(trained, videos, offsets=(-3, 1, 2), frames_at_once=3))
    assert [len(clip) for clip, _ in pieces] == [3, 3, 2] * 3
    for clip, views in pieces:
        for row in ("single", "fused", "identity"):
            same = getattr(views, row) == getattr(whole[clip.video[0]], row)[clip.index]
            assert float(same.float().mean()) > 0.999  # convolutions of other batches round otherwise


@pytest.mark.bad_input
@pytest.mark.parametrize("field", ["depth", "pose", "intrinsics", "label"])
def test_data_without_geometry_cannot_be_fused(videos, new_model, field):
    from stc_lab.data import SourceInfo, array_videos

    has = videos.info.has - {field}
    classes = () if field == "label" else videos.info.classes
    bare = array_videos(
        SourceInfo("bare", 10.0, has, "none", "none", classes),
        videos.table.select_columns(["video", "index", "time", "image", *has]),
    )
    with pytest.raises(InputError, match=f"'bare' has no {field}"):
        fusion_ceiling(new_model(), bare)


@pytest.mark.bad_input
def test_a_net_of_other_classes_cannot_be_judged_by_fusion(videos):
    from stc_lab.models import FPNSegmenter

    with pytest.raises(InputError, match="tells 7 classes apart, 'posters' has 4"):
        fusion_ceiling(FPNSegmenter(7, (8, 8, 8, 8), 8), videos)
