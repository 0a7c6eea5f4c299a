"""Files of networks: what is written comes back, and nothing else is accepted."""

import json

import pytest
import torch
from safetensors.torch import save_file

from stc_lab.errors import InputError
from stc_lab.models import (
    DepthFPN,
    DepthResNet,
    FPNSegmenter,
    PairMotionNet,
    load_model,
    load_shipped,
    save_model,
)
from stc_lab.models.store import read_safetensors, write_safetensors


class Foreign(torch.nn.Module):
    @property
    def architecture(self) -> dict[str, object]:
        return {"name": "Foreign"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(seed: int = 0) -> FPNSegmenter:
    model = FPNSegmenter(3, (4, 6, 8, 10), 5, generator=torch.Generator().manual_seed(seed))
    model.train()(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))  # moves BatchNorm's statistics
    return model.eval()


def test_a_saved_network_comes_back_exactly_with_its_notes(tmp_path):
    model = small()
    notes = {"recipe": {"steps": 3, "gaps": [1, 2]}, "by": "a test"}
    path = save_model(tmp_path / "new" / "net.safetensors", model, notes)
    stored = load_model(path)
    images = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(2))
    assert torch.equal(stored.model(images), model(images))
    assert stored.metadata == notes and stored.model.architecture == model.architecture
    assert not stored.model.training
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]  # no temporary left


def test_half_precision_is_half_as_large_and_almost_the_same(tmp_path):
    model = small()
    full = save_model(tmp_path / "full.safetensors", model)
    half = save_model(tmp_path / "half.safetensors", model, dtype=torch.float16)
    images = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(2))
    stored = load_model(half).model
    assert half.stat().st_size < full.stat().st_size
    assert {p.dtype for p in stored.parameters()} == {torch.float32}
    torch.testing.assert_close(stored(images), model(images), rtol=0, atol=5e-3)


def test_a_failed_write_leaves_the_file_before_it(tmp_path):
    path = write_safetensors(tmp_path / "state", {"a": torch.ones(2)}, {"step": 1})
    with pytest.raises(TypeError):
        write_safetensors(path, {"a": torch.zeros(2)}, {"step": object()})
    tensors, notes = read_safetensors(path)
    assert torch.equal(tensors["a"], torch.ones(2)) and notes == {"step": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "model",
    [
        DepthFPN((4, 6, 8, 10), 5, max_depth=20.0, output="softplus", norm="group", generator=seeded()),
        DepthResNet(initial_depth=4.0, generator=seeded()),
        PairMotionNet(widths=(4, 4, 6, 6, 8), residual=True, square_pixels=True, generator=seeded()),
        PairMotionNet(matching="correlation", radius=2, intrinsics="shared", cameras=3, generator=seeded()),
        PairMotionNet(encoder="resnet18", intrinsics="given", generator=seeded()),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_every_architecture_comes_back(tmp_path, model, dtype):
    path = save_model(tmp_path / "net.safetensors", model.eval(), dtype=dtype)
    stored = load_model(path, type(model))
    assert stored.model.architecture == model.architecture and type(stored.model) is type(model)
    for name, value in model.state_dict().items():
        exact = dtype is None or value.ndim < 2
        expected = value if exact else value.to(dtype).float()
        assert torch.equal(stored.model.state_dict()[name], expected), name


def test_a_learned_camera_survives_half_precision(tmp_path):
    model = PairMotionNet(widths=(4, 4, 6, 6, 8), intrinsics="shared", cameras=2, initial_focal=0.912345).eval()
    half = load_model(save_model(tmp_path / "half", model, dtype=torch.float16), PairMotionNet).model
    images = [torch.rand(2, 3, 16, 24, generator=seeded(n)) for n in range(2)]
    index = torch.tensor([0, 1])
    assert torch.equal(half(*images, video=index).camera.K, model(*images, video=index).camera.K)


@pytest.mark.bad_input
def test_files_that_are_no_network_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*missing"):
        load_model(tmp_path / "missing.safetensors")
    torn = save_model(tmp_path / "torn.safetensors", small())
    torn.write_bytes(torn.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"torn.safetensors is no readable safetensors file.*interrupted copy"):
        load_model(torn)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.ones(1)}, foreign)
    with pytest.raises(InputError, match="not written by stc_lab"):
        load_model(foreign)
    other = write_safetensors(tmp_path / "other", {}, {"architecture": {"name": "Swin"}})
    with pytest.raises(InputError, match="architecture 'Swin', expected one of FPNSegmenter"):
        load_model(other)
    wrong = {"name": "FPNSegmenter", "num_classes": 4, "widths": [4, 6, 8, 10], "channels": 5}
    misfit = write_safetensors(tmp_path / "misfit", small().state_dict(), {"architecture": wrong})
    with pytest.raises(InputError, match="misfit do not fit the architecture"):
        load_model(misfit)
    with pytest.raises(InputError, match=r"net\.safetensors holds a FPNSegmenter, expected a DepthFPN"):
        load_model(save_model(tmp_path / "net.safetensors", small()), DepthFPN)
    newer = write_safetensors(tmp_path / "newer", {}, {"architecture": {"name": "DepthFPN", "attention": True}})
    with pytest.raises(InputError, match=r"describes a DepthFPN that this version cannot build.*attention"):
        load_model(newer)
    with pytest.raises(InputError, match="the model to save, a Foreign, holds architecture 'Foreign'"):
        save_model(tmp_path / "foreign", Foreign())
    assert not (tmp_path / "foreign").exists()
    with pytest.raises(InputError, match="no shipped model 'best', expected one of rooms_fpn"):
        load_shipped("best")


def test_notes_must_be_json(tmp_path):
    path = save_model(tmp_path / "net.safetensors", small(), {"miou": 0.25})
    assert json.dumps(load_model(path).metadata) == '{"miou": 0.25}'
