"""Depth nets off the shelf, through `transformers` (the extra `hub`): Depth Anything, DPT (MiDaS 3), GLPN.

Their weights come from a folder, or from the hub's cache on this machine; the network is used only on request.
"""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import check_images
from stc_lab.models.depth_range import full_size
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
        if not (folder / "config.json").is_file():
            raise InputError(f"{folder} holds no config.json", hint="a folder that save_pretrained wrote")
        if not list(folder.glob("*.safetensors")):
            raise InputError(
                f"{folder} holds no weights as .safetensors",
                hint="a .bin is a pickle, which is not read: load and save it by transformers in a place you trust",
            )
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
        transformers = _transformers()
        try:
            config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
        except (OSError, ValueError, KeyError) as error:
            raise _not_loaded(source, error, local=local) from error
        if config.model_type not in DEPTH_MODELS:
            raise InputError(f"{source} is a {config.model_type}, expected one of {', '.join(DEPTH_MODELS)}")
        relative = _is_relative(config, source) if relative is None else relative
        prepare = preparation(config, _preprocessor(transformers, source, local), short_side)
        try:
            net, report = transformers.AutoModelForDepthEstimation.from_pretrained(
                source, local_files_only=local, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise _not_loaded(source, error, local=local) from error
        lacking = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
        if lacking:  # transformers would go on with random numbers there
            raise InputError(
                f"the weights of {source} lack {len(lacking)} of the net's tensors, the first of them {lacking[0]}",
                hint="weights of another net or task beside this config.json",
            )
        return cls(net.eval(), prepare, relative=relative)

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


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"nets off the shelf need transformers, which cannot be imported: {error}",
            hint="pip install 'stc_lab[hub]'",
        ) from error
    return transformers


def _preprocessor(transformers: ModuleType, source: str, local: bool) -> dict[str, Any]:
    """What `preprocessor_config.json` says, {} without one."""
    try:
        found: dict[str, Any]
        found, _ = transformers.ImageProcessingMixin.get_image_processor_dict(source, local_files_only=local)
    except OSError:
        return {}
    return found


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


def _not_loaded(source: str, error: Exception, *, local: bool) -> InputError:
    reason = " ".join(str(error).split())[:300]
    hint = (
        "nothing is downloaded unless allowed: from_hub(name, allow_download=True), or from_folder" if local else None
    )
    return InputError(f"{source} cannot be loaded: {reason}", hint=hint)
