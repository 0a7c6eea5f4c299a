"""How good is a warp between two frames, and what does each error in the geometry cost?"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from stc_lab.data.frames import Clip
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera
from stc_lab.geometry.pose import invert_pose, pose_from
from stc_lab.geometry.warp import (
    IGNORE,
    Correspondence,
    Warped,
    correspond,
    identity_warp,
    masked_labels,
    sample,
    sample_labels,
)

_PAIRS_AT_ONCE = 16  # bounds the memory of a long video


@dataclass(frozen=True)
class GeometryError:
    """What is put wrong before the warp; the default is nothing."""

    depth_scale: float = 1.0  # factor on the target's depth
    focal_scale: float = 1.0  # factor on both focal lengths
    translation_scale: float = 1.0  # factor on the translation of the relative pose
    yaw: float = 0.0  # degrees about the camera's y axis, turning right
    pitch: float = 0.0  # degrees about the camera's x axis, turning up
    sideways: float = 0.0  # metres along the camera's x axis
    forward: float = 0.0  # metres along the camera's z axis
    inverted: bool = False  # the pose taken in the wrong direction

    def __post_init__(self) -> None:
        scales = {name: getattr(self, name) for name in ERRORS if name.endswith("_scale")}
        if min(scales.values()) <= 0:
            raise InputError(f"scales must be positive, got {', '.join(f'{n} {v:g}' for n, v in scales.items())}")

    @classmethod
    def of(cls, **sizes: float) -> "GeometryError":
        """The errors of these sizes: scales in per cent too large, angles in degrees, lengths in m."""
        unknown = [name for name in sizes if name not in ERRORS]
        if unknown:
            raise InputError(f"error must be one of {', '.join(ERRORS)}, got {unknown[0]!r}")
        values: dict[str, Any] = {n: 1 + size / 100 if n.endswith("_scale") else size for n, size in sizes.items()}
        return cls(**values)


ERRORS = tuple(field.name for field in fields(GeometryError) if field.name != "inverted")


@dataclass(frozen=True)
class WarpQuality:
    """How well a warped source fits its target, over the pixels that are compared (see `warp_pair`)."""

    photometric: float  # mean absolute RGB difference, images in [0, 1]
    photometric_identity: float  # the same for the unwarped source: what no geometry at all would get
    label_agreement: float | None  # share of equal labels, 0..1; None without labels
    label_agreement_identity: float | None
    visible: float  # share of the image's pixels that were compared
    pixels: int  # compared in colour
    labelled_pixels: int  # compared in label


@dataclass(frozen=True)
class PairWarp:
    """A source frame warped into a target frame, with everything one wants to look at."""

    warped: Warped
    labels: Int64[Tensor, "b h w"] | None  # the source's, warped; 255 where not compared
    error: Float[Tensor, "b h w"]  # mean absolute RGB difference at every pixel, visible or not
    quality: WarpQuality


def _motion(target: Clip, source: Clip, error: GeometryError) -> Float[Tensor, "b 4 4"]:
    T_source_target = target.motion_to(source)
    if error.inverted:
        T_source_target = invert_pose(T_source_target)
    if error.translation_scale != 1:
        T_source_target = T_source_target.clone()
        T_source_target[:, :3, 3] *= error.translation_scale
    angles = T_source_target.new_tensor([[math.radians(error.pitch), math.radians(error.yaw), 0.0]])
    shift = T_source_target.new_tensor([[error.sideways, 0.0, error.forward]])
    wrong = pose_from(angles, shift)
    return wrong @ T_source_target if bool(angles.any() or shift.any()) else T_source_target


def _true_correspondence(target: Clip, source: Clip) -> Correspondence:
    """Where the target's pixels lie under the geometry as given, tested for occlusion."""
    target.require("depth", "camera", "T_world_camera")
    source.require("depth", "camera", "T_world_camera")
    assert target.depth is not None and target.camera is not None and source.camera is not None
    dtype = target.depth.dtype
    return correspond(
        target.depth,
        target.camera.to(dtype=dtype),
        target.motion_to(source).to(dtype),
        camera_source=source.camera.to(dtype=dtype),
        depth_source=source.depth,
    )


def _wrong_correspondence(target: Clip, source: Clip, error: GeometryError) -> Correspondence:
    """The same with the error in it, and not tested for occlusion."""
    assert target.depth is not None and target.camera is not None and source.camera is not None
    dtype = target.depth.dtype

    def refocused(camera: Camera) -> Camera:
        K = camera.K.clone()
        K[:, :2, :2] = K[:, :2, :2] * error.focal_scale
        return Camera(K.to(dtype), *camera.size)

    return correspond(
        target.depth * error.depth_scale,
        refocused(target.camera),
        _motion(target, source, error).to(dtype),
        camera_source=refocused(source.camera),
    )


def warp_pair(target: Clip, source: Clip, error: GeometryError | None = None) -> PairWarp:
    """Inverse-warp `source` into `target`, frame by frame, with an optional error in the geometry.

    Compared are the pixels that are visible under the true geometry and inside the source under the geometry used, so
    that a wrong warp cannot improve its score by declaring its failures occluded.
    """
    return _warp(target, source, error or GeometryError(), _true_correspondence(target, source))


def _warp(target: Clip, source: Clip, error: GeometryError, truth: Correspondence) -> PairWarp:
    used = truth if error == GeometryError() else _wrong_correspondence(target, source, error)
    counted = truth.visible & used.visible
    if not bool(counted.any()):
        raise InputError(
            f"no pixel of {target.video[0]!r} frame {int(target.index[0])} is visible in frame {int(source.index[0])}",
            hint="a pose in the wrong direction, or two frames that do not overlap",
        )
    warped = Warped(sample(source.image, used), counted)
    error_map = (warped.image - target.image).abs().mean(dim=1)
    still = identity_warp(source.image, counted)
    labels = None
    agreement = agreement_identity = None
    labelled = 0
    if target.label is not None and source.label is not None:
        labels = masked_labels(sample_labels(source.label, used), counted).label
        usable = counted & (target.label != IGNORE) & (labels != IGNORE) & (source.label != IGNORE)
        labelled = int(usable.sum())
        if labelled:
            agreement = float((labels == target.label)[usable].double().mean())
            agreement_identity = float((source.label == target.label)[usable].double().mean())
    quality = WarpQuality(
        photometric=float(error_map[counted].double().mean()),
        photometric_identity=float((still.image - target.image).abs().mean(dim=1)[counted].double().mean()),
        label_agreement=agreement,
        label_agreement_identity=agreement_identity,
        visible=float(counted.double().mean()),
        pixels=int(counted.sum()),
        labelled_pixels=labelled,
    )
    return PairWarp(warped, labels, error_map, quality)


def warp_by_gap(clip: Clip, gaps: Sequence[int]) -> dict[int, WarpQuality]:
    """Quality over all pairs of one video that are `gap` frames apart, frame t + gap warped into t, pixels pooled."""
    short = [gap for gap in gaps if not 0 < gap < len(clip)]
    if short:
        raise InputError(f"gaps must lie between 1 and {len(clip) - 1} for a clip of {len(clip)} frames, got {short}")
    return {gap: _pooled([warp_pair(*part).quality for part in _pairs(clip, gap)]) for gap in gaps}


def _pairs(clip: Clip, gap: int) -> Iterator[tuple[Clip, Clip]]:
    for start in range(0, len(clip) - gap, _PAIRS_AT_ONCE):
        targets = range(start, min(start + _PAIRS_AT_ONCE, len(clip) - gap))
        yield clip[list(targets)], clip[[t + gap for t in targets]]


def _pooled(parts: Sequence[WarpQuality]) -> WarpQuality:
    """Means over the pixels of all parts, and over the labelled pixels of those that have labels."""

    def mean(name: str, weight: str, of: Sequence[WarpQuality]) -> float:
        return sum(getattr(q, name) * getattr(q, weight) for q in of) / sum(getattr(q, weight) for q in of)

    labelled = [q for q in parts if q.labelled_pixels]
    pixels = sum(q.pixels for q in parts)
    return WarpQuality(
        photometric=mean("photometric", "pixels", parts),
        photometric_identity=mean("photometric_identity", "pixels", parts),
        label_agreement=mean("label_agreement", "labelled_pixels", labelled) if labelled else None,
        label_agreement_identity=mean("label_agreement_identity", "labelled_pixels", labelled) if labelled else None,
        visible=pixels / sum(q.pixels / q.visible for q in parts),
        pixels=pixels,
        labelled_pixels=sum(q.labelled_pixels for q in labelled),
    )


def perturbation_sweep(
    target: Clip, source: Clip, error: str, sizes: Sequence[float], **others: float
) -> list[WarpQuality]:
    """Quality for one kind of error at several sizes, as `GeometryError.of` takes them, beside `others` that stay."""
    truth = _true_correspondence(target, source)
    errors = [GeometryError.of(**{**others, error: size}) for size in sizes]
    return [_warp(target, source, one, truth).quality for one in errors]


def confound_map(
    target: Clip, source: Clip, x_error: str, x_sizes: Sequence[float], y_error: str, y_sizes: Sequence[float]
) -> Float[Tensor, "y x"]:
    """Photometric error under two errors at once: a valley away from (0, 0) is where one hides the other."""
    if x_error == y_error:
        raise InputError(f"a map needs two different errors, got {x_error!r} twice")
    rows = [perturbation_sweep(target, source, x_error, x_sizes, **{y_error: size}) for size in y_sizes]
    return torch.tensor([[quality.photometric for quality in row] for row in rows])
