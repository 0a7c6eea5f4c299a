"""Pairs of rows of one video, counted rather than listed."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from jaxtyping import Int64

from stc_lab.errors import InputError


class Pairs(Sequence[tuple[int, int]]):
    """All (row, row + gap) within ranges of rows: a sequence that holds no pair until it is asked for one."""

    def __init__(self, videos: Sequence[range], gap: int) -> None:
        if gap == 0:
            raise InputError("gap must not be 0: a frame makes no pair with itself")
        self.gap = gap
        counts = np.array([max(0, len(rows) - abs(gap)) for rows in videos], dtype=np.int64)
        first = np.array([rows.start for rows in videos], dtype=np.int64) + max(0, -gap)
        self._ends = np.cumsum(counts)
        self._offset = first - (self._ends - counts)  # from a pair's number to its first row

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def rows(self, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n 2"]:
        """Rows of the pairs with these numbers."""
        first = numbers + self._offset[np.searchsorted(self._ends, numbers, side="right")]
        return np.stack([first, first + self.gap], axis=1)

    @overload
    def __getitem__(self, number: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, number: slice) -> list[tuple[int, int]]: ...
    def __getitem__(self, number: int | slice) -> tuple[int, int] | list[tuple[int, int]]:
        if isinstance(number, slice):
            return [(a, b) for a, b in self.rows(np.arange(len(self))[number]).tolist()]
        place = number + len(self) if number < 0 else number
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} pairs, got number {number}")
        first = place + int(self._offset[np.searchsorted(self._ends, place, side="right")])
        return first, first + self.gap

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for start in range(0, len(self), 10_000):
            yield from self[start : start + 10_000]
