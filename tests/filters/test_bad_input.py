import pytest
import torch

from stc_lab.errors import InputError
from stc_lab.filters import fuse_views
from stc_lab.geometry.camera import Camera

pytestmark = pytest.mark.bad_input

CAMERA = Camera.from_fov(4, 5, 60.0)
PROBABILITIES = torch.full((3, 2, 4, 5), 0.5)
DEPTH = torch.ones(3, 1, 4, 5)
POSES = torch.eye(4).expand(3, 4, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probabilities": PROBABILITIES + 3}, "sum to 1.*softmax"),
        ({"probabilities": torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)}, "negative.*softmax"),
        ({"depth": DEPTH[:2]}, "3 frames.*got 2, 3 and 1"),
        ({"T_world_camera": POSES[:1]}, "3 frames.*got 3, 1 and 1"),
        ({"camera": Camera(CAMERA.K.expand(2, 3, 3), 4, 5)}, "3 frames.*got 3, 3 and 2"),
        ({"camera": Camera.from_fov(8, 10, 60.0)}, r"probabilities is 4 x 5 px.*8 x 10.*resized"),
        ({"T_world_camera": torch.full((3, 4, 4), float("nan"))}, "NaN"),
        ({"offsets": (-1, 0, 1)}, "distinct and not 0"),
        ({"offsets": (1, 1)}, "distinct and not 0"),
        ({"warp": "flow"}, "'geometry' or 'identity', got 'flow'"),
    ],
)
def test_bad_arguments_say_what_is_wrong(change, message):
    arguments = {"probabilities": PROBABILITIES, "depth": DEPTH, "camera": CAMERA, "T_world_camera": POSES}
    with pytest.raises(InputError, match=message):
        fuse_views(**arguments | change)
