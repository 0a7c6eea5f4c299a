"""Plans and clouds: points lie where the world says, seen from above and not mirrored, with axes alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planar_clips import planar_clip

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.experiments.world_points import WorldPoints, world_points
from stc_lab.plots import cloud_figure, judged_frames, slice_panel, world_plan
from stc_lab.plots.colours import rgb_of_hex
from stc_lab.plots.palette import SERIES_COLOURS
from stc_lab.plots.plan import Plan, between, colour_plan, frame_plan
from stc_lab.plots.point_cloud import MOST_POINTS

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return planar_clip([[0.05 * i, 0.0, 0.1 * i] for i in range(7)])


def some(xyz: list[list[float]]) -> WorldPoints:
    points = torch.tensor(xyz, dtype=torch.float64)
    return WorldPoints(points, torch.rand(points.shape, dtype=torch.float64), torch.arange(len(points)) % 3)


def plan_of(points: WorldPoints, up: torch.Tensor = UP) -> Plan:
    return Plan.around(points, points.xyz[:1], up, size=(60, 80))


@pytest.mark.parametrize(
    "up", [UP, -UP, torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64), torch.ones(3).double() / 3**0.5]
)
def test_a_plan_is_seen_from_above_and_not_mirrored(up: torch.Tensor) -> None:
    plan = plan_of(some([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-1.0, 0.5, 1.0]]), up)
    assert torch.allclose(torch.linalg.cross(plan.right, -plan.down), up)  # right x (up the page) looks at the eye
    assert abs(float(plan.right @ plan.down)) < 1e-12 and float(plan.right.norm()) == pytest.approx(1)


def test_lengths_on_the_page_are_lengths_of_the_world() -> None:
    points = some([[0.0, 0.0, 0.0], [3.0, 0.0, 1.0], [0.0, 4.0, 0.0]])
    plan = plan_of(points)
    pixels = plan.pixels(points.xyz)
    assert float((pixels[1] - pixels[0]).norm()) == pytest.approx(3 * plan.metre)
    assert float((pixels[2] - pixels[1]).norm()) == pytest.approx(5 * plan.metre)
    height, width = plan.size
    assert bool(((pixels > 0) & (pixels < torch.tensor([width, height]) - 1)).all())


def test_higher_points_are_drawn_over_lower_ones() -> None:
    red, blue = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    xyz = torch.tensor([[0.0, 0, 2.0], [0.0, 0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    points = WorldPoints(xyz, torch.tensor([red, blue, blue], dtype=torch.float64), torch.zeros(3, dtype=torch.int64))
    plan = plan_of(points)
    panel = colour_plan(points, xyz[:1], plan, "plan")
    x, y = plan.pixels(xyz)[0].round().long().tolist()
    assert panel.rgb[y, x].tolist() == [255, 0, 0]
    assert [mark.name for mark in panel.marks][:2] == ["way of the camera", "its start"]


def test_the_ruler_is_as_long_as_it_says() -> None:
    points = some([[0.0, 0.0, 0.0], [300.0, 10.0, 0.0]])
    plan = plan_of(points)
    ruler = colour_plan(points, points.xyz[:1], plan, "plan").marks[-1]
    (left, _), (right, _) = ruler.places
    assert ruler.name == "100 m" and right - left == pytest.approx(100 * plan.metre)


def test_points_have_the_colour_of_their_frame() -> None:
    points = some([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    plan = plan_of(points)
    panel = frame_plan(points, ["first", "second", "third"], plan, "who")
    colours = rgb_of_hex(SERIES_COLOURS[:3])
    for i, (x, y) in enumerate(plan.pixels(points.xyz).round().long().tolist()):
        assert panel.rgb[y, x].tolist() == colours[i].tolist()
    assert panel.classes == (0, 1, 2) and panel.palette is not None and panel.palette.names[2] == "third"


def test_a_slice_keeps_what_lies_between() -> None:
    points = some([[0.0, 0.0, z] for z in (0.0, 1.0, 2.0)])
    assert between(points, plan_of(points), 0.5, 1.5).xyz[:, 2].tolist() == [1.0]


def test_frames_keep_their_colours_in_every_slice(clip: Clip) -> None:
    up = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    drawn = judged_frames(clip)
    assert drawn.index.tolist() == [0, 1, 3, 6]
    everything, two = (slice_panel(drawn, frames, up, "slice") for frames in (range(4), (0, 2)))
    assert everything.classes == (0, 1, 2, 3) and two.classes == (0, 2)
    assert two.palette == everything.palette
    assert [mark.colour for mark in two.marks if mark.kind == "ring"] == [SERIES_COLOURS[0], SERIES_COLOURS[2]]


def test_the_plan_of_a_clip_shows_its_way(clip: Clip) -> None:
    panel = world_plan(clip, "plan", size=(60, 80))
    assert panel.size == (60, 80) and len(panel.marks[0].places) == 7
    assert int((panel.rgb != 245).any(axis=2).sum()) > 20  # somebody is at home


def test_the_cloud_has_points_way_and_frusta_on_equal_axes(clip: Clip) -> None:
    points = world_points(clip, most=700)
    figure = cloud_figure(points, clip, frusta=3)
    cloud, frusta, way = figure.data
    assert len(cloud.x) == len(cloud.marker.color) == 700
    assert np.allclose(np.stack([cloud.x, cloud.y, cloud.z], axis=1), points.xyz, atol=1e-3)
    assert [way.x[-1], way.z[-1]] == pytest.approx([0.3, 0.6])
    assert sum(x is None for x in frusta.x) == 3 * 5  # each a loop and four edges
    scene = figure.layout.scene
    ratios = [getattr(scene.aspectratio, a) / np.ptp(scene[f"{a}axis"].range) for a in "xyz"]
    assert ratios == pytest.approx([ratios[0]] * 3)
    for axis in "xyz":
        assert scene[f"{axis}axis"].title.text == f"{axis} (m)"
        low, high = scene[f"{axis}axis"].range
        assert low < min(getattr(cloud, axis)) and max(getattr(cloud, axis)) < high
    assert (scene.camera.up.x, scene.camera.up.y, scene.camera.up.z) == (0, -1, 0)


def test_a_frustum_looks_where_its_camera_looks(clip: Clip) -> None:
    frusta = cloud_figure(None, clip[:1], frusta=1).data[0]
    corners = np.array([[frusta.x[i], frusta.y[i], frusta.z[i]] for i in range(4)], dtype=float)
    middle = corners.mean(axis=0)
    assert middle[2] > 0 and abs(middle[0]) < 1e-9 and abs(middle[1]) < 1e-9
    width = np.linalg.norm(corners[1] - corners[0]) / middle[2]
    assert width == pytest.approx(2 * np.tan(np.radians(30)))  # 60 degrees wide


def test_a_cloud_is_small(clip: Clip) -> None:
    assert len(cloud_figure(world_points(clip), clip).to_json()) < 700_000


def test_without_depth_the_cameras_remain(clip: Clip) -> None:
    figure = cloud_figure(None, replace(clip, depth=None))
    assert [trace.name for trace in figure.data] == ["what some frames see", "way of the camera"]


@pytest.mark.bad_input
def test_what_cannot_be_drawn_is_said(clip: Clip) -> None:
    many = WorldPoints(torch.zeros(MOST_POINTS + 1, 3), torch.zeros(MOST_POINTS + 1, 3), torch.zeros(1).long())
    with pytest.raises(InputError, match="may have 20000 points, got 20001"):
        cloud_figure(many, clip)
    nothing = WorldPoints(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0).long())
    with pytest.raises(InputError, match="at least one point"):
        Plan.around(nothing, torch.zeros(1, 3), UP, size=(10, 10))
    with pytest.raises(InputError, match="points of 3 frames need as many names, got 1"):
        frame_plan(
            some([[0.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]), ["one"], plan_of(some([[0.0, 0, 0], [1.0, 1, 0]])), "x"
        )
    with pytest.raises(InputError, match="has no T_world_camera"):
        cloud_figure(None, replace(clip, T_world_camera=None))
