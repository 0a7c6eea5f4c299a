"""The rooms themselves: one seed one room, everything within the walls, all classes there."""

from itertools import pairwise

import torch

from stc_lab.data.rooms import CLASS_NAMES, NUM_CLASSES, PRESETS, Label, build_scene, scene_of
from stc_lab.data.rooms.classes import FINISH
from stc_lab.data.rooms.config import FIRST_SEED, MOST_SCENES, SPLITS
from stc_lab.data.rooms.primitives import FACES, Scene


def _tensors(scene: Scene) -> list[torch.Tensor]:
    structs = (scene, scene.primitives, scene.materials)
    return [value for struct in structs for value in vars(struct).values() if isinstance(value, torch.Tensor)]


def test_names_are_the_21_classes() -> None:
    assert len(CLASS_NAMES) == NUM_CLASSES == 21
    assert CLASS_NAMES[:4] == ("background", "wall", "floor", "ceiling")
    assert set(FINISH) == set(Label)


def test_a_seed_is_a_room() -> None:
    for a, b in zip(_tensors(build_scene(4)), _tensors(build_scene(4)), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(build_scene(4).room, build_scene(5).room)


def test_untypical_colours_change_materials_alone_when_their_share_does() -> None:
    typical, none = build_scene(4), build_scene(4, micro_contrast=0.0, gloss=0.0)
    for a, b in zip(_tensors(typical), _tensors(none), strict=True):
        assert torch.equal(a, b)
    assert (none.micro_contrast, none.gloss) == (0.0, 0.0)


def test_furniture_stands_in_the_room_and_every_surface_has_a_material() -> None:
    for seed in range(30):
        scene = build_scene(seed)
        assert len(scene.materials.label) == len(scene.primitives) + FACES
        assert scene.materials.label[-FACES:].tolist() == [1, 1, 1, 1, 2, 3]
        assert (scene.primitives.half > 0).all()
        assert (scene.primitives.centre > -0.05).all()
        assert (scene.primitives.centre < scene.room + 0.05).all()
        assert (scene.light > 0).all() and (scene.light < scene.room).all()


def test_no_room_is_in_two_splits() -> None:
    starts = [*FIRST_SEED.values()]
    assert all(b - a > MOST_SCENES for a, b in pairwise(starts))
    assert all(config.scenes(split) <= MOST_SCENES for config in PRESETS.values() for split in SPLITS)
    seeds = [scene_of(f"rooms-{split}-{i:04d}").seed for split in SPLITS for i in (0, 1)]
    assert len(set(seeds)) == 6


def test_ids_stay_integers_when_a_scene_moves() -> None:
    scene = build_scene(1).to("cpu", torch.float64)
    assert scene.primitives.centre.dtype == torch.float64
    assert scene.materials.label.dtype == torch.int64
