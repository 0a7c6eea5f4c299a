"""Depth nets off the shelf, through `transformers` (the extra `hub`): Depth Anything, DPT (MiDaS 3), GLPN.

Their weights come from a folder, or from the hub's cache on this machine; the network is used only on request.
"""

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import check_images
from stc_lab.models.depth_range import full_size
from stc_lab.models.hub_files import expect_saved_net, load_net, read_config, stored_preprocessor, transformers_module
from stc_lab.models.hub_images import Preparation, preparation

DEPTH_MODELS = ("depth_anything", "dpt", "glpn")
_FARTHEST = 1e-3  # of the image's nearest disparity: what is farther, up to the sky's 0, is put there
_NEAREST_METRIC = 1e-3  # m


class HubDepth(nn.Module):
    """A depth net of `transformers` behind the kit's `DepthNet`: images in [0, 1] of any size, depth of that size.

    `relative` nets (Depth Anything, DPT) give inverse depth up to an unknown scale and shift. It is taken with a shift
    of 0: depth = 1 / inverse depth, in an unknown unit, no farther than 1000 times the image's nearest point. Where
    the shift matters, fit scale and shift of `disparities` to something known. The others (GLPN, Depth Anything's
    metric ones) give m as they are.
    """

    def __init__(self, net: nn.Module, prepare: Preparation, *, relative: bool) -> None:
        """Wrap a net that is there already; `from_folder` and `from_hub` load one."""
        super().__init__()
        self.net, self.prepare, self.relative = net, prepare, relative

    @classmethod
    def from_folder(
        cls, folder: Path | str, *, relative: bool | None = None, short_side: int | None = None
    ) -> "HubDepth":
        """Load `config.json`, `*.safetensors` and, if there, `preprocessor_config.json`, as `save_pretrained` writes.

        `relative` says what the net gives where its files do not (DPT over DINOv2). `short_side` (px) replaces the size
        that images are brought to: the nets' own 384 or 518 px cost seconds an image on a CPU.
        """
        folder = Path(folder)
        expect_saved_net(folder)
        return cls._load(str(folder), relative, short_side, local=True)

    @classmethod
    def from_hub(
        cls, name: str, *, allow_download: bool = False, relative: bool | None = None, short_side: int | None = None
    ) -> "HubDepth":
        """Load a net by its name on the hub, "owner/net", from this machine's cache, or, if allowed, from the network.

        The other arguments are `from_folder`'s.
        """
        return cls._load(name, relative, short_side, local=not allow_download)

    @classmethod
    def _load(cls, source: str, relative: bool | None, short_side: int | None, *, local: bool) -> "HubDepth":
        transformers = transformers_module()
        config = read_config(transformers, source, local=local)
        if config.model_type not in DEPTH_MODELS:
            raise InputError(f"{source} is a {config.model_type}, expected one of {', '.join(DEPTH_MODELS)}")
        relative = _is_relative(config, source) if relative is None else relative
        prepare = preparation(config, stored_preprocessor(transformers, source, local=local), short_side)
        net = load_net(transformers.AutoModelForDepthEstimation, source, local=local)
        return cls(net, prepare, relative=relative)

    @property
    def architecture(self) -> dict[str, object]:
        """What tells nets of one shape from others, in JSON's types; `save_pretrained` of `net` writes its files."""
        config: Any = self.net.config
        return {"name": "HubDepth", "relative": self.relative, "config": json.loads(config.to_json_string())}

    def disparities(self, images: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 1 h w"]]:
        """Inverse depth of every pixel: 1/m, or in a unit and with a shift of the net's own where it is `relative`."""
        check_images(images)
        weights: Tensor = next(self.net.parameters())
        given: Float[Tensor, "b hs ws"] = self.net(pixel_values=self.prepare(images).to(weights.dtype)).predicted_depth
        given = given[:, None].to(working_dtype(images))
        if not self.relative:
            return (full_size(1 / given.clamp(min=_NEAREST_METRIC), *images.shape[-2:]),)
        nearest = given.amax(dim=(1, 2, 3), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny / _FARTHEST)
        return (full_size(given.maximum(_FARTHEST * nearest), *images.shape[-2:]),)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Depth of every pixel: m, or an unknown unit where the net is `relative`; images are RGB in [0, 1]."""
        return 1 / self.disparities(images)[0]


def _is_relative(config: Any, source: str) -> bool:
    if config.model_type == "depth_anything":
        return bool(config.depth_estimation_type == "relative")
    backbone = getattr(config, "backbone_config", None)
    if config.model_type == "dpt" and getattr(backbone, "model_type", "") == "dinov2":
        raise InputError(
            f"{source} is a DPT over DINOv2, and its files do not say what it gives",
            hint="those of NYU and KITTI give m: relative=False",
        )
    return bool(config.model_type == "dpt")
