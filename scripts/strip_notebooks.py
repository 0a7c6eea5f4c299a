"""Keep committed notebooks small: no outputs, but the text of cells that nbval compares (tag `keep_output`).

nbstripout does the stripping; it drops the execution count of kept cells as well, without which nbval refuses
to compare, so that is put back. The tag goes with the comment `# NBVAL_CHECK_OUTPUT`.
"""

import argparse
import os
import sys
from copy import deepcopy
from itertools import chain
from pathlib import Path

import nbformat
from nbstripout import strip_output

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
EXTRA_KEYS = [
    "metadata.widgets",
    "cell.metadata.collapsed",
    "cell.metadata.execution",
    "cell.metadata.papermill",
    "cell.metadata.jp-MarkdownHeadingCollapsed",
]


def stripped(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    clean = strip_output(deepcopy(notebook), keep_output=False, keep_count=False, keep_id=True, extra_keys=EXTRA_KEYS)
    clean.metadata = nbformat.from_dict(METADATA)
    for cell in clean.cells:
        if cell.cell_type == "code" and cell.outputs:
            cell.execution_count = 1
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = 1
    return clean


def executed(path: Path) -> nbformat.NotebookNode:
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": path.parent}},
    ).execute()
    return notebook


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, help="notebooks, or folders of notebooks")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="change nothing, fail when something would change")
    choice.add_argument("--execute", action="store_true", help="execute first, so that the kept outputs are new")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

    unclean = []
    found = [sorted(path.glob("*.ipynb")) if path.is_dir() else [path] for path in arguments.paths]
    for path in chain.from_iterable(found):
        before = path.read_text(encoding="utf-8")
        notebook = executed(path) if arguments.execute else nbformat.reads(before, as_version=4)
        after = nbformat.writes(stripped(notebook)).rstrip("\n") + "\n"
        if after != before:
            unclean.append(path)
            if not arguments.check:
                path.write_text(after, encoding="utf-8")
                print(f"stripped {path}")
    if arguments.check and unclean:
        print(f"not stripped: {', '.join(map(str, unclean))}: run `make format`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
