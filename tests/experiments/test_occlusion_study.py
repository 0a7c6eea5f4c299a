"""The study of occlusion rules: its counts, its truth, and what must come out whatever the room."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stc_lab.data.frames import Clip
from stc_lab.data.rooms import PRESETS, scene_of
from stc_lab.data.rooms.truth import ExactRoomsFlow
from stc_lab.data.sintel import read_sintel_pair
from stc_lab.errors import InputError
from stc_lab.experiments.occlusion_study import (
    BY_FLOW,
    METHODS,
    OcclusionStudy,
    occlusion_of_pair,
    occlusion_study,
    rooms_clips,
    sintel_occlusion,
    sintel_study,
)
from stc_lab.geometry import RigidFlow, inside_visible
from stc_lab.metrics.occlusion import OcclusionCounts


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return rooms_clips("dolly", seeds=(0, 1), preset="tiny")


@pytest.fixture(scope="module")
def study(clips: list[Clip]) -> OcclusionStudy:
    return occlusion_study(clips, (1, 3), estimators={"rigid": RigidFlow()}, config=PRESETS["tiny"])


def test_counts_are_the_slow_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    said, true, counted = (torch.rand(2, 5, 6, generator=generator) < share for share in (0.6, 0.7, 0.8))
    tally = {"hits": 0, "false_alarms": 0, "misses": 0, "kept": 0}
    for s, t, c in zip(said.flatten().tolist(), true.flatten().tolist(), counted.flatten().tolist(), strict=True):
        if c:
            tally["kept" if s and t else "misses" if s else "false_alarms" if t else "hits"] += 1
    counts = OcclusionCounts.of(said, true, counted)
    assert counts == OcclusionCounts(**tally)
    assert counts.precision == tally["hits"] / (tally["hits"] + tally["false_alarms"])
    assert counts.recall == tally["hits"] / (tally["hits"] + tally["misses"])
    assert counts.precision is not None and counts.recall is not None
    harmonic = 2 * counts.precision * counts.recall / (counts.precision + counts.recall)
    assert counts.f1 == pytest.approx(harmonic)
    assert counts.visible == pytest.approx(float(said[counted].double().mean()))
    assert counts.pixels == int(counted.sum())


def test_a_share_of_nothing_is_none() -> None:
    nothing_flagged = OcclusionCounts(hits=0, false_alarms=0, misses=3, kept=4)
    assert nothing_flagged.precision is None and nothing_flagged.recall == 0 and nothing_flagged.f1 == 0
    nothing_hidden = OcclusionCounts(hits=0, false_alarms=2, misses=0, kept=4)
    assert nothing_hidden.recall is None and nothing_hidden.precision == 0
    assert OcclusionCounts(0, 0, 0, 4).f1 is None and OcclusionCounts(0, 0, 0, 0).visible is None


def test_every_rule_has_its_rows(study: OcclusionStudy) -> None:
    expected = {("depth_test", "depth"), ("gordon", "depth")}
    expected |= {(method, evidence) for method in BY_FLOW for evidence in ("exact", "rigid")}
    for gap in (1, 3):
        assert {(row.method, row.evidence) for row in study.rows if row.gap == gap} == expected
    assert [row.gap for row in study.rows] == sorted(row.gap for row in study.rows)
    assert len(study.table()) == len(study.rows)
    assert study.table()[0].keys() >= {"method", "evidence", "gap", "precision", "recall_in_view"}
    pixels = 2 * (10 - 3) * 32 * 48
    assert study.row("gordon", "depth", 3).everywhere.pixels == pixels


def test_all_rows_count_the_same_truth(study: OcclusionStudy) -> None:
    for gap in (1, 3):
        rows = [row for row in study.rows if row.gap == gap]
        assert len({row.everywhere.hits + row.everywhere.misses for row in rows}) == 1
        assert len({(row.in_view.pixels, row.in_view.hits + row.in_view.misses) for row in rows}) == 1
        for row in rows:
            assert 0 < row.in_view.pixels < row.everywhere.pixels
            assert row.in_view.hits <= row.everywhere.hits


def test_what_must_come_out(study: OcclusionStudy) -> None:
    for gap in (1, 3):
        leaves = study.row("inside", "exact", gap)
        assert leaves.everywhere.precision == 1, "what leaves the frame by the true flow is not visible"
        assert leaves.in_view.recall == 0 and leaves.in_view.visible == 1, "and it says nothing of what stays"
        tested = study.row("depth_test", "depth", gap).everywhere
        assert tested.f1 is not None and tested.f1 > 0.95
        plain = study.row("ruder_without_boundaries", "exact", gap)
        strict = study.row("ruder", "exact", gap)
        assert strict.everywhere.hits >= plain.everywhere.hits
        assert strict.everywhere.false_alarms > plain.everywhere.false_alarms
        for method in BY_FLOW:  # the rooms are rigid, and their depth is exact: so is the flow that it gives
            assert study.row(method, "rigid", gap).everywhere == study.row(method, "exact", gap).everywhere
    hidden = [study.row("depth_test", "depth", gap).in_view for gap in (1, 3)]
    share = [(counts.hits + counts.misses) / counts.pixels for counts in hidden]
    assert share[0] < share[1], "a longer way hides more"


def test_pairs_are_pooled_by_pixels(clips: list[Clip], study: OcclusionStudy) -> None:
    total = OcclusionCounts(0, 0, 0, 0)
    for clip in clips:
        truth = ExactRoomsFlow(scene_of(clip.video[0], PRESETS["tiny"]))
        for t in range(len(clip) - 3):
            pair = occlusion_of_pair(clip[t], clip[t + 3], truth, methods=("gordon",))
            assert list(pair.masks) == [("gordon", "depth")]
            total += pair.counts(("gordon", "depth"))[0]
    assert total == study.row("gordon", "depth", 3).everywhere


def test_a_pair_gives_every_mask_for_pictures(clips: list[Clip]) -> None:
    truth = ExactRoomsFlow(scene_of(clips[0].video[0], PRESETS["tiny"]))
    pair = occlusion_of_pair(clips[0][0], clips[0][2], truth)
    assert {evidence for _, evidence in pair.masks} == {"depth", "exact", "dis"}
    assert {method for method, _ in pair.masks} == set(METHODS)
    assert all(mask.shape == (1, 32, 48) and mask.dtype == torch.bool for mask in pair.masks.values())
    assert torch.equal(pair.in_view, inside_visible(pair.truth.flow))


def test_noise_in_the_depth_halves_gordons_mask_and_spares_the_depth_test(clips: list[Clip]) -> None:
    def visible(method: str, noise: float) -> float:
        found = occlusion_study(
            clips, (1,), methods=("gordon", "depth_test"), depth_noise=noise, config=PRESETS["tiny"]
        )
        share = found.row(method, "depth", 1).in_view.visible
        assert share is not None
        return share

    assert visible("gordon", 0.01) < 0.6 < visible("gordon", 0.0)
    assert visible("depth_test", 0.01) > 0.97 * visible("depth_test", 0.0)
    assert visible("gordon", 0.01) == visible("gordon", 0.01), "the same draws in every call"


@pytest.mark.real_data
def test_sintel_without_depth(real_data: Path) -> None:
    root = real_data / "sintel" / "training"
    study = sintel_study(root, [("clean", "alley_1", 2), ("final", "cave_2", 2)])
    assert {row.evidence for row in study.rows} == {"exact+dis", "dis"}
    assert study.row("inside", "exact+dis", 1).everywhere.precision == 1
    for method in ("ruder", "ruder_without_boundaries", "gmflow"):
        true, estimated = (study.row(method, evidence, 1).everywhere for evidence in ("exact+dis", "dis"))
        assert true.recall is not None and true.recall > 0.75
        assert estimated.recall is not None and 0.5 < estimated.recall < true.recall
        assert estimated.precision is not None and estimated.precision > 0.3
    pair = read_sintel_pair(root, "clean", "alley_1", 2)
    one = sintel_occlusion(pair, methods=("ruder",))
    assert one.counts(("ruder", "dis"))[0].pixels == int(pair.counted.sum())


@pytest.mark.bad_input
def test_bad_input_is_refused() -> None:
    clips = rooms_clips("dolly", seeds=(0,), preset="tiny")
    truth = ExactRoomsFlow(scene_of(clips[0].video[0]))
    with pytest.raises(InputError, match=r"gaps must lie between 1 and 9 for 10 frames, got 10"):
        occlusion_study(clips, (10,))
    with pytest.raises(InputError, match=r"methods must be of depth_test, gordon.*got ruders"):
        occlusion_study(clips, (1,), methods=("ruders",))
    with pytest.raises(InputError, match=r"methods must be of .*got none"):
        occlusion_study(clips, (1,), methods=())
    with pytest.raises(InputError, match=r"each clip must be of one video, got one of 2"):
        occlusion_study([replace(clips[0], video=("rooms-test-0000",) * 9 + ("rooms-test-0001",))], (1,))
    with pytest.raises(InputError, match=r"depth_noise needs a generator"):
        occlusion_of_pair(clips[0][0], clips[0][1], truth, methods=("gordon",), depth_noise=0.1)
    with pytest.raises(InputError, match=r"has no depth"):
        occlusion_of_pair(replace(clips[0][0], depth=None), clips[0][1], truth)
    with pytest.raises(InputError, match=r"preset must be one of tiny, .*got 'huge'"):
        rooms_clips("dolly", preset="huge")
    with pytest.raises(InputError, match=r"no row of 'gordon' on 'dis' at gap 1; there are \[\('gordon', 'depth'\)\]"):
        occlusion_study(clips, (1,), methods=("gordon",)).row("gordon", "dis", 1)
    with pytest.raises(InputError, match=r"ExactRoomsFlow needs camera and T_world_camera"):
        truth(replace(clips[0][0], camera=None), clips[0][1])
