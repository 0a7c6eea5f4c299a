from functools import partial

import pytest
import torch

from stc_lab.geometry import Flow
from stc_lab.losses.stability import PairFlows, all_pairs
from stc_lab.metrics import (
    ConfusionMatrix,
    Stream,
    davis_scores,
    e_cons,
    e_smooth,
    pool_scores,
    temporal_consistency,
    video_consistency,
)
from stc_lab.metrics.streaming import Accumulator, Score


def video(seed, t=9, h=8, w=10, k=4):
    """Truth in blocks that move, and a prediction that is mostly it."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, k, (h // 2, w // 2), generator=generator).repeat_interleave(2, 0).repeat_interleave(2, 1)
    truth = torch.stack([blocks.roll(i // 4, 1) for i in range(t)])
    noise = torch.randint(0, k, truth.shape, generator=generator)
    return torch.where(torch.rand(truth.shape, generator=generator) < 0.1, noise, truth), truth


def still(frames, h, w):
    return Flow(torch.zeros(frames - 1, 2, h, w), torch.ones(frames - 1, h, w, dtype=torch.bool))


def still_pairs(frames, h, w, reach=3):
    pairs = all_pairs(frames, farthest=reach)
    flow, seen = torch.zeros(len(pairs), 2, h, w), torch.ones(len(pairs), h, w, dtype=torch.bool)
    return PairFlows(pairs, flow, flow, seen, seen)


def tc(prediction, truth, **options):
    return temporal_consistency(prediction, still(*prediction.shape), 4, **options)


def cons(prediction, truth):
    return e_cons(prediction, still_pairs(*prediction.shape))


MEASURES = {
    "vc": partial(video_consistency, n=3),
    "vc_official": partial(video_consistency, n=3, official=True),
    "tc": tc,
    "tc_vspw": partial(tc, official=True),
    "tc_etc": partial(tc, official=True, script="etc"),
    "e_smooth": lambda prediction, truth: e_smooth(prediction),
    "e_cons": cons,
    "davis": davis_scores,
}


@pytest.mark.parametrize("name", MEASURES)
def test_streams_merge_to_one_pass(name):
    videos = [video(seed, t=6 + seed) for seed in range(5)]
    whole, parts = Stream(MEASURES[name]), [Stream(MEASURES[name]) for _ in range(3)]
    for i, each in enumerate(videos):
        score = whole.add(*each)
        assert isinstance(score, Score)
        parts[i % 3].add(*each)
    merged = parts[0] + parts[1] + parts[2]
    assert isinstance(merged, Accumulator)
    assert merged.value == pytest.approx(whole.value, rel=1e-12)
    assert (merged.support, merged.videos, merged.skipped) == (whole.support, 5, 0)
    alone = Stream(MEASURES[name])
    one = alone.add(*videos[0])
    assert alone.value == pytest.approx(one.value, rel=1e-12)
    assert alone.support == one.support
    assert (Stream(MEASURES[name]) + alone).value == alone.value


def test_what_is_kept_does_not_grow():
    def held(tally):
        return sum(value.numel() if isinstance(value, torch.Tensor) else 1 for value in vars(tally).values())

    for name, measure in MEASURES.items():
        stream, sizes = Stream(measure), []
        for seed in range(4):
            stream.add(*video(seed))
            sizes.append(held(stream.tally))
        assert len(set(sizes)) == 1, name


def test_windows_of_all_videos_are_pooled_as_by_the_published_script():
    videos = [video(0, t=5), video(1, t=12)]
    stream = Stream(partial(video_consistency, n=4, official=True))
    scores = [stream.add(*each) for each in videos]
    assert stream.value == pytest.approx(pool_scores(scores).value, rel=1e-12)
    assert stream.value != pytest.approx(sum(score.value for score in scores) / 2, abs=1e-4)


def test_a_window_without_support_is_dropped_from_the_total_alone():
    truth = torch.tensor([0, 1, 1, 1, 1]).reshape(5, 1, 1).expand(5, 2, 2).contiguous()
    stream = Stream(partial(video_consistency, n=2, official=True))
    score = stream.add(truth, truth)
    assert torch.isnan(score.windows[0])
    assert stream.value == 1.0 == score.value
    assert stream.tally.weight == 2


def test_videos_with_nothing_to_measure_are_skipped():
    stream = Stream(partial(video_consistency, n=8, official=True))
    assert stream.add(*video(0, t=8)) is None  # 8 frames have no VC8 in the published script
    stream.add(*video(0, t=9))
    assert (stream.videos, stream.skipped) == (1, 1)


def test_a_confusion_matrix_is_filled_like_a_stream():
    matrix, twice = ConfusionMatrix(4), ConfusionMatrix(4)
    matrix.add(*video(0))
    twice.update(*video(0))
    assert isinstance(matrix, Accumulator)
    assert matrix.value == matrix.results().miou == twice.value
    assert matrix.support == 9 * 8 * 10


def test_a_mean_over_images_is_a_stream_of_matrices():
    from torchmetrics.segmentation import MeanIoU

    from stc_lab.metrics.segmentation import scores_of

    class OfImage:
        def __init__(self, prediction, truth):
            matrix = ConfusionMatrix(4)
            matrix.add(prediction, truth)
            self.value, self.support = scores_of(matrix.counts).miou, 1

        @property
        def tally(self):
            from stc_lab.metrics.streaming import MeanTally

            return MeanTally(self.value, 1, 1)

    prediction, truth = video(3)
    stream = Stream(OfImage)
    for i in range(len(truth)):
        stream.add(prediction[i : i + 1], truth[i : i + 1])
    theirs = MeanIoU(num_classes=4, input_format="index")(prediction, truth)
    assert stream.value == pytest.approx(float(theirs), abs=1e-6)
