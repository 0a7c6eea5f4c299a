"""ResNet-18 and ResNet-50 (He et al. 2016) with torchvision's names of weights, so that its files load."""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.weight_files import read_state_dict

Depth = Literal[18, 50]
_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images, RGB in [0, 1]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(c_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(c_in, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d hs ws"]:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution beside a shortcut; the stride is the 3x3's, as in torchvision."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        c_out = width * self.expansion
        self.conv1 = _conv(c_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, c_out, 1)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d hs ws"]:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNetEncoder(nn.Module):
    """Features at strides 2, 4, 8, 16, 32 of one image, or of several in one stack (monodepth2's pose net).

    Pixel i of stride s is centred on image pixel s i. Images in [0, 1] are normalised inside, by ImageNet's mean.
    """

    def __init__(self, depth: Depth = 18, *, images: int = 1) -> None:
        super().__init__()
        if depth not in _BLOCKS or images < 1:
            raise InputError(
                f"a ResNet has depth 18 or 50 and sees 1 or more images, got depth={depth}, images={images}"
            )
        self.depth, self.images = depth, images
        block = BasicBlock if depth == 18 else Bottleneck
        self.channels = (64, *(width * block.expansion for width in (64, 128, 256, 512)))
        self.conv1 = nn.Conv2d(3 * images, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for number, (blocks, c_in, width) in enumerate(
            zip(_BLOCKS[depth], self.channels, (64, 128, 256, 512), strict=False), start=1
        ):
            first = block(c_in, width, stride=1 if number == 1 else 2)
            rest = (block(width * block.expansion, width, stride=1) for _ in range(blocks - 1))
            self.add_module(f"layer{number}", nn.Sequential(first, *rest))
        mean, std = (torch.tensor(value * images)[:, None, None] for value in (_MEAN, _STD))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, *images: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Features of `images`, stacked along their channels, at strides 2, 4, 8, 16, 32."""
        stacked = torch.cat(images, dim=1)
        features = F.relu(self.bn1(self.conv1((stacked - self.get_buffer("mean")) / self.get_buffer("std"))))
        pyramid = [features]
        features = F.max_pool2d(features, kernel_size=3, stride=2, padding=1)
        for number in range(1, 5):
            features = self.get_submodule(f"layer{number}")(features)
            pyramid.append(features)
        return pyramid

    def load(self, path: Path | str) -> None:
        """Take the weights of an image classifier from a file with torchvision's names, `.safetensors` or `.pth`.

        The classifier's last layer is left out. For several images the first layer is repeated and divided by their
        number, as in monodepth2: a stack of equal images then gives what one image gave.
        """
        state = read_state_dict(path)
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
        first = state.get("conv1.weight")
        if first is not None and first.ndim == 4 and first.shape[1] == 3:
            state["conv1.weight"] = first.repeat(1, self.images, 1, 1) / self.images
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"{path} holds no weights of a ResNet-{self.depth}: {' '.join(str(error).split())[:300]}",
                hint="another depth, or names other than torchvision's (conv1.weight, layer1.0.bn2.bias, ...)",
            ) from error


def _conv(c_in: int, c_out: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution where the block changes size or channels, else nothing."""
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(_conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))
