"""Save and load networks: weights as safetensors, architecture and notes as JSON in its header. No pickle."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stc_lab.errors import InputError
from stc_lab.models.depth import DepthFPN
from stc_lab.models.depth_resnet import DepthResNet
from stc_lab.models.fpn import FPNSegmenter
from stc_lab.models.motion import PairMotionNet
from stc_lab.models.network import Network

ARCHITECTURES: dict[str, Callable[..., Network]] = {
    "FPNSegmenter": FPNSegmenter,
    "DepthFPN": DepthFPN,
    "DepthResNet": DepthResNet,
    "PairMotionNet": PairMotionNet,
}
SHIPPED = ("rooms_fpn", "rooms_depth")

N = TypeVar("N", bound=Network)
N_co = TypeVar("N_co", bound=Network, covariant=True)


@dataclass(frozen=True)
class StoredModel(Generic[N_co]):
    """A network read from a file, in evaluation mode, and what was noted with it."""

    model: N_co
    metadata: dict[str, Any]


def save_model(
    path: Path | str, model: Network, metadata: dict[str, Any] | None = None, *, dtype: torch.dtype | None = None
) -> Path:
    """Write weights and architecture to one safetensors file, all or nothing; `metadata` is anything JSON can hold.

    `dtype=torch.float16` halves the file: convolutions are rounded; vectors, such as BatchNorm's statistics and learned
    focal lengths, stay as they are.
    """
    _expect_known(model.architecture.get("name"), f"the model to save, a {type(model).__name__},")
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if dtype is not None:
        state = {name: value.to(dtype) if value.ndim > 1 else value for name, value in state.items()}
    return write_safetensors(path, state, {"architecture": model.architecture, "metadata": metadata or {}})


@overload
def load_model(path: Path | str, *, device: torch.device | str = "cpu") -> StoredModel[Network]: ...
@overload
def load_model(path: Path | str, kind: type[N], *, device: torch.device | str = "cpu") -> StoredModel[N]: ...
def load_model(
    path: Path | str, kind: type[Any] | None = None, *, device: torch.device | str = "cpu"
) -> StoredModel[Network]:
    """Read a file of `save_model`; the weights come back as float32.

    `kind` is the class that is wanted, such as `DepthFPN`. Raises InputError if the file is missing, damaged, no model
    of this kit, or one of another kind.
    """
    state, notes = read_safetensors(path)
    architecture = dict(notes.get("architecture", {}))
    name = architecture.pop("name", None)
    _expect_known(name, str(path))
    if kind is not None and ARCHITECTURES[name] is not kind:
        raise InputError(f"{path} holds a {name}, expected a {kind.__name__}")
    try:
        model = ARCHITECTURES[name](**architecture)
    except TypeError as error:
        raise InputError(
            f"{path} describes a {name} that this version cannot build: {error}", hint="a file of another version"
        ) from error
    try:
        model.load_state_dict({key: value.float() if value.ndim > 1 else value for key, value in state.items()})
    except RuntimeError as error:
        raise InputError(f"the weights in {path} do not fit the architecture it names: {error}") from error
    model.to(device)
    model.eval()
    return StoredModel(model, notes.get("metadata", {}))


def _expect_known(name: object, holder: str) -> None:
    if name not in ARCHITECTURES:
        raise InputError(
            f"{holder} holds architecture {name!r}, expected one of {', '.join(ARCHITECTURES)}",
            hint="a training checkpoint or another program's weights: models are written by save_model",
        )


@overload
def load_shipped(
    name: Literal["rooms_fpn"] = "rooms_fpn", *, device: torch.device | str = "cpu"
) -> StoredModel[FPNSegmenter]: ...
@overload
def load_shipped(name: Literal["rooms_depth"], *, device: torch.device | str = "cpu") -> StoredModel[DepthFPN]: ...
@overload
def load_shipped(name: str, *, device: torch.device | str = "cpu") -> StoredModel[Network]: ...
def load_shipped(name: str = "rooms_fpn", *, device: torch.device | str = "cpu") -> StoredModel[Network]:
    """A small network that comes with the package.

    `stc-lab train-shipped` makes `rooms_fpn` again, a segmenter; `stc-lab train-depth` makes `rooms_depth`.
    """
    if name not in SHIPPED:
        raise InputError(f"no shipped model {name!r}, expected one of {', '.join(SHIPPED)}")
    with resources.as_file(resources.files("stc_lab.models") / "weights" / f"{name}.safetensors") as path:
        return load_model(path, device=device)


def write_safetensors(path: Path | str, tensors: dict[str, Tensor], notes: dict[str, Any]) -> Path:
    """Write `tensors` and the JSON `notes` to one file: under a temporary name first, then renamed in one go."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        whole = {name: value.contiguous() for name, value in tensors.items()}  # the format knows no strides
        save_file(whole, temporary, metadata={"stc_lab": json.dumps(notes)})
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's files are private; this one is to be shared like any other
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read_safetensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and notes of a file of `write_safetensors`; InputError if it is missing, damaged or another program's."""
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            notes = (file.metadata() or {}).get("stc_lab")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is no readable safetensors file ({error})",
            hint="an interrupted copy, or a Git LFS pointer",
        ) from error
    if notes is None:
        raise InputError(f"{path} was not written by stc_lab: its header has no 'stc_lab' entry")
    return tensors, json.loads(notes)
