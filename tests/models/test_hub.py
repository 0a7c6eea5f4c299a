"""Nets off the shelf: tiny random ones, saved to a folder and read back as a user's would be."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.models import DepthNet, HubDepth, save_model

transformers: Any = pytest.importorskip("transformers")

KINDS = ["relative", "metric", "dpt", "glpn"]


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def tiny(kind: str) -> Any:
    """A net with random weights, lively enough that its output differs from pixel to pixel."""
    torch.manual_seed(0)  # transformers draws from torch's global generator
    if kind == "dpt":
        layers = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
        neck = {"backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 16, 32, 32], "fusion_hidden_size": 16}
        config = transformers.DPTConfig(**layers, **neck, image_size=64, patch_size=16)
    elif kind == "glpn":
        config = transformers.GLPNConfig(
            hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16
        )
    else:
        backbone = transformers.Dinov2Config(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=56,
            patch_size=14,
            out_features=["stage1", "stage2", "stage3", "stage4"],
            reshape_hidden_states=False,
        )
        config = transformers.DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=32,
            neck_hidden_sizes=[8, 16, 32, 32],
            fusion_hidden_size=16,
            head_hidden_size=8,
            depth_estimation_type=kind,
            max_depth=20 if kind == "metric" else 1,
        )
    net = transformers.AutoModelForDepthEstimation.from_config(config).eval()
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim > 1 and ("head" in name or "neck" in name or "decoder" in name):
                value.mul_(8)
    return net


def saved(kind: str, folder: Path, **preprocessor: object) -> Any:
    net = tiny(kind)
    net.save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return net


@pytest.mark.parametrize("kind", KINDS)
def test_depth_of_every_pixel_of_an_image_of_any_size(kind, tmp_path):
    saved(kind, tmp_path)
    model = HubDepth.from_folder(tmp_path)
    assert isinstance(model, DepthNet) and model.relative == (kind in ("relative", "dpt"))
    assert json.loads(json.dumps(model.architecture)) == model.architecture
    with torch.no_grad():
        for height, width in ((50, 70), (33, 16)):
            images = noise(2, 3, height, width)
            depth, (disparity,) = model(images), model.disparities(images)
            assert depth.shape == disparity.shape == (2, 1, height, width)
            assert bool((depth > 0).all()) and float(depth.std()) > 0
            torch.testing.assert_close(depth, 1 / disparity)
            torch.testing.assert_close(model(images[1:])[0], depth[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_out_is_what_the_net_itself_says(kind, tmp_path):
    """At a size that needs no resize: inverse depth as given, up to the far end; or m as given."""
    net = saved(kind, tmp_path)
    height, width = (64, 64) if kind in ("dpt", "glpn") else (56, 56)
    images = noise(1, 3, height, width)
    mean, std = {"dpt": ([0.5] * 3, [0.5] * 3), "glpn": ([0.0] * 3, [1.0] * 3)}.get(
        kind, ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    mean, std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    with torch.no_grad():
        given = net(pixel_values=(images - mean) / std).predicted_depth[:, None]
        (disparity,) = HubDepth.from_folder(tmp_path).disparities(images)
    expected = given.clamp(min=1e-3 * float(given.max())) if kind in ("relative", "dpt") else 1 / given
    torch.testing.assert_close(disparity, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("height", "width"), [(120, 160), (400, 300), (56, 98), (90, 31)])
@pytest.mark.parametrize(
    "stored",
    [
        {"size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14, "resample": 3},
        {"size": {"height": 64, "width": 80}, "keep_aspect_ratio": False, "ensure_multiple_of": 1, "resample": 2},
    ],
)
def test_images_are_prepared_as_transformers_prepares_them(height, width, stored, tmp_path):
    """Its Pillow processor rounds to 8 bits after the resize; within one step of that the two agree."""
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    stored = {**stored, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3]}
    saved("relative", tmp_path, **stored)
    smooth = torch.nn.functional.interpolate(
        noise(1, 3, 6, 8), size=(height, width), mode="bicubic", align_corners=False
    ).clamp(0, 1)
    bytes_ = (smooth[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    expected = DPTImageProcessorPil(**stored)(bytes_, return_tensors="np")["pixel_values"]
    prepared = HubDepth.from_folder(tmp_path).prepare(torch.from_numpy(bytes_).permute(2, 0, 1)[None] / 255)
    assert prepared.shape == expected.shape
    np.testing.assert_allclose(prepared.numpy(), expected, rtol=0, atol=1.6 / 255 / 0.2)


def test_glpn_rounds_down_to_its_stride(tmp_path):
    from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

    saved("glpn", tmp_path)
    prepare = HubDepth.from_folder(tmp_path).prepare
    bytes_ = (noise(70, 130, 3) * 255).to(torch.uint8).numpy()
    expected = GLPNImageProcessorPil()(bytes_, return_tensors="np")["pixel_values"]
    found = prepare(torch.from_numpy(bytes_).permute(2, 0, 1)[None] / 255)
    assert found.shape == expected.shape == (1, 3, 64, 128)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1.6 / 255)


@pytest.mark.parametrize(
    ("kind", "expected"), [("relative", (42, 56)), ("dpt", (48, 48)), ("glpn", (32, 64)), ("metric", (42, 56))]
)
def test_a_short_side_makes_it_cheaper(kind, expected, tmp_path):
    saved(kind, tmp_path)
    model = HubDepth.from_folder(tmp_path, short_side=48 if kind in ("dpt", "glpn") else 42)
    assert model.prepare.target(120, 160) == expected
    assert model(noise(1, 3, 120, 160)).shape == (1, 1, 120, 160)


def test_gradients_pass_to_image_and_net(tmp_path):
    saved("metric", tmp_path)
    model = HubDepth.from_folder(tmp_path)
    images = noise(1, 3, 40, 40).requires_grad_()
    model(images).sum().backward()
    assert float(images.grad.abs().max()) > 0
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in model.parameters())


def test_a_net_that_sees_nothing_near_still_gives_a_depth(tmp_path):
    """ReLU may leave 0 everywhere."""
    net = tiny("relative")
    with torch.no_grad():
        net.head.conv3.weight.zero_()
        net.head.conv3.bias.fill_(-1)
    net.save_pretrained(tmp_path)
    depth = HubDepth.from_folder(tmp_path)(noise(1, 3, 32, 32))
    assert bool(torch.isfinite(depth).all()) and bool((depth > 0).all())


def test_the_network_is_asked_only_where_allowed(monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    with pytest.raises(InputError, match=r"nobody/nothing cannot be loaded: .*allow_download=True"):
        HubDepth.from_hub("nobody/nothing")
    asked = []

    def from_pretrained(name: str, *, local_files_only: bool) -> None:
        asked.append((name, local_files_only))
        raise OSError("not today")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", from_pretrained)
    for allowed in (False, True):
        with pytest.raises(InputError, match="not today"):
            HubDepth.from_hub("nobody/nothing", allow_download=allowed)
    assert asked == [("nobody/nothing", True), ("nobody/nothing", False)]


@pytest.mark.bad_input
def test_folders_that_hold_no_depth_net_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"empty holds no config\.json"):
        HubDepth.from_folder(tmp_path / "empty")
    net = saved("relative", tmp_path)
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    weights.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no weights as \.safetensors.*a \.bin is a pickle"):
        HubDepth.from_folder(tmp_path)
    weights.write_bytes(content[:-64])
    with pytest.raises(InputError, match="cannot be loaded"):
        HubDepth.from_folder(tmp_path)
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("head.")}
    net.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match=r"lack 6 of the net's tensors, the first of them head\.conv1\.bias"):
        HubDepth.from_folder(tmp_path)
    net.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="short_side must be at least 14 px"):
        HubDepth.from_folder(tmp_path, short_side=8)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 64}}))
    with pytest.raises(InputError, match=r"must have height and width, got \{'shortest_edge': 64\}"):
        HubDepth.from_folder(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="architecture 'HubDepth'"):
        save_model(tmp_path / "kit", HubDepth.from_folder(tmp_path))
    transformers.SegformerConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is a segformer, expected one of depth_anything, dpt, glpn"):
        HubDepth.from_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"need transformers.*stc_lab\[hub\]"):
        HubDepth.from_folder(tmp_path)


def test_a_dpt_over_dinov2_must_be_told_what_it_gives(tmp_path):
    backbone = transformers.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    neck = {"neck_hidden_sizes": [8, 16, 32, 32], "fusion_hidden_size": 16}
    config = transformers.DPTConfig(backbone_config=backbone, **neck)
    transformers.DPTForDepthEstimation(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"DPT over DINOv2.*relative=False"):
        HubDepth.from_folder(tmp_path)
    model = HubDepth.from_folder(tmp_path, relative=False)
    assert not model.relative and model(noise(1, 3, 56, 70)).shape == (1, 1, 56, 70)
