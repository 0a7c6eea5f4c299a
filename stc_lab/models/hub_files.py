"""Files of nets off the shelf, as `transformers` saves them: found, checked and loaded without running code in them."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from stc_lab.errors import InputError


def expect_saved_net(folder: Path) -> None:
    """Raise unless a folder has what `save_pretrained` writes."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} holds no config.json", hint="a folder that save_pretrained wrote")
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder} holds no weights as .safetensors",
            hint="a .bin is a pickle, which is not read: load and save it by transformers in a place you trust",
        )


def read_config(transformers: ModuleType, source: str, *, local: bool) -> Any:
    """The net's configuration; InputError where it cannot be found or read."""
    try:
        return transformers.AutoConfig.from_pretrained(source, local_files_only=local)
    except (OSError, ValueError, KeyError) as error:
        raise _not_loaded(source, error, local=local) from error


def load_net(auto: Any, source: str, *, local: bool) -> nn.Module:
    """The net with all of its weights, in float32; `auto` is the class of transformers that knows its task."""
    try:
        net: nn.Module
        net, report = auto.from_pretrained(
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
    return net.eval()


def transformers_module() -> ModuleType:
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"nets off the shelf need transformers, which cannot be imported: {error}",
            hint="pip install 'stc_lab[hub]'",
        ) from error
    return transformers


def stored_preprocessor(transformers: ModuleType, source: str, *, local: bool) -> dict[str, Any]:
    """What `preprocessor_config.json` says, {} without one."""
    try:
        found: dict[str, Any]
        found, _ = transformers.ImageProcessingMixin.get_image_processor_dict(source, local_files_only=local)
    except OSError:
        return {}
    return found


def _not_loaded(source: str, error: Exception, *, local: bool) -> InputError:
    reason = " ".join(str(error).split())[:300]
    hint = (
        "nothing is downloaded unless allowed: from_hub(name, allow_download=True), or from_folder" if local else None
    )
    return InputError(f"{source} cannot be loaded: {reason}", hint=hint)
