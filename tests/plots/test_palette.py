"""Colours: told apart by every eye that the simulation knows, checked with scikit-image's colour science, not ours."""

from itertools import combinations

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from stc_lab.data.rooms import CLASS_NAMES
from stc_lab.errors import InputError
from stc_lab.plots.colours import lab, rgb_of_hex, seen_linear
from stc_lab.plots.palette import IGNORE_COLOUR, SERIES_COLOURS, Scale, class_palette, spread_colours

FREQUENT = ("wall", "floor", "cabinet", "bookshelf", "door", "sofa", "bed", "window")
CAMVID = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)

# Vienot, Brettel and Mollon 1999: another model than the one that the colours were chosen with.
EYES = {
    "normal": np.eye(3),
    "protanope": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranope": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def seen(hex_colours: tuple[str, ...], eye: str) -> np.ndarray:
    rgb = rgb_of_hex(hex_colours) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ EYES[eye].T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))


def least(colours: np.ndarray) -> float:
    pairs = list(combinations(range(len(colours)), 2))
    a, b = (colours[[pair[i] for pair in pairs]] for i in (0, 1))
    return float(deltaE_ciede2000(a, b).min())


@pytest.mark.parametrize("eye", EYES)
def test_room_classes_are_told_apart(eye: str) -> None:
    palette = class_palette(CLASS_NAMES)
    colours = dict(zip(palette.names, seen(palette.colours, eye), strict=True))
    assert least(np.stack(list(colours.values()))) > (17 if eye == "normal" else 10)
    assert least(np.stack([colours[name] for name in FREQUENT])) > 22


@pytest.mark.parametrize("eye", EYES)
def test_camvid_classes_are_told_apart(eye: str) -> None:
    assert least(seen(class_palette(CAMVID).colours, eye)) > 15


@pytest.mark.parametrize("eye", EYES)
def test_ignored_pixels_look_like_no_class(eye: str) -> None:
    for names in (CLASS_NAMES, CAMVID):
        both = seen((*class_palette(names).colours, IGNORE_COLOUR), eye)
        assert deltaE_ciede2000(both[:-1], both[-1:].repeat(len(both) - 1, axis=0)).min() > 9


@pytest.mark.parametrize("eye", EYES)
def test_series_colours_are_told_apart(eye: str) -> None:
    assert least(seen(SERIES_COLOURS, eye)) > 9


def test_lab_agrees_with_scikit_image() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 3)).astype(np.uint8)
    np.testing.assert_allclose(lab(rgb), rgb2lab(rgb / 255.0), atol=2e-2)


def test_a_dichromat_still_sees_greys() -> None:
    grey = np.repeat(np.arange(0, 256, 15, dtype=np.uint8)[:, None], 3, axis=1)
    for vision in ("protanopia", "deuteranopia"):
        np.testing.assert_allclose(seen_linear(grey, vision), seen_linear(grey), atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 21, 124])
def test_any_number_of_classes_gets_its_own_colours(count: int) -> None:
    palette = class_palette([f"class {i}" for i in range(count)])
    assert len(set(palette.colours)) == count
    assert spread_colours(count)[: count // 2] == spread_colours(count // 2)  # more classes move no colour


def test_the_palette_follows_names_not_places() -> None:
    forward, backward = class_palette(CLASS_NAMES), class_palette(CLASS_NAMES[::-1])
    assert forward.colours == backward.colours[::-1]


def test_labels_become_their_colours() -> None:
    palette = class_palette(CLASS_NAMES)
    label = torch.tensor([[0, 20, 255]])
    assert (
        palette.rgb(label)[0].tolist() == rgb_of_hex((palette.colours[0], palette.colours[20], IGNORE_COLOUR)).tolist()
    )
    assert palette.present(label) == (0, 20)


@pytest.mark.parametrize("wrong", [21, 254, -1])
def test_unknown_label_ids_are_refused(wrong: int) -> None:
    with pytest.raises(InputError, match=rf"0\.\.20 or be 255.*{wrong}"):
        class_palette(CLASS_NAMES).rgb(torch.tensor([[0, wrong]]))


def test_a_scale_is_monotonic_in_lightness_and_clips() -> None:
    for name in ("viridis", "cividis"):
        scale = Scale("depth (m)", 1.0, 3.0, name)
        ramp = scale.rgb(np.linspace(1, 3, 64)[None])
        lightness = lab(ramp)[0, :, 0]
        assert (np.diff(lightness) > -0.2).all() and lightness[-1] - lightness[0] > 60
        assert (scale.rgb(np.array([[-9.0, 99.0]])) == ramp[:, [0, -1]]).all()


def test_a_scale_needs_a_range() -> None:
    with pytest.raises(InputError, match="low < high"):
        Scale("depth (m)", 2.0, 2.0)
