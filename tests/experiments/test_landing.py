"""Holes, crowds and collisions against a slow count, and the classes that interpolated ids invent."""

import pytest
import torch
from planar_clips import SIZE, planar_clip

from stc_lab.data.frames import Clip
from stc_lab.experiments.landing import (
    COLLISION,
    CROWDED,
    HOLE,
    ONE,
    busiest_window,
    count_landings,
    interpolate_ids,
)
from stc_lab.geometry import Correspondence, correspond, forward_splat, transform

HEIGHT, WIDTH = SIZE


@pytest.fixture(scope="module")
def clip() -> Clip:
    return planar_clip([[0.0, 0.0, 0.0], [0.3, 0.1, 0.4]])


def test_landings_are_those_of_a_slow_count(clip: Clip) -> None:
    target, source = clip[0], clip[1]
    assert source.depth is not None and source.camera is not None and target.camera is not None
    points = transform(source.motion_to(target), source.camera.backproject(source.depth))
    places = target.camera.project(points)[0]
    found: dict[tuple[int, int], list[float]] = {}
    for y in range(HEIGHT):
        for x in range(WIDTH):
            u, v = places[:, y, x].tolist()
            if 0 <= u <= WIDTH - 1 and 0 <= v <= HEIGHT - 1:
                found.setdefault((round(v), round(u)), []).append(float(points[0, 2, y, x]))
    counts = count_landings(target, source)
    assert int(counts.count.sum()) == sum(map(len, found.values()))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            z = sorted(found.get((y, x), []))
            kind = (
                HOLE if not z else ONE if len(z) == 1 else CROWDED if z[-1] - z[0] < 0.04 * z[0] + 0.02 else COLLISION
            )
            assert (counts.count[y, x], counts.kind[y, x]) == (len(z), kind), (x, y)
    assert {HOLE, ONE, CROWDED, COLLISION} == set(counts.kind.unique().tolist())


def test_no_motion_puts_one_pixel_on_each(clip: Clip) -> None:
    assert bool((count_landings(clip[0], clip[0]).kind == ONE).all())


def test_modes_differ_where_surfaces_collide(clip: Clip) -> None:
    target, source = clip[0], clip[1]
    assert source.depth is not None and source.camera is not None
    collide = count_landings(target, source).kind == COLLISION
    T = source.motion_to(target)
    z, mean = (
        forward_splat(source.image, source.depth, source.camera, T, mode=mode).image for mode in ("zbuffer", "average")
    )
    apart = (z - mean).abs().amax(dim=1)[0]
    assert apart[collide].mean() > 5 * apart[~collide].mean()


def test_the_busiest_window_holds_most() -> None:
    mask = torch.zeros(9, 12, dtype=torch.bool)
    mask[5:8, 7:10] = True
    mask[0, 0] = True
    rows, columns = busiest_window(mask, 4, 5)
    assert int(mask[rows, columns].sum()) == 9
    assert rows.stop - rows.start == 4 and columns.stop - columns.start == 5 and rows.stop <= 9 and columns.stop <= 12
    whole = busiest_window(mask, 9, 12)
    assert whole == (slice(0, 9), slice(0, 12))


def test_between_two_ids_lies_a_third() -> None:
    labels = torch.tensor([[[1, 1, 5, 5], [1, 1, 5, 5]]])
    pixels = torch.tensor([[[[0.0, 1.0, 1.5, 2.0]], [[0.0, 0.0, 0.5, 1.0]]]])
    where = Correspondence(pixels, torch.ones(1, 1, 1, 4), torch.ones(1, 1, 4, dtype=torch.bool))
    ids = interpolate_ids(labels, where)
    assert ids.interpolated.tolist() == [[1, 1, 3, 5]] and ids.invented.tolist() == [[False, False, True, False]]
    assert set(ids.nearest.flatten().tolist()) == {1, 5}


def test_nothing_is_invented_between_neighbouring_ids_or_out_of_sight(clip: Clip) -> None:
    target, source = clip[0], clip[1]
    assert source.label is not None and target.depth is not None and target.camera is not None
    where = correspond(target.depth, target.camera, target.motion_to(source), depth_source=source.depth)
    assert not bool(interpolate_ids(source.label, where).invented.any())  # ids 0 and 1: nothing lies between
    far = interpolate_ids(source.label * 7, where)
    assert not bool((far.invented & ~where.visible[0]).any())
    assert not bool((far.nearest % 7).any())
