"""Random access to the columns of a table, straight from its memory, which is mapped from disk."""

from typing import TYPE_CHECKING, Any

import numpy as np

from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets


class Columns:
    """Values of any rows of a table, without a copy of the others.

    The table's own formats walk nested lists and are many times slower at random rows.
    """

    def __init__(self, table: "datasets.Dataset") -> None:
        if len(table.data) != len(table) or table._indices is not None:
            raise InputError("the table is a selection of another one", hint="table.flatten_indices() before")
        self._table = table
        self._chunks: dict[str, tuple[np.ndarray, list[Any]]] = {}
        self._views: dict[tuple[str, int], np.ndarray] = {}

    def __reduce__(self) -> Any:  # a worker process maps the table itself; the views would be copied to it whole
        return Columns, (self._table,)

    def strings(self, name: str, rows: list[int]) -> list[str | None]:
        return [chunk[i].as_py() for _, chunk, i in self._places(name, rows)]

    def numbers(self, name: str, rows: list[int]) -> np.ndarray:
        return np.array([chunk[i].as_py() for _, chunk, i in self._places(name, rows)])

    def arrays(self, name: str, rows: list[int], shape: tuple[int, ...]) -> np.ndarray:
        """Rows of an array column, [rows, *shape]."""
        return np.stack([self._view(name, number, chunk, shape)[i] for number, chunk, i in self._places(name, rows)])

    def known(self, name: str) -> np.ndarray:
        """Whether each row of the table has a value: no null, and not NaN in its first number; bool [rows]."""
        found = []
        for chunk in self._of(name)[1]:
            if hasattr(chunk, "storage"):
                first = _view(chunk, tuple(self._table.features[name].shape)).reshape(len(chunk), -1)[:, 0]
                found.append(~np.isnan(first) if first.dtype.kind == "f" else np.ones(len(chunk), bool))
            else:
                found.append(chunk.is_valid().to_numpy(zero_copy_only=False))
        return np.concatenate(found)

    def _of(self, name: str) -> tuple[np.ndarray, list[Any]]:
        if name not in self._chunks:
            chunks = self._table.data.column(name).chunks
            self._chunks[name] = np.cumsum([0, *map(len, chunks)]), chunks
        return self._chunks[name]

    def _places(self, name: str, rows: list[int]) -> list[tuple[int, Any, int]]:
        starts, chunks = self._of(name)
        numbers = np.searchsorted(starts, rows, side="right") - 1
        return [(n, chunks[n], row - int(starts[n])) for n, row in zip(numbers.tolist(), rows, strict=True)]

    def _view(self, name: str, number: int, chunk: Any, shape: tuple[int, ...]) -> np.ndarray:
        key = name, number
        if key not in self._views:
            self._views[key] = _view(chunk, shape)
        return self._views[key]


def rows_of_videos(table: "datasets.Dataset") -> dict[str, range]:
    """The rows of each video, in the order of the table; no object is made for a row."""
    import pyarrow.compute

    names: list[str] = []
    starts: list[int] = []
    first = 0
    for chunk in table.data.column("video").chunks:
        runs = pyarrow.compute.run_end_encode(chunk)
        own, ends = runs.values.to_pylist(), runs.run_ends.to_numpy()
        begins = [first, *(first + ends[:-1]).tolist()]
        if names and own and own[0] == names[-1]:
            own, begins = own[1:], begins[1:]
        names += own
        starts += begins
        first += len(chunk)
    stops = [*starts[1:], first]
    rows = {name: range(start, stop) for name, start, stop in zip(names, starts, stops, strict=True)}
    if len(rows) != len(names):
        raise InputError("the rows of a video must lie together in the table", hint="the table was shuffled")
    _check_numbering(table, names, np.array(starts))
    return rows


def _check_numbering(table: "datasets.Dataset", names: list[str], starts: np.ndarray) -> None:
    first = 0
    for chunk in table.data.column("index").chunks:
        row = np.arange(first, first + len(chunk))
        video = np.searchsorted(starts, row, side="right") - 1
        wrong = chunk.to_numpy() != row - starts[video]
        if wrong.any():
            raise InputError(
                f"the frames of video {names[video[wrong][0]]!r} must be numbered 0, 1, 2, ... in the table"
            )
        first += len(chunk)


def _view(chunk: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The values of one chunk of an array column, [rows, *shape], without a copy."""
    values = chunk.storage
    for _ in shape:
        values = values.flatten()
    return values.to_numpy(zero_copy_only=True).reshape(-1, *shape)
