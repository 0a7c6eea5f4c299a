"""Motion of the camera between two images, its intrinsics, and what moves on its own (Gordon et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from stc_lab.errors import InputError
from stc_lab.geometry import Camera, invert_pose, pose_from, transform
from stc_lab.geometry.checks import expect_alike
from stc_lab.geometry.precision import working_dtype
from stc_lab.models.blocks import Norm, check_images, draw_weights
from stc_lab.models.encoder import ConcatEncoder, CorrelationEncoder, check_widths
from stc_lab.models.intrinsics import PairIntrinsics, SharedIntrinsics, average_camera
from stc_lab.models.network import Network
from stc_lab.models.residual import ResidualField
from stc_lab.models.resnet import ResNetEncoder

Matching = Literal["concat", "correlation"]
Intrinsics = Literal["pair", "shared", "given"]


@dataclass(frozen=True)
class Motion:
    """How points of frame b's camera lie in frame a's: X_a = R X_b + t + residual.

    So an inverse warp of image a into frame b, with b's depth, takes T_a_b as it is: `T_source_target`.
    """

    T_a_b: Float[Tensor, "b 4 4"]
    rotation: Float[Tensor, "b 3"]  # axis-angle, rad; Gordon's and SfMLearner's angles are those of Rx Ry Rz instead
    translation: Float[Tensor, "b 3"]  # m, or the unit of the depth that it was trained beside
    camera: Camera  # of both frames
    residual: Float[Tensor, "b 3 h w"] | None = None  # on b's grid, in the unit of translation; 0 outside the mask

    @property
    def T_b_a(self) -> Float[Tensor, "b 4 4"]:
        """The other way: points of a's camera in b's frame; the residual is left out."""
        return invert_pose(self.T_a_b)

    def transform(self, points: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Points that the pixels of frame b show, in a's frame, with what moves on its own."""
        moved = transform(self.T_a_b, points)
        return moved if self.residual is None else moved + self.residual


@runtime_checkable
class MotionNet(Network, Protocol):
    """Two images to a motion: any `nn.Module` that has these is accepted wherever the kit asks for a motion net."""

    def __call__(self, image_a: Float[Tensor, "b 3 h w"], image_b: Float[Tensor, "b 3 h w"], /) -> Motion:
        """T_a_b maps b's points into a; images are RGB in [0, 1]."""
        ...


class PairMotionNet(nn.Module):
    """Rotation, translation and camera from the average of a pair's deepest features.

    Both images of at least 16 x 16 px. `matching` says how they meet: `concat` stacks them (SfMLearner, Gordon);
    `correlation` compares features at stride 4, which needs less training to see what moved where.
    """

    def __init__(
        self,
        *,
        encoder: Literal["compact", "resnet18", "resnet50"] = "compact",
        matching: Matching = "concat",
        intrinsics: Intrinsics = "pair",
        residual: bool = False,
        widths: Sequence[int] = (16, 32, 64, 96, 128),
        radius: int = 4,
        cameras: int = 1,
        initial_focal: float = 0.7,
        square_pixels: bool = False,
        learn_centre: bool = True,
        norm: Norm = "batch",
        weights: Path | str | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Choose how the pair is seen, what is known of its camera, and whether things move on their own.

        `intrinsics`: `pair` gives a camera for each pair, `shared` learns one for each of `cameras` videos (1: one for
        all), `given` takes it with each call. `initial_focal` is a share of width and height (of the width, with
        `square_pixels`: fy = fx); without `learn_centre` the principal point is the image's middle. `weights` is a
        file for a ResNet encoder, see `ResNetEncoder.load`; `widths`, `radius` and `norm` are the compact encoder's.
        """
        super().__init__()
        self._options: dict[str, Any] = {
            "encoder": encoder,
            "matching": matching,
            "intrinsics": intrinsics,
            "residual": residual,
            "widths": list(widths),
            "radius": radius,
            "cameras": cameras,
            "initial_focal": initial_focal,
            "square_pixels": square_pixels,
            "learn_centre": learn_centre,
            "norm": norm,
        }
        self.encoder = _encoder(encoder, matching, widths, radius, norm)
        deepest = self.encoder.channels[-1]
        self.pose = nn.Linear(deepest, 6)
        self.scales = nn.Parameter(torch.full((2,), 0.01))  # of rotation and translation
        self.residual = ResidualField(deepest, self.encoder.channels) if residual else None
        self.camera = _camera_head(
            intrinsics,
            deepest,
            cameras,
            initial_focal=initial_focal,
            square_pixels=square_pixels,
            learn_centre=learn_centre,
        )
        if generator is not None:
            draw_weights(self, generator)
        if weights is not None:
            if not isinstance(self.encoder, ResNetEncoder):
                raise InputError(
                    "weights are those of a ResNet encoder, got encoder='compact'", hint="load_model(path)"
                )
            self.encoder.load(weights)

    @property
    def architecture(self) -> dict[str, object]:
        """What rebuilds this network without its weights, in JSON's types."""
        return {"name": "PairMotionNet", **self._options}

    def forward(
        self,
        image_a: Float[Tensor, "b 3 h w"],
        image_b: Float[Tensor, "b 3 h w"],
        *,
        camera: Camera | None = None,
        video: Int[Tensor, "b"] | None = None,
        object_mask: Bool[Tensor, "b h w"] | None = None,
    ) -> Motion:
        """Motion of b's points into a, images in [0, 1]; swapped images give the other way.

        `camera` is wanted with `given` intrinsics, `video` (0 to cameras - 1) with more than one shared camera.
        `object_mask` is True where frame b shows what may move on its own; the residual is 0 elsewhere.
        """
        images = self._images(image_a, image_b)
        pyramid = self.encoder(*images.split(3, dim=1))
        bottleneck = pyramid[-1].mean(dim=(2, 3))
        camera = self._camera(bottleneck, camera, video, *images.shape[-2:])
        pose = self.pose(bottleneck)
        pose = pose.to(working_dtype(pose))
        # Never smaller than 0.001 (Gordon's code projects there after each step); the gradient passes all the same.
        rotation_scale, translation_scale = self.scales.detach().clamp(min=0.001) + (self.scales - self.scales.detach())
        rotation, translation = rotation_scale * pose[:, :3], translation_scale * pose[:, 3:]
        field = self._residual(bottleneck, pyramid, images, object_mask)
        field = None if field is None else translation_scale * field
        return Motion(pose_from(rotation, translation), rotation, translation, camera, field)

    def _images(self, image_a: Tensor, image_b: Tensor) -> Float[Tensor, "b 6 h w"]:
        check_images(image_a, name="image_a")
        check_images(image_b, name="image_b")
        if image_a.shape != image_b.shape:
            raise InputError(
                f"image_a and image_b must have one shape, got {list(image_a.shape)} and {list(image_b.shape)}"
            )
        expect_alike("image_a", image_a, "image_b", image_b)
        images = torch.cat([image_a, image_b], dim=1)
        return images.to(working_dtype(images))

    def _camera(
        self, bottleneck: Float[Tensor, "b c"], camera: Camera | None, video: Tensor | None, height: int, width: int
    ) -> Camera:
        if (camera is not None) != (self.camera is None):
            came = "none came" if camera is None else "it learns its own"
            raise InputError(
                f"a net with {self._options['intrinsics']!r} intrinsics was asked for a motion, and {came}",
                hint="net(image_a, image_b, camera=...) belongs to intrinsics='given', and to no other",
            )
        if camera is not None:
            camera.expect_size("image_b", height, width)
            return camera
        if isinstance(self.camera, PairIntrinsics):
            return self.camera(bottleneck, height, width)
        assert isinstance(self.camera, SharedIntrinsics)
        if video is None:
            if self.camera.cameras > 1:
                raise InputError(f"video must say which of {self.camera.cameras} cameras filmed each pair, got None")
            video = torch.zeros(len(bottleneck), dtype=torch.int64, device=bottleneck.device)
        return self.camera(video, height, width)

    def _residual(
        self,
        bottleneck: Float[Tensor, "b c"],
        pyramid: Sequence[Tensor],
        images: Float[Tensor, "b 6 h w"],
        object_mask: Tensor | None,
    ) -> Float[Tensor, "b 3 h w"] | None:
        if self.residual is None:
            if object_mask is not None:
                raise InputError("object_mask limits the residual field, which this net has not", hint="residual=True")
            return None
        field = self.residual(bottleneck, pyramid, images)
        field = field.to(working_dtype(field))
        if object_mask is None:
            return field
        if object_mask.dtype != torch.bool or object_mask.shape != (len(images), *images.shape[-2:]):
            raise InputError(
                f"object_mask must be bool [b, h, w] of frame b, got {object_mask.dtype} {list(object_mask.shape)}"
            )
        return torch.where(object_mask[:, None], field, 0.0)


def both_ways(
    net: nn.Module,
    image_a: Float[Tensor, "b 3 h w"],
    image_b: Float[Tensor, "b 3 h w"],
    *,
    camera: Camera | None = None,
    video: Int[Tensor, "b"] | None = None,
    object_mask_a: Bool[Tensor, "b h w"] | None = None,
    object_mask_b: Bool[Tensor, "b h w"] | None = None,
) -> tuple[Motion, Motion]:
    """Motions T_a_b and T_b_a of a `PairMotionNet` in one batch, with K = (K(a, b) + K(b, a)) / 2 (Gordon et al.)."""
    options: dict[str, Any] = {}
    if camera is not None:
        options["camera"] = Camera(camera.K.expand(len(image_a), -1, -1).repeat(2, 1, 1), *camera.size)
    if video is not None:
        options["video"] = video.repeat(2)
    if (object_mask_a is None) != (object_mask_b is None):
        raise InputError("object_mask_a and object_mask_b must both be given or neither")
    if object_mask_a is not None and object_mask_b is not None:
        options["object_mask"] = torch.cat([object_mask_b, object_mask_a])  # each of the frame that the points are of
    motion = net(torch.cat([image_a, image_b]), torch.cat([image_b, image_a]), **options)
    ab, ba = _split(motion, len(image_a))
    shared = average_camera(ab.camera, ba.camera)
    return replace(ab, camera=shared), replace(ba, camera=shared)


def _split(motion: Motion, first: int) -> tuple[Motion, Motion]:
    def part(rows: slice) -> Motion:
        return Motion(
            motion.T_a_b[rows],
            motion.rotation[rows],
            motion.translation[rows],
            Camera(motion.camera.K[rows], *motion.camera.size),
            None if motion.residual is None else motion.residual[rows],
        )

    return part(slice(None, first)), part(slice(first, None))


def _encoder(
    encoder: str, matching: str, widths: Sequence[int], radius: int, norm: Norm
) -> ConcatEncoder | CorrelationEncoder | ResNetEncoder:
    if matching not in ("concat", "correlation"):
        raise InputError(f"matching must be 'concat' or 'correlation', got {matching!r}")
    if encoder == "compact":
        check_widths(widths)
        if matching == "concat":
            return ConcatEncoder(widths, norm=norm)
        return CorrelationEncoder(widths, radius=radius, norm=norm)
    if encoder not in ("resnet18", "resnet50"):
        raise InputError(f"encoder must be 'compact', 'resnet18' or 'resnet50', got {encoder!r}")
    if matching != "concat":
        raise InputError(f"{encoder} sees a pair as one stack, matching='concat', got {matching!r}")
    return ResNetEncoder(18 if encoder == "resnet18" else 50, images=2)


def _camera_head(
    intrinsics: str, channels: int, cameras: int, **options: Any
) -> PairIntrinsics | SharedIntrinsics | None:
    if intrinsics == "pair":
        return PairIntrinsics(channels, **options)
    if intrinsics == "shared":
        return SharedIntrinsics(cameras, **options)
    if intrinsics == "given":
        return None
    raise InputError(f"intrinsics must be 'pair', 'shared' or 'given', got {intrinsics!r}")
