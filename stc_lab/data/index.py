"""The index of a data set's files: a table of paths, kept in the cache where making it again would take long."""

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stc_lab.data.cache import build_current, cache_root
from stc_lab.data.image_files import read_size
from stc_lab.data.schema import OPTIONAL, SourceInfo, frame_features
from stc_lab.data.sequences import FileSequence
from stc_lab.data.tree import Tree, unchanged
from stc_lab.errors import InputError

if TYPE_CHECKING:
    import datasets
    import pyarrow

KEPT_FROM = 20_000  # frames: a smaller index is made anew each time, in well under a second, and never kept
_ROWS_AT_ONCE = 10_000  # of a written batch
_TABLE, _FACTS = "frames.arrow", "facts.json"
_UNREADABLE = (0, 0)

Sequences = Callable[[Tree], Iterable[FileSequence]]


@dataclass
class IndexFacts:
    """What is true of an index as a whole."""

    sizes: dict[str, tuple[int, int]]  # (height, width) of each video's images as they are stored; (0, 0): unreadable
    known: dict[str, int]  # optional column -> frames of which it is known
    skipped: dict[str, int]  # reason -> frames
    problems: list[InputError]


def open_index(
    info: SourceInfo, root: Path, sequences: Sequences, *, pose_files: bool
) -> tuple["datasets.Dataset", IndexFacts]:
    """Table and facts of the videos of all `sequences` of a root.

    A long one is written to the cache in parts, as it is found, and mapped from there; it is used again for as long as
    nothing has changed of what the tree saw, of the parameters of `sequences`, and of the code.
    """
    from datasets import Dataset

    base = cache_root() / "index" / f"{info.name}-{_digest(info, root, sequences, pose_files)}"
    current = partial(_is_current, root)
    for kept in sorted(base.iterdir()) if base.is_dir() else ():
        if current(kept):
            return _opened(kept)
    tree, facts = Tree(root), IndexFacts({}, dict.fromkeys(OPTIONAL, 0), {}, [])
    batches = _batches(info, tree, sequences, facts, pose_files)
    head, rows = [], 0
    for batch in batches:
        head.append(batch)
        rows += len(batch)
        if rows >= KEPT_FROM:
            return _opened(
                build_current(base, current, lambda folder: _write(folder, chain(head, batches), facts, tree))
            )
    facts.problems += tree.problems
    if not head:
        if facts.problems:
            raise facts.problems[0]
        raise InputError(
            f"data set {info.name!r} has no frames{_why(facts)}", hint="an empty folder or an empty list file"
        )
    import pyarrow
    from datasets import DatasetInfo
    from datasets.table import InMemoryTable

    table = pyarrow.Table.from_batches(head)
    features = frame_features(info.has, pose_files=pose_files)
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=features)), facts


def _why(facts: IndexFacts) -> str:
    return "; skipped: " + ", ".join(f"{n} x {reason}" for reason, n in facts.skipped.items()) if facts.skipped else ""


def _batches(
    info: SourceInfo, tree: Tree, sequences: Sequences, facts: IndexFacts, pose_files: bool
) -> Iterator["pyarrow.RecordBatch"]:
    """One batch of rows for each video; the facts grow with them."""
    schema = frame_features(info.has, pose_files=pose_files).arrow_schema
    for sequence in sequences(tree):
        for reason, count in sequence.skipped.items():
            facts.skipped[reason] = facts.skipped.get(reason, 0) + int(count)
        for video in sequence.videos(info.frame_rate):
            if video.name in facts.sizes:
                raise InputError(
                    f"two videos of {info.name!r} have the name {video.name!r}",
                    hint="an adapter names each sequence once",
                )
            facts.sizes[video.name] = _size(tree.root, video)
            yield _batch(schema, info, video, pose_files, facts)


def _size(root: Path, video: FileSequence) -> tuple[int, int]:
    size, where = video.size, video.image[0]
    if size is None:
        size = _UNREADABLE
        for where in video.image:
            try:
                size = read_size(root / where)
                break
            except InputError:
                continue  # reading that frame, or checking the data set, will name the file
    if video.camera is not None and size != _UNREADABLE:
        video.camera.expect_size(f"image {root / where}", *size)
    return size


def _batch(
    schema: Any, info: SourceInfo, video: FileSequence, pose_files: bool, facts: IndexFacts
) -> "pyarrow.RecordBatch":
    import pyarrow

    count = len(video.image)
    columns: dict[str, Any] = {
        "video": pyarrow.repeat(video.name, count),
        "index": np.arange(count),
        "time": video.time,
        "image": video.image,
    }
    for name in ("label", "depth"):
        columns[name] = getattr(video, name) or [None] * count
    K = np.full((1, 3, 3), np.nan) if video.camera is None else video.camera.K.double().numpy()
    columns["intrinsics"] = np.broadcast_to(K, (count, 3, 3))
    if pose_files:
        columns["pose"] = [None] * count if video.pose is None else video.pose
    else:
        columns["pose"] = np.full((count, 4, 4), np.nan) if video.pose is None else video.pose
    arrays = []
    for column in schema:
        values = columns[column.name]
        if isinstance(values, np.ndarray) and values.ndim == 3:
            arrays.append(_matrices(values, column.type))
        else:
            arrays.append(pyarrow.array(values, column.type) if not isinstance(values, pyarrow.Array) else values)
        if column.name in OPTIONAL:
            known = ~np.isnan(values[:, 0, 0]) if isinstance(values, np.ndarray) else np.array(arrays[-1].is_valid())
            facts.known[column.name] += int(known.sum())
    for name in OPTIONAL:
        if name not in info.has and getattr(video, {"intrinsics": "camera"}.get(name, name)) is not None:
            raise InputError(f"sequence {video.name!r} has {name}, which the info of {info.name!r} does not name")
    return pyarrow.record_batch(arrays, schema=schema)


def _matrices(values: np.ndarray, kind: Any) -> Any:
    """Matrices [n, r, c] as an array column, without an object for each."""
    import pyarrow

    n, rows, columns = values.shape
    inner = pyarrow.array(np.ascontiguousarray(values, dtype=np.float64).ravel())
    for count, width in ((n * rows, columns), (n, rows)):
        inner = pyarrow.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * width, inner)
    return pyarrow.ExtensionArray.from_storage(kind, inner)


def _write(folder: Path, batches: Iterable["pyarrow.RecordBatch"], facts: IndexFacts, tree: Tree) -> None:
    import pyarrow

    path = folder / _TABLE
    waiting: list[Any] = []
    with path.open("wb") as file:
        writer = None
        for batch in chain(batches, (None,)):
            if batch is not None:
                waiting.append(batch)
            if waiting and (batch is None or sum(map(len, waiting)) >= _ROWS_AT_ONCE):
                table = pyarrow.Table.from_batches(waiting).combine_chunks()
                writer = writer or pyarrow.ipc.new_stream(file, table.schema)
                writer.write_table(table)
                waiting.clear()
        assert writer is not None
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    facts.problems += tree.problems
    written = {
        "root": str(tree.root),
        "settled": tree.settled,
        "seen": tree.seen,
        "sizes": facts.sizes,
        "known": facts.known,
        "skipped": facts.skipped,
        "problems": [str(problem) for problem in facts.problems],
    }
    (folder / _FACTS).write_text(json.dumps(written), encoding="utf-8")


def _is_current(root: Path, folder: Path) -> bool:
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        return bool(facts["settled"]) and unchanged(root, facts["seen"])
    except (OSError, ValueError, KeyError):
        return False


def _opened(folder: Path) -> tuple["datasets.Dataset", IndexFacts]:
    from datasets import Dataset

    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    sizes = {name: (height, width) for name, (height, width) in facts["sizes"].items()}
    problems = [InputError(problem) for problem in facts["problems"]]
    return Dataset.from_file(str(folder / _TABLE)), IndexFacts(sizes, facts["known"], facts["skipped"], problems)


def _digest(info: SourceInfo, root: Path, sequences: Sequences, pose_files: bool) -> str:
    """Names an index by all that determines it but the files: root, adapter, its parameters, and the code."""
    function: Any = sequences.func if isinstance(sequences, partial) else sequences
    arguments: Mapping[str, Any] = sequences.keywords if isinstance(sequences, partial) else {}
    unnamed = isinstance(sequences, partial) and sequences.args
    if not inspect.isfunction(function) or "<" in function.__qualname__ or unnamed:
        raise InputError(
            f"the sequences of {info.name!r} must be a function of a module, or a partial of one with keywords alone",
            hint="what a lambda or a closure holds cannot be told from its name: an index of other data could be taken",
        )
    text = [info.name, repr(info.frame_rate), repr(sorted(info.has)), str(root.absolute()), str(pose_files)]
    text += [function.__module__, function.__qualname__, json.dumps(arguments, sort_keys=True, default=_plain)]
    code = [*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getsourcefile(function) or __file__)]
    text += [path.read_text(encoding="utf-8") for path in code]
    return hashlib.sha256("\0".join(text).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise InputError(f"a parameter of an adapter's sequences must be plain (text, numbers, paths), got {value!r}")
