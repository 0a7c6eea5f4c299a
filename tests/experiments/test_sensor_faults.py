"""One fault at a time: each changes the picture in its own way, none changes the clean one."""

import pytest
import torch

from stc_lab.data.rooms import RoomsConfig, Sensor, render_video
from stc_lab.errors import InputError
from stc_lab.experiments.sensor_faults import FAULTS, fault_pictures, sensor_of

CONFIG = RoomsConfig(motion="handheld", frames=4, height=32, width=48)


def test_no_fault_leaves_the_picture() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(sensor_of().apply(images, torch.Generator().manual_seed(0)), images)


def test_a_strength_is_a_share_of_the_strongest() -> None:
    sensor = sensor_of(exposure=0.5, blur=1.0)
    assert sensor.exposure == Sensor().exposure / 2 and sensor.blur == 1.0
    assert sensor.noise == sensor.shading == sensor.white_balance == sensor.contrast == 0


def test_each_fault_changes_the_same_picture() -> None:
    from dataclasses import replace

    clean = render_video("rooms-test-0003", replace(CONFIG, dial=0.0)).image[1]
    pictures = fault_pictures("rooms-test-0003", CONFIG, 1)
    assert list(pictures) == ["clean", *FAULTS.values(), "motion blur"]
    assert torch.equal(pictures["clean"].image, clean)
    for name, picture in pictures.items():
        assert picture.difference == pytest.approx(float((picture.image - clean).abs().mean()), abs=1e-6)
        assert (picture.difference > 0) == (name != "clean")


def test_balance_changes_colours_and_blur_keeps_the_brightness() -> None:
    pictures = fault_pictures("rooms-test-0003", CONFIG, 1)
    clean = pictures["clean"].image

    def tint(name: str) -> float:
        return float((pictures[name].image - clean).mean(dim=(1, 2)).std())

    assert tint("white balance") > 5 * tint("noise")
    for name in ("blur of a shaken hand", "motion blur"):
        assert abs(float(pictures[name].image.mean() - clean.mean())) < 0.02


@pytest.mark.bad_input
def test_what_is_no_fault_or_no_frame_is_refused() -> None:
    with pytest.raises(InputError, match="unknown fault 'dust'; legal: noise, exposure"):
        sensor_of(dust=1.0)
    with pytest.raises(InputError, match=r"frame must lie in 0\.\.3, got 4"):
        fault_pictures("rooms-test-0003", CONFIG, 4)
