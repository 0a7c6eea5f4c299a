"""Which part of the stored pictures is used, and at which size; the camera follows."""

from dataclasses import dataclass

from jaxtyping import Shaped
from torch import Tensor

from stc_lab.data.resize import resize_image, resize_nearest
from stc_lab.errors import InputError
from stc_lab.geometry.camera import Camera


@dataclass(frozen=True)
class Framing:
    """First a crop of the stored image, then a resize: image, labels, depth and camera alike."""

    crop: tuple[int, int, int, int] | None = None  # top, left, height, width, px of the stored image; None: all of it
    size: tuple[int, int] | None = None  # (height, width) after the crop; None: that of the crop

    def result(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Size (height, width) of a framed image whose stored size is `stored`."""
        top, left, height, width = self._crop(stored)
        if min(top, left) < 0 or min(height, width) < 1 or top + height > stored[0] or left + width > stored[1]:
            raise InputError(f"crop {self.crop} (top, left, height, width) leaves the {stored[0]} x {stored[1]} image")
        return (height, width) if self.size is None else self.size

    def camera(self, camera: Camera) -> Camera:
        """The camera of the framed image."""
        return camera.cropped(*self._crop(camera.size)).resized(*self.result(camera.size))

    def image(self, image: Shaped[Tensor, "t c h w"]) -> Shaped[Tensor, "t c h2 w2"]:
        """Images, cropped and resized smoothly."""
        stored = image.shape[-2], image.shape[-1]
        return resize_image(self._cropped(image, stored), self.result(stored))

    def nearest(self, values: Shaped[Tensor, "*t h w"], stored: tuple[int, int]) -> Shaped[Tensor, "*t h2 w2"]:
        """Labels or depth of images of size `stored`, cropped and resized by the nearest pixel.

        Values on another grid than the image's show the same view, all of it: their own grid is cropped and resized.
        """
        return resize_nearest(self._cropped(values, stored), self.result(stored))

    def _crop(self, stored: tuple[int, int]) -> tuple[int, int, int, int]:
        return (0, 0, *stored) if self.crop is None else self.crop

    def _cropped(self, values: Tensor, stored: tuple[int, int]) -> Tensor:
        if self.crop is None:
            return values
        rows, columns = values.shape[-2:]
        top, left, height, width = self.crop
        whole = [
            divmod(length * own, full)
            for length, own, full in (
                (top, rows, stored[0]),
                (left, columns, stored[1]),
                (height, rows, stored[0]),
                (width, columns, stored[1]),
            )
        ]
        if any(rest for _, rest in whole):
            raise InputError(
                f"crop {self.crop} of a {stored[0]} x {stored[1]} image falls between pixels "
                f"of its {rows} x {columns} map"
            )
        top, left, height, width = (number for number, _ in whole)
        return values[..., top : top + height, left : left + width]


WHOLE = Framing()
