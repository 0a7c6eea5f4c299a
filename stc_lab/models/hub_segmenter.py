"""Segmentation nets off the shelf, through `transformers` (the extra `hub`): SegFormer, UperNet, MobileNetV2."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import check_images
from stc_lab.models.hub_files import expect_saved_net, load_net, read_config, stored_preprocessor, transformers_module
from stc_lab.models.hub_images import FILTERS, IMAGENET, Preparation

SEGMENTERS = ("segformer", "upernet", "mobilenet_v2")
_MULTIPLE = 32  # px: the coarsest stride of these nets


class HubSegmenter(nn.Module):
    """A segmentation net of `transformers` as the kit's `Segmenter`: images in [0, 1], logits of every pixel.

    Images are brought to the size that the net's files name, or else to the next multiple of 32 px; `classes` are its
    own, by id. The logits, which these nets give on a coarser grid, are resized with `align_corners=False` as their own
    post-processing does.
    """

    coarse_stride: int = 4

    def __init__(self, net: nn.Module, prepare: Preparation) -> None:
        """Wrap a net that is there already; `from_folder` loads one."""
        super().__init__()
        self.net, self.prepare = net, prepare
        config: Any = net.config
        self.num_classes = int(config.num_labels)
        names: Mapping[Any, str] = config.id2label
        self.classes = tuple(str(names[i]) for i in range(self.num_classes))

    @classmethod
    def from_folder(cls, folder: Path | str, *, short_side: int | None = None) -> "HubSegmenter":
        """Load `config.json`, `*.safetensors` and, if there, `preprocessor_config.json`, as `save_pretrained` writes.

        `short_side` (px) replaces the size that images are brought to, and keeps their aspect.
        """
        folder = Path(folder)
        expect_saved_net(folder)
        transformers, source = transformers_module(), str(folder)
        config = read_config(transformers, source, local=True)
        if config.model_type not in SEGMENTERS:
            raise InputError(f"{source} is a {config.model_type}, expected one of {', '.join(SEGMENTERS)}")
        if short_side is not None and short_side < _MULTIPLE:
            raise InputError(f"short_side must be at least {_MULTIPLE} px, got {short_side}")
        stored = stored_preprocessor(transformers, source, local=True)
        net = load_net(transformers.AutoModelForSemanticSegmentation, source, local=True)
        model = cls(net, _preparation(stored, short_side))
        model.eval()
        return model

    @property
    def architecture(self) -> dict[str, object]:
        """What tells nets of one shape from others, in JSON's types; `save_pretrained` of `net` writes its files."""
        config: Any = self.net.config
        return {
            "name": "HubSegmenter",
            "config": json.loads(config.to_json_string()),
            "prepare": json.loads(json.dumps(vars(self.prepare))),
        }

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Logits of every pixel; images are RGB in [0, 1]."""
        check_images(images)
        weights: Tensor = next(self.net.parameters())
        given: Tensor = self.net(pixel_values=self.prepare(images).to(weights.dtype)).logits
        size = (images.shape[-2], images.shape[-1])
        return F.interpolate(given.to(working_dtype(images)), size=size, mode="bilinear", align_corners=False)

    def coarse(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k hs ws"]:
        """Logits of every 4th pixel from the first."""
        return self(images)[..., :: self.coarse_stride, :: self.coarse_stride]


def _preparation(stored: Mapping[str, Any], short_side: int | None) -> Preparation:
    mean, std = IMAGENET
    if stored.get("do_normalize", True):
        mean, std = tuple(stored.get("image_mean") or mean), tuple(stored.get("image_std") or std)
    else:
        mean, std = (0.0,) * 3, (1.0,) * 3
    size = stored.get("size") or {}
    size = {"height": size, "width": size} if isinstance(size, int) else size
    fixed = (int(size["height"]), int(size["width"])) if {"height", "width"} <= set(size) else None
    short_side = short_side or size.get("shortest_edge")
    return Preparation(
        mean=mean,
        std=std,
        size=None if short_side is not None else fixed,
        multiple=_MULTIPLE,
        keep_aspect=short_side is not None,
        short_side=short_side,
        filter=FILTERS.get(stored.get("resample", 2), "bilinear"),
    )
