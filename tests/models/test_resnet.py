"""ResNets: the published networks, their files, and the depth and motion nets built on them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stc_lab.models import DepthNet, DepthResNet, MotionNet, PairMotionNet, ResNetEncoder, full_size


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=seeded(seed))


def as_torchvision(depth: int) -> dict[str, torch.Tensor]:
    """What torchvision's classifier of this depth has in its files: the encoder's names and a last layer."""
    state = dict(DepthResNet(depth, generator=seeded(9)).encoder.state_dict())
    state["bn1.running_mean"] = noise(64)
    return state | {"fc.weight": noise(1000, 512), "fc.bias": noise(1000)}


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (50, 25_557_032)])
def test_has_the_published_number_of_parameters(depth, published):
    encoder = ResNetEncoder(depth)
    classifier = 1000 * encoder.channels[-1] + 1000
    assert sum(p.numel() for p in encoder.parameters()) + classifier == published


@pytest.mark.parametrize(("depth", "block"), [(18, "basic"), (50, "bottleneck")])
def test_computes_what_transformers_computes_with_the_same_weights(depth, block):
    """Its ResNet is the published one too; the names differ, the order of the layers does not."""
    transformers = pytest.importorskip("transformers")
    sizes = [64, 128, 256, 512] if depth == 18 else [256, 512, 1024, 2048]
    depths = [2, 2, 2, 2] if depth == 18 else [3, 4, 6, 3]
    config = transformers.ResNetConfig(layer_type=block, hidden_sizes=sizes, depths=depths)
    reference = transformers.ResNetModel(config).eval()
    encoder = ResNetEncoder(depth).eval()

    def order(name: str) -> str:
        """Blocks one after the other; within a block the shortcut last."""
        for old, new in (("embedder.embedder.", ""), ("encoder.stages.", "layer"), (".layers.", "."), (".layer.", ".")):
            name = name.replace(old, new)
        return name.replace(".shortcut.", ".z.")

    theirs = dict(sorted((order(name), value) for name, value in reference.state_dict().items()))
    ours = {}
    for name in encoder.state_dict():
        stage, number = (int(name[5]) - 1, name.split(".")[1]) if name.startswith("layer") else (0, "")
        kind = "convolution" if "conv" in name or "downsample.0" in name else "normalization"
        if not name.startswith("layer"):
            key = f"{kind}.{name.rsplit('.', 1)[1]}"
        else:
            place = "z" if "downsample" in name else str(int(name.split(".")[2][-1]) - 1)
            key = f"layer{stage}.{number}.{place}.{kind}.{name.rsplit('.', 1)[1]}"
        ours[name] = theirs.pop(key)
    assert not theirs
    encoder.load_state_dict(ours)
    images = noise(2, 3, 45, 70)
    with torch.no_grad():
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        normalised = (images - mean[:, None, None]) / std[:, None, None]
        expected = reference(normalised, output_hidden_states=True).hidden_states[1:]
        found = encoder(images)
    assert [f.shape[-2:] for f in found[:2]] == [(23, 35), (12, 18)]
    for ours_, theirs_ in zip(found[1:], expected, strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_local_file_with_torchvisions_names_loads(suffix, tmp_path):
    state = as_torchvision(18)
    path = tmp_path / f"resnet18.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)  # noqa: TID251  # as users have them
    model = DepthResNet(18, weights=path)
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, state[name]), name
    pair = PairMotionNet(encoder="resnet18", weights=path)
    one, two = model.encoder.eval(), pair.encoder.eval()
    image = noise(1, 3, 32, 32)
    with torch.no_grad():  # a stack of equal images gives what one image gives
        for single, double in zip(one(image), two(image, image), strict=True):
            torch.testing.assert_close(double, single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 47), (16, 16)])
def test_the_depth_net_has_four_scales_and_takes_any_size(height, width):
    model = DepthResNet(generator=seeded()).eval()
    assert isinstance(model, DepthNet)
    images = noise(2, 3, height, width)
    with torch.no_grad():
        depth, disparities = model(images), model.disparities(images)
        torch.testing.assert_close(model(images[1:])[0], depth[1], rtol=1e-4, atol=1e-5)
    whole = [-(-side // 32) * 32 for side in (height, width)]
    assert [list(d.shape[-2:]) for d in disparities] == [[side // s for side in whole] for s in (1, 2, 4, 8)]
    torch.testing.assert_close(1 / depth, full_size(disparities[0], height, width))
    assert depth.shape == (2, 1, height, width) and bool(((depth > 1.5) & (depth < 4)).all())


def test_the_depth_nets_sizes_are_monodepth2s():
    """14.3 and 32.5 million, as later papers count them."""
    for depth, millions in ((18, 14.3), (50, 32.5)):
        assert round(sum(p.numel() for p in DepthResNet(depth).parameters()) / 1e6, 1) == millions


def test_gradients_reach_every_parameter():
    depth = DepthResNet(generator=seeded())
    sum(d.square().mean() for d in depth.disparities(noise(2, 3, 64, 64))).backward()
    motion = PairMotionNet(encoder="resnet18", residual=True, generator=seeded())
    assert isinstance(motion, MotionNet)
    found = motion(noise(2, 3, 64, 64), noise(2, 3, 64, 64, seed=2))
    (found.T_a_b.square().sum() + found.camera.K.square().sum() + found.residual.square().sum()).backward()
    for model in (depth, motion):
        assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in model.parameters())


@pytest.mark.bad_input
def test_weights_that_are_missing_or_of_another_net_are_named(tmp_path: Path):
    from stc_lab.errors import InputError

    with pytest.raises(InputError, match=r"depth 18 or 50 .* got depth=34"):
        ResNetEncoder(34)
    with pytest.raises(InputError, match=r"no weights file .*resnet18\.pth.*nothing is downloaded"):
        DepthResNet(weights=tmp_path / "resnet18.pth")
    wrong = tmp_path / "resnet50.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, wrong)
    with pytest.raises(InputError, match=r"holds no weights of a ResNet-18: .*another depth"):
        ResNetEncoder(18).load(wrong)
    torn = tmp_path / "torn.pth"
    torn.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"torn\.pth cannot be read as weights"):
        ResNetEncoder(18).load(torn)
