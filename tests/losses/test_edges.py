import cv2
import numpy as np
import pytest
import torch

from stc_lab.losses import canny_edges, image_edges, sobel_edges


def drawing(seed=0, h=48, w=64):
    """A few flat rectangles and discs with a little noise, as an image has them."""
    rng = np.random.default_rng(seed)
    image = np.full((h, w, 3), 0.5, np.float32)
    for _ in range(6):
        corner = tuple(int(v) for v in rng.integers(0, (w - 8, h - 8)))
        colour = tuple(float(v) for v in rng.random(3))
        cv2.rectangle(image, corner, (corner[0] + 14, corner[1] + 10), colour, -1)
        cv2.circle(image, corner, 6, colour[::-1], -1)
    image = image + rng.normal(0, 0.01, image.shape).astype(np.float32)
    return torch.from_numpy(image.clip(0, 1)).permute(2, 0, 1)[None]


def opencv_edges(image, low, high):
    grey = cv2.cvtColor(image[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    blurred = cv2.GaussianBlur(grey, (5, 5), 1.0, borderType=cv2.BORDER_REFLECT_101)
    # Gradients in 16-bit steps: 8-bit greys would round away what the thresholds are compared with.
    slopes = (
        cv2.Sobel(blurred, cv2.CV_32F, *order, ksize=3, borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1))
    )
    dx, dy = (np.round(1000 * slope).astype(np.int16) for slope in slopes)
    return torch.from_numpy(cv2.Canny(dx, dy, 1000 * low, 1000 * high, L2gradient=True) > 0)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_opencv(seed):
    image = drawing(seed)
    edges = image_edges(image)
    reference = opencv_edges(image, 0.1, 0.3)
    assert edges.dtype == torch.bool
    assert 0.03 < edges.float().mean() < 0.5
    # Both suppress non-maxima in their own rounding of directions; nothing else differs.
    assert (edges[0] == reference).float().mean() > 0.995


def test_a_batch_is_its_images_one_by_one():
    images = torch.cat([drawing(seed) for seed in range(3)])
    one_by_one = torch.cat([image_edges(image[None]) for image in images])
    assert torch.equal(image_edges(images), one_by_one)
    assert torch.equal(image_edges(images.double()), one_by_one)


def test_a_step_gives_a_line_one_pixel_wide_where_it_exceeds_the_threshold():
    image = torch.full((1, 3, 12, 16), 0.2)
    image[..., 8:] = 0.4
    edges = image_edges(image)
    assert edges.sum(dim=-1).eq(1).all()  # 2.6 * 0.2 = 0.52 > high
    assert set(edges.nonzero()[:, 2].tolist()) <= {7, 8}
    assert not canny_edges(image, low=0.5, high=0.6).any()


def test_a_flat_image_has_no_edges():
    assert not image_edges(torch.full((2, 3, 12, 16), 0.7)).any()


def test_edges_do_not_depend_on_gradient_mode():
    image = drawing()
    assert torch.equal(image_edges(image.clone().requires_grad_()), image_edges(image))


@pytest.mark.parametrize("seed", range(3))
def test_weak_edges_stay_where_they_hang_on_strong_ones_as_kornia_says(seed):
    from kornia.filters import canny

    image = drawing(seed)
    _, reference = canny(image, 0.1, 0.6, kernel_size=5, sigma=(1.0, 1.0), hysteresis=True)
    edges = canny_edges(image, low=0.1, high=0.6)
    assert torch.equal(edges, reference[:, 0] > 0.5)
    strong = canny_edges(image, low=0.6, high=0.6)
    assert (strong & ~edges).sum() == 0 and edges.sum() > strong.sum()


@pytest.mark.parametrize("seed", range(3))
def test_sobel_is_the_magnitude_of_scipys(seed):
    from scipy import ndimage

    image = drawing(seed)
    grey = np.tensordot([0.299, 0.587, 0.114], image[0].double().numpy(), axes=1)
    blurred = ndimage.gaussian_filter(grey, 1.0, radius=2, mode="mirror")
    magnitude = np.hypot(*(ndimage.sobel(blurred, axis=axis, mode="nearest") for axis in (0, 1)))
    for threshold in (0.1, 0.3, 0.8):
        assert np.array_equal(sobel_edges(image.double(), threshold=threshold)[0].numpy(), magnitude > threshold)
    assert not sobel_edges(torch.full((2, 3, 12, 16), 0.7)).any()


@pytest.mark.parametrize("seed", range(3))
def test_cannys_lines_lie_on_sobels_bands(seed):
    image = drawing(seed)
    canny, sobel = canny_edges(image, low=0.3, high=0.3), sobel_edges(image, threshold=0.3)
    assert canny.any() and not (canny & ~sobel).any()
    assert sobel.sum() > 1.5 * canny.sum()


def test_a_detector_goes_by_its_name_and_cannys_is_the_default():
    image = drawing()
    assert torch.equal(image_edges(image), canny_edges(image))
    assert torch.equal(image_edges(image, detector="sobel"), sobel_edges(image))
