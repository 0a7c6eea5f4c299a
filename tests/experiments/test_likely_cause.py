"""Causes where they are known: made-up clues for each rule, made-up scenes, and rooms against a slow loop."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from explored_rooms import CONFIG, net, rooms
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stc_lab.data.rooms import ExactRoomsFlow, mover_masks, rooms_videos, scene_of
from stc_lab.errors import InputError
from stc_lab.experiments import cause_study
from stc_lab.experiments.cause_clues import Clues, gather_clues, occurs_near, thin_regions, whole_motion
from stc_lab.experiments.cause_truth import CauseConfusion, cause_confusion, confusion_of, true_causes
from stc_lab.experiments.disturb import Disturbance
from stc_lab.experiments.explored_frames import ExploredFrames
from stc_lab.experiments.journey import BEHIND, FARTHER, OCCLUDED, OUTSIDE, UNKNOWN, VISIBLE
from stc_lab.experiments.label_maps import LabelMaps
from stc_lab.experiments.likely_cause import (
    _RULES,
    BOUNDARY,
    CAUSES,
    FLICKER,
    GEOMETRY,
    HIDDEN,
    LEFT,
    NO_CAUSE,
    THIN,
    cause_map,
    likely_cause,
    rules_of,
)
from stc_lab.experiments.pair_places import HIDDEN_BY_FLOW, HIDDEN_BY_RULE, PairPlaces
from stc_lab.experiments.pair_view import PairView, pair_view

YES, NO = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)


def clues(reason: int = VISIBLE, **changes: object) -> Clues:
    """One pixel that is seen and called differently, with nothing else to be said of it."""
    plain = Clues(
        reason=torch.full((1, 1), reason),
        visible=YES if reason == VISIBLE else NO,
        disagrees=YES if reason == VISIBLE else NO,
        near_here=NO,
        near_there=NO,
        thin_here=NO,
        thin_there=NO,
        structure=NO,
        slim=NO,
        step=NO,
        apart=torch.zeros(1, 1),
        error=torch.full((1, 1), 0.01),
        better=torch.ones(1, 1),
        matched=NO,
        agrees_there=NO,
        claimed=NO,
        gone=NO,
        usual_error=0.01,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # given by the tests


MATCH = {"apart": torch.full((1, 1), 3.0), "better": torch.full((1, 1), 0.3), "matched": YES}
MEETS = {"near_here": YES, "near_there": YES}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (clues(), FLICKER),
        (clues(disagrees=NO), NO_CAUSE),
        (clues(**MEETS, structure=YES), BOUNDARY),
        (clues(**MEETS), FLICKER),  # no edge of the scene
        (clues(near_here=YES, structure=YES), FLICKER),  # the other side of the edge is not there
        (clues(near_here=YES, thin_here=YES, slim=YES), THIN),
        (clues(near_here=YES, thin_here=YES), FLICKER),  # a speckle of the net
        (clues(**MATCH, agrees_there=YES), GEOMETRY),
        (clues(**MATCH), FLICKER),  # at the match the labels differ too
        (clues(error=torch.full((1, 1), 0.2)), GEOMETRY),
        (clues(error=torch.full((1, 1), 0.2), **MEETS, structure=YES), BOUNDARY),
        (clues(OCCLUDED), GEOMETRY),  # what is said to hide it is not there
        (clues(OCCLUDED, claimed=YES), HIDDEN),
        (clues(OCCLUDED, claimed=YES, **MATCH), GEOMETRY),
        (clues(FARTHER), GEOMETRY),
        (clues(FARTHER, step=YES), BOUNDARY),
        (clues(OUTSIDE), LEFT),
        (clues(OUTSIDE, **MATCH), LEFT),
        (clues(BEHIND), LEFT),
        (clues(UNKNOWN), GEOMETRY),
        (clues(HIDDEN_BY_RULE), GEOMETRY),
        (clues(HIDDEN_BY_RULE, step=YES), BOUNDARY),
        (clues(HIDDEN_BY_FLOW, claimed=YES), HIDDEN),
        (clues(HIDDEN_BY_FLOW), GEOMETRY),
        (clues(HIDDEN_BY_FLOW, gone=YES), LEFT),
    ],
)
def test_each_clue_speaks_for_its_cause(found: Clues, cause: int) -> None:
    assert _RULES[int(rules_of(found))][1] == cause


@settings(max_examples=30, deadline=None)
@given(labels=hnp.arrays("int64", (9, 11), elements=st.integers(0, 2)), width=st.sampled_from([2, 4]))
def test_thin_regions_by_a_slow_loop(labels: object, width: int) -> None:
    values = torch.from_numpy(labels)  # type: ignore[arg-type]  # of hypothesis
    size = width + 1

    def at(y: int, x: int) -> int:
        return int(values[min(max(y, 0), 8), min(max(x, 0), 10)])

    covered = set()
    for top in range(-size, 10):
        for left in range(-size, 12):
            window = [(top + i, left + j) for i in range(size) for j in range(size)]
            if len({at(y, x) for y, x in window}) == 1:
                covered |= set(window)
    found = thin_regions(values[None], width)[0]
    for y in range(9):
        for x in range(11):
            assert bool(found[y, x]) == ((y, x) not in covered), (y, x)


@settings(max_examples=30, deadline=None)
@given(labels=hnp.arrays("int64", (6, 7), elements=st.integers(0, 3)), seed=st.integers(0, 99))
def test_occurs_near_by_a_slow_loop(labels: object, seed: int) -> None:
    values = torch.from_numpy(labels)  # type: ignore[arg-type]  # of hypothesis
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(1, 2, 4, 5, generator=generator) * 12 - 3
    wanted = torch.randint(0, 4, (1, 4, 5), generator=generator)
    found = occurs_near(values[None], wanted, pixels)
    for y in range(4):
        for x in range(5):
            u = min(max(round(float(pixels[0, 0, y, x])), 0), 6)
            v = min(max(round(float(pixels[0, 1, y, x])), 0), 5)
            near = [(min(max(v + i, 0), 5), min(max(u + j, 0), 6)) for i in range(-2, 3) for j in range(-2, 3)]
            assert bool(found[0, y, x]) == any(int(values[p]) == int(wanted[0, y, x]) for p in near)


def test_the_motion_of_the_whole_is_found_under_a_third_of_nonsense() -> None:
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    places = torch.stack([1.1 * x - 0.05 * y + 3, 0.02 * x + 0.95 * y - 2])[None]
    flow = places - torch.stack([x, y])[None]
    wrong = flow.clone()
    wrong[:, :, :10] += 25 * torch.rand(1, 2, 10, 40, generator=torch.Generator().manual_seed(0))
    usable = torch.ones(1, 30, 40, dtype=torch.bool)
    found = whole_motion(wrong, usable, rounds=12)
    assert found is not None and float((found - places).abs().max()) < 0.5
    usable[:, 1:] = False
    assert whole_motion(wrong, usable) is None


def made_up(here: torch.Tensor, there: torch.Tensor, **options: object) -> PairView:
    """The first two frames of a room whose labels are given."""
    both = torch.cat([here[None], there[None], here[None].expand(14, -1, -1)])
    maps = LabelMaps(lambda rows: both[list(rows)], 21, "made up")
    return pair_view(rooms(), maps, 0, 1, **options)  # type: ignore[arg-type]  # given by the tests


def test_a_wall_that_is_renamed_flickers_and_the_sentence_says_so() -> None:
    here, there = torch.full((32, 48), 2), torch.full((32, 48), 5)
    view = made_up(here, there)
    causes = cause_map(view)
    seen = view.visible[0]
    assert set(causes[seen].tolist()) <= {FLICKER, GEOMETRY}
    assert (causes[seen] == FLICKER).float().mean() > 0.9
    y, x = (causes == FLICKER).nonzero()[0].tolist()
    cause = likely_cause(view, x, y)
    assert cause.name == "genuine flicker of the net"
    assert view.classes[2] in cause.sentence and view.classes[5] in cause.sentence and "100%" in cause.sentence
    assert cause.evidence["rule"] == "flicker"


def test_labels_that_stay_need_no_cause() -> None:
    still = torch.full((32, 48), 2)
    view = made_up(still, still)
    causes = cause_map(view)
    assert set(causes[view.visible[0]].tolist()) == {NO_CAUSE}
    y, x = view.visible[0].nonzero()[0].tolist()
    cause = likely_cause(view, x, y)
    assert cause.name == "" and cause.sentence.startswith("Nothing to explain")


def test_outside_and_occluded_are_those_of_the_view() -> None:
    view = pair_view(rooms(), net(), 0, 4)
    causes, reason = cause_map(view), view.places.reasons("depth test")[0]
    assert torch.equal(causes == LEFT, (reason == OUTSIDE) | (reason == BEHIND))
    assert bool((reason[causes == HIDDEN] == OCCLUDED).all())
    assert set(causes[view.visible[0] & ~view.disagreement[0]].tolist()) == {NO_CAUSE}
    assert bool((causes[~view.visible[0] | view.disagreement[0]] != NO_CAUSE).all())


def test_every_rule_has_a_sentence_with_its_numbers() -> None:
    said = {}
    for options in (
        {},
        {"disturbance": Disturbance(depth_scale=1.3, yaw=3)},
        {"geometry": "estimated"},
        {"geometry": "learned"},
        {"occlusion": "gmflow"},
        {"occlusion": "gordon", "direction": "forward"},
    ):
        for later in (1, 4):
            view = pair_view(rooms(), net(), 0, later, **options)  # type: ignore[arg-type]  # given above
            rules = rules_of(gather_clues(view))
            for rule in rules.unique().tolist():
                y, x = (rules == rule).nonzero()[0].tolist()
                cause = likely_cause(view, x, y)
                number = _RULES[rule][1]
                assert cause.name == ("" if number == NO_CAUSE else CAUSES[number])
                assert cause.sentence.endswith(".") and "nan" not in cause.sentence and "None" not in cause.sentence
                said[_RULES[rule][0]] = cause.sentence
    assert len(said) >= 10 and len(set(said.values())) == len(said)


def test_a_turned_camera_is_accused() -> None:
    plain, turned = (
        cause_map(pair_view(rooms(), net(), 8, 9, disturbance=d)) for d in (Disturbance(), Disturbance(yaw=3.0))
    )
    assert int((turned == GEOMETRY).sum()) > 5 * max(1, int((plain == GEOMETRY).sum()))


def test_depths_that_contradict_each_other_are_no_occlusion() -> None:
    view = pair_view(rooms(), net(), 1, 2)
    solid = view.places.solid
    assert solid is not None
    nearer = replace(solid, depth_source=0.8 * solid.depth_source)
    wrong = replace(view, places=PairPlaces("exact", nearer, None))
    hidden = wrong.places.reasons("depth test")[0] == OCCLUDED
    assert float(hidden.float().mean()) > 0.5
    assert (
        float((cause_map(wrong)[hidden] == GEOMETRY).float().mean()) > 0.8
    )  # of the others, what hides them may lie outside
    true = view.places.reasons("depth test")[0] == OCCLUDED
    assert float((cause_map(view)[true] == HIDDEN).float().mean()) > 0.7


def truth_of(row: int) -> ExactRoomsFlow:
    return ExactRoomsFlow(scene_of(rooms().videos_of([row])[0], CONFIG))


@pytest.mark.parametrize(
    "options",
    [{}, {"disturbance": Disturbance(yaw=2.0)}, {"geometry": "estimated"}, {"occlusion": "gordon"}],
)
def test_true_causes_by_a_slow_loop(options: dict[str, object]) -> None:
    view = pair_view(rooms(), net(), 1, 3, **options)  # type: ignore[arg-type]  # given above
    found = true_causes(view, truth_of(1))
    exact = truth_of(1)(view.target, view.source)
    target, source = view.target, view.source
    assert target.label is not None and source.label is not None
    assert target.depth is not None and source.depth is not None
    thin = [thin_regions(clip.label)[0] for clip in (target, source) if clip.label is not None]

    def around(values: torch.Tensor, y: int, x: int, reach: int) -> torch.Tensor:
        return values[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]

    def steps(depth: torch.Tensor, y: int, x: int) -> bool:
        window = around(depth, y, x, 1)
        return not float(window.max() - window.min()) < 0.04 * float(window.max()) + 0.02

    for y in range(32):
        for x in range(48):
            seen, own = bool(view.visible[0, y, x]), int(view.labels_target[0, y, x])
            flow = exact.flow[0, :, y, x]
            u, v = float(x + flow[0]), float(y + flow[1])
            given = view.places.pixels[0, :, y, x]
            a, b = (min(max(round(float(p)), 0), n) for p, n in zip(given, (47, 31), strict=True))
            read = int(view.labels_source[0, b, a])
            if seen and read == own:
                expected = NO_CAUSE
            elif not (0 <= u <= 47 and 0 <= v <= 31):
                expected = LEFT
            elif not bool(exact.visible[0, y, x]):
                expected = HIDDEN
            else:
                off = float((given - torch.tensor([u, v])).norm()) > 1
                i, j = round(v), round(u)
                step = steps(target.depth[0, 0], y, x) or steps(source.depth[0, 0], i, j)
                near = around(target.label[0], y, x, 2), around(source.label[0], i, j, 2)
                truly = torch.cat([window.flatten() for window in near])
                narrow = [int(target.label[0, y, x])] * bool(thin[0][y, x]) + [int(source.label[0, i, j])] * bool(
                    thin[1][i, j]
                )
                if not seen:
                    expected = GEOMETRY if off or not step else BOUNDARY
                elif off and int(view.labels_source[0, i, j]) == own:
                    expected = GEOMETRY
                elif own in narrow or read in narrow:
                    expected = THIN
                elif own in truly and read in truly:
                    expected = BOUNDARY
                else:
                    expected = FLICKER
            assert int(found[y, x]) == expected, (x, y)


def test_where_things_move_the_truth_goes_with_them() -> None:
    config = replace(CONFIG, moving_objects=2, test_scenes=1, frames=6)
    videos = rooms_videos("test", config).in_memory()
    truth = ExactRoomsFlow(scene_of(videos.names[0], config))
    moved = mover_masks(videos.names[0], config)
    counted = 0
    for row in range(5):
        view = pair_view(videos, net(), row, row + 1)
        causes = true_causes(view, truth)
        exact = truth(view.target, view.source)
        landed = exact.flow[0] + torch.stack(torch.meshgrid(torch.arange(48.0), torch.arange(32.0), indexing="xy"))
        inside = (landed[0] >= 0) & (landed[0] <= 47) & (landed[1] >= 0) & (landed[1] <= 31)
        asked = causes != NO_CAUSE
        assert torch.equal(causes == LEFT, asked & ~inside)
        assert torch.equal(causes == HIDDEN, asked & inside & ~exact.visible[0])
        counted += int((asked & (moved[row] > 0)).sum())
    assert counted > 0


def test_exact_geometry_is_told_well_and_a_wrong_one_is_noticed() -> None:
    memory = ExploredFrames(rooms(), net())
    views = [pair_view(rooms(), net(), row, row + 2, memory=memory) for row in (0, 3)]
    found = cause_confusion(views, truth_of(0))
    assert found.recall["left the image"] == 1 and found.precision["left the image"] == 1
    assert found.accuracy is not None and found.accuracy > 0.8
    assert found.pixels == sum(int((~view.visible | view.disagreement).sum()) for view in views)


def test_confusions_count_add_and_know_when_they_are_empty() -> None:
    computed = torch.tensor([[LEFT, FLICKER, NO_CAUSE], [FLICKER, GEOMETRY, THIN]])
    true = torch.tensor([[LEFT, BOUNDARY, NO_CAUSE], [FLICKER, NO_CAUSE, THIN]])
    found = confusion_of(computed, true)
    assert found.pixels == 4 and found.accuracy == 0.75
    assert found.counts[BOUNDARY, FLICKER] == 1 and found.recall["boundary pixel"] == 0
    assert found.precision[CAUSES[FLICKER]] == 0.5 and found.precision["occluded"] is None
    assert (found + found).pixels == 8
    none = CauseConfusion(torch.zeros(6, 6, dtype=torch.int64))
    assert none.accuracy is None and set(none.recall.values()) == {None}


def test_the_study_runs_on_tiny_rooms_and_its_table_says_what_was_counted(tmp_path: Path) -> None:
    chosen = {name: cause_study.SETTINGS[name] for name in ("exact", "estimated flow")}
    rows = cause_study.cause_study(
        net(), config=CONFIG, motions=("handheld",), gaps=(2,), settings=chosen, scenes=1, pairs=2
    )
    assert [row.setting for row in rows] == list(chosen)
    assert rows[0].confusion.accuracy is not None and rows[0].base_rate is not None
    assert rows[0].base_rate <= rows[0].confusion.accuracy
    assert rows[0].to_dict()["pixels"] == rows[0].confusion.pixels
    assert sum(map(sum, rows[0].to_dict()["counts"])) == rows[0].confusion.pixels


def test_the_kept_table_is_whole_and_better_than_guessing_where_geometry_is_exact() -> None:
    rows = cause_study.kept_cause_study()
    assert [(row.motion, row.setting) for row in rows] == [
        (motion, setting) for motion in cause_study.MOTIONS for setting in cause_study.SETTINGS
    ]
    for row in rows:
        if row.setting == "exact":
            assert row.confusion.accuracy is not None and row.base_rate is not None and row.mean_recall is not None
            assert row.confusion.accuracy > row.base_rate + 0.3 and row.mean_recall > 0.6


@pytest.mark.bad_input
def test_what_cannot_be_asked() -> None:
    with pytest.raises(InputError, match="48 x 32"):
        likely_cause(pair_view(rooms(), net(), 0, 1), 48, 0)
    with pytest.raises(InputError, match="gaps below 8"):
        cause_study.cause_study(net(), config=CONFIG, gaps=(8,))
