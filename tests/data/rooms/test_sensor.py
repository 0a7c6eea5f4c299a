"""The sensor: a clean one changes nothing, and each knob does its own thing alone."""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from stc_lab.data.rooms import Sensor, develop

CLEAN = Sensor().scaled(0.0)
KNOBS = [field.name for field in fields(Sensor) if field.name != "memory"]


def _pictures(frames: int = 6) -> Tensor:
    return torch.rand(frames, 3, 20, 30, generator=torch.Generator().manual_seed(1))


def _grey(frames: int) -> Tensor:
    return torch.full((frames, 3, 20, 30), 0.5)


def _draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_clean_sensor_changes_not_one_bit() -> None:
    x = _pictures()
    assert torch.equal(CLEAN.apply(x, _draws()), x)


@pytest.mark.parametrize("knob", KNOBS)
def test_each_knob_alone_changes_pictures_that_stay_in_range(knob: str) -> None:
    x = _pictures()
    sensor = replace(CLEAN, **{knob: 1.0 if knob == "blur" else getattr(Sensor(), knob)})
    y = sensor.apply(x, _draws())
    assert not torch.equal(x, y)
    assert float(y.min()) >= 0 and float(y.max()) <= 1
    assert torch.equal(y, sensor.apply(x, _draws()))
    assert not torch.equal(y, sensor.apply(x, _draws(1)))


def test_one_knob_leaves_the_draws_of_the_others() -> None:
    """Exposure of grey frames is the same with and without blur, balance and contrast draws in between."""
    exposure = replace(CLEAN, exposure=0.2)
    both = replace(exposure, blur=1.0)
    assert torch.allclose(exposure.apply(_grey(8), _draws()), both.apply(_grey(8), _draws()), atol=1e-6)


def test_a_video_in_pieces_of_sixteen_frames_is_recorded_as_at_once() -> None:
    """Also for pictures whose number of values is no multiple of anything."""
    for size in ((5, 7), (20, 30)):
        x = torch.rand(41, 3, *size, generator=_draws(3))
        sensor = replace(Sensor(), memory=0.9)
        whole, noise = sensor.apply(x, _draws()), _draws()
        faults = sensor.draw(41, noise)
        pieces = [sensor.record(x[i : i + 16], faults.part(i, i + 16), noise) for i in (0, 16, 32)]
        assert torch.equal(torch.cat(pieces), whole)


def test_noise_and_exposure_have_their_strength() -> None:
    noisy = replace(CLEAN, noise=0.03).apply(_grey(50), _draws())
    assert abs(float((noisy - 0.5).std()) - 0.03) < 5e-4
    gain = (replace(CLEAN, exposure=0.1).apply(_grey(2000)[..., :1, :1], _draws()) / 0.5).log()
    assert abs(float(gain.std()) - 0.1) < 0.01
    assert torch.equal(gain[:, 0], gain[:, 1])


def test_blur_touches_its_share_of_the_frames_and_keeps_their_light() -> None:
    x = _pictures(400)
    y = replace(CLEAN, blur=0.2).apply(x, _draws())
    blurred = (x != y).flatten(1).any(dim=1)
    assert abs(float(blurred.float().mean()) - 0.2) < 0.06
    assert torch.equal(x[~blurred], y[~blurred])
    assert float((y[blurred].mean() - x[blurred].mean()).abs()) < 0.01
    assert float(y[blurred].var()) < 0.5 * float(x[blurred].var())


def test_memory_makes_drift_of_jumps_and_keeps_their_size() -> None:
    def gains(memory: float) -> Tensor:
        sensor = replace(CLEAN, exposure=0.1, memory=memory)
        return (sensor.apply(_grey(4000)[..., :1, :1], _draws())[:, 0, 0, 0] / 0.5).log()

    for memory in (0.0, 0.9):
        g = gains(memory)
        assert abs(float(torch.corrcoef(torch.stack([g[:-1], g[1:]]))[0, 1]) - memory) < 0.05
        assert abs(float(g.std()) - 0.1) < 0.02


def test_the_dial_of_the_studies() -> None:
    """Study 2: dial 0.3 is exposure e^(.084 N), white balance 2.7 %, 20 % of the frames blurred, noise .021."""
    sensor = Sensor().scaled(0.3)
    assert sensor.exposure == pytest.approx(0.084)
    assert sensor.white_balance == pytest.approx(0.027)
    assert sensor.blur == pytest.approx(0.2, abs=0.005)
    assert sensor.noise == pytest.approx(0.021, abs=0.002)
    assert Sensor().scaled(1.0) == Sensor()


def test_double_precision_pictures_stay_so() -> None:
    assert Sensor().apply(_pictures().double(), _draws()).dtype == torch.float64


def test_auto_exposure_makes_up_for_its_share_of_the_light() -> None:
    light = 0.2 + 0.2 * _pictures(2)
    half = 0.5 * light
    assert torch.allclose(develop(light, auto_exposure=1.0), develop(half, auto_exposure=1.0), atol=1e-6)
    fixed = develop(torch.cat([light, half]), auto_exposure=0.0)
    assert float(fixed[2:].mean()) < float(fixed[:2].mean())
    expected = (1.2 * 0.3 / (1 + 0.25 * 0.3)) ** (1 / 1.8)
    assert math.isclose(
        float(develop(torch.full((1, 3, 2, 2), 0.3), auto_exposure=0.0)[0, 0, 0, 0]), expected, rel_tol=1e-5
    )
