"""The free space of a room: where a camera, or a thing that moves, meets no furniture."""

import numpy as np

from stc_lab.data.rooms.primitives import Scene


class Space:
    """The furniture of a scene as NumPy arrays, for the few points of a path."""

    def __init__(self, scene: Scene) -> None:
        solids = scene.primitives
        self.size = scene.room.cpu().double().numpy()
        self.centre, self.half, self.yaw = (
            part.cpu().double().numpy() for part in (solids.centre, solids.half, solids.yaw)
        )
        self.label = scene.materials.label[: len(solids)].cpu().numpy()

    def free(self, position: np.ndarray, clearance: float) -> bool:
        """Whether all positions [t, 3] are farther than `clearance` (m) from the furniture."""
        own = np.abs(self._own(position))
        return not (own < self.half + clearance).all(axis=-1).any()

    def clear(self, place: np.ndarray, radius: float, low: float, high: float) -> bool:
        """Whether an upright cylinder of this radius, from `low` to `high` (m), stands free at all places [t, 2]."""
        if (place < radius).any() or (place > self.size[:2] - radius).any() or high > self.size[2]:
            return False
        level = (self.centre[:, 2] - self.half[:, 2] < high) & (self.centre[:, 2] + self.half[:, 2] > low)
        beside = np.abs(self._own(np.pad(place, ((0, 0), (0, 1))))[:, level, :2]) - self.half[level, :2]
        distance = np.hypot(*np.moveaxis(np.maximum(beside, 0), -1, 0))
        return not (distance < radius).any()

    def _own(self, position: np.ndarray) -> np.ndarray:
        """Positions [t, 3] in the frame of each solid [t, n, 3]."""
        offset = position[:, None] - self.centre
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        x = cosine * offset[..., 0] + sine * offset[..., 1]
        y = cosine * offset[..., 1] - sine * offset[..., 0]
        return np.stack([x, y, offset[..., 2]], axis=-1)
