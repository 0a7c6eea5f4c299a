"""Files of weights that other programs wrote."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from stc_lab.errors import InputError


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Names and tensors of a `.safetensors` file, or of a `.pth` file of tensors alone: no code in it is run."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no weights file {path}", hint="nothing is downloaded: give a local file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251  # tensors alone, no code
    except Exception as error:  # both libraries raise many kinds on a damaged file
        reason = str(error).split(". ")[0].splitlines()[:1]  # what torch goes on to advise is to run the file's code
        raise InputError(
            f"{path} cannot be read as weights: {' '.join(reason)}",
            hint="a file cut short, a whole pickled model instead of its state dict, or another kind of file",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} must hold a state dict, names with tensors, got {type(state).__name__}")
    return state
