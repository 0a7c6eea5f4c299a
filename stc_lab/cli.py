"""The command line, `stc-lab`. Each command imports what it needs when it runs, so that --help is quick."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from stc_lab.errors import InputError


class Refused(click.ClickException):
    exit_code = 2


class Commands(click.Group):
    """Bad input is a message and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise Refused(str(error)) from error
        except KeyboardInterrupt:
            for name in ("asyncio", "papermill"):  # whose half-done tasks would fill the screen with tracebacks
                logging.getLogger(name).setLevel(logging.CRITICAL)
            raise


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stc_lab")
def main() -> None:
    """Spatio-Temporal Consistency Lab: what video knows about semantic segmentation."""
    # Before torch starts; kernels and workers inherit it. No command waits for a model hub.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@main.command()
def doctor() -> None:
    """Say what is missing and what to do about it."""
    from stc_lab.doctor import examine, show

    findings = examine()
    click.echo(show(findings))
    sys.exit(any(finding.essential and not finding.ok for finding in findings))


@main.command()
def notebooks() -> None:
    """List the notebooks and their parameters."""
    from stc_lab.experiments.recipes import RECIPES, describe

    for name, recipe in RECIPES.items():
        click.echo(name)
        for parameter, legal in describe(recipe).items():
            click.echo(f"  -p {parameter:8} {legal}")


@main.command()
@click.argument("notebook")
@click.option("-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter of the notebook.")
@click.option("--again", is_flag=True, help="Run it even when a finished run is there.")
def run(notebook: str, parameters: tuple[tuple[str, str], ...], again: bool) -> None:
    """Execute one notebook and keep the run.

    NOTEBOOK is its name or the beginning of it: 02 will do. A finished run of the same recipe is found, not repeated.
    """
    from stc_lab.experiments.demo import run_all
    from stc_lab.experiments.recipes import parse, recipe_of
    from stc_lab.experiments.runs import Run

    recipe = parse(recipe_of(notebook), parameters)
    (outcome,) = run_all([recipe], again=again)
    if not isinstance(outcome, Run):
        sys.exit(1)
    click.echo(f"Run:     {outcome.folder}")
    if outcome.published.is_dir():
        click.echo(f"Figures: {outcome.published}")
    for name, value in outcome.metrics.items():
        click.echo(f"  {name} = {value}")


@main.command()
@click.argument("recipe", metavar="RECIPE.json")
@click.option("--out", required=True, metavar="FILE", help="The trained net, a safetensors file.")
@click.option("--preset", default="full", show_default=True, help="Of the rooms to train on: tiny, quick or full.")
@click.option("--start", metavar="FILE", help="A trained net to go on from.")
@click.option("--cpu", is_flag=True, help="Leave accelerators alone.")
def train(recipe: str, out: str, preset: str, start: str | None, cpu: bool) -> None:
    """Train the default net by a recipe in a file, on one device or on several.

    On several: torchrun --standalone --nproc-per-node N --no-python stc-lab train RECIPE.json --out FILE. The losses
    are those of one process with the same batch. An interrupted run is taken up by the same command.
    """
    from stc_lab.training.shared_run import train_file

    train_file(recipe, out, preset=preset, start=start, cpu=cpu, write=click.echo)


@main.command("train-shipped")
@click.option("--out", metavar="FOLDER", help="Write there and leave the package's own checkpoint alone.")
def train_shipped(out: str | None) -> None:
    """Train the checkpoint that comes with the package."""
    import torch

    from stc_lab.training.ship import train_shipped as train

    torch.set_flush_denormal(True)  # faster, and how the shipped one was trained: other rounding, other weights

    click.echo(train(out, log=click.echo))


@main.command("train-depth")
@click.option("--out", metavar="FOLDER", help="Write there and leave the package's own checkpoint alone.")
@click.option("--preset", default="full", show_default=True, help="tiny, quick or full: how many rooms, how long.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 100), help="How many, from 0 on.")
def train_depth(out: str | None, preset: str, seeds: int) -> None:
    """Learn depth, egomotion and focal length from rooms, judge them, and keep the best net on validation rooms.

    A seed that is done is found in the cache, not repeated.
    """
    import torch

    from stc_lab.experiments.depth_study import ship_depth

    torch.set_flush_denormal(True)
    click.echo(ship_depth(out, preset=preset, seeds=range(seeds), log=click.echo))


@main.command()
@click.argument("chapter")
@click.option("--out", metavar="FOLDER", help="Write there and leave the package's own results alone.")
@click.option("--seeds", type=click.IntRange(1, 100), help="The first so many only; without it all.")
def study(chapter: str, out: str | None, seeds: int | None) -> None:
    """Train the rows of a chapter with several seeds, and keep the numbers.

    CHAPTER is 04, 07, 08 or 10. A seed that is done is found in the cache, not repeated.
    """
    import torch

    from stc_lab.experiments.chapter_studies import keep_study

    torch.set_flush_denormal(True)
    click.echo(keep_study(chapter, out, seeds=seeds, log=click.echo))


@main.command()
@click.argument("study")
@click.option("--profile", default="quick", show_default=True, help="How much of it: quick, full or paper.")
@click.option("--jobs", type=int, metavar="N", help="How many at a time; without it one for each core.")
@click.option("--cluster", metavar="slurm", help="Give the jobs to this cluster instead of running them here.")
@click.option("--dry-run", is_flag=True, help="Only say what would run, and how long it would take.")
@click.option("--again", is_flag=True, help="Forget what is done, and do all of it once more.")
def reproduce(study: str, profile: str, jobs: int | None, cluster: str | None, dry_run: bool, again: bool) -> None:
    """Reproduce the tables and figures of a paper, as a batch of jobs: pasad.

    What is done is never repeated: after an interruption, or a kill, the same command goes on where it was.
    """
    from stc_lab.experiments.batch import reproduce as run_batch
    from stc_lab.experiments.execution import RunFailed

    in_terminal = sys.stdout.isatty()
    clear = "\r\x1b[K" if in_terminal else ""
    try:
        whole = run_batch(
            study,
            profile,
            jobs=jobs,
            cluster=cluster,
            dry_run=dry_run,
            again=again,
            write=lambda line: click.echo(clear + line),
            status=(lambda line: click.echo(clear + line, nl=False)) if in_terminal else None,
        )
    except RunFailed as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo(f"{clear}Interrupted; the same command{' without --again' if again else ''} goes on from here")
        raise
    sys.exit(not whole)


@main.command()
@click.option("--again", is_flag=True, help="Run every notebook even when finished runs are there.")
def demo(again: bool) -> None:
    """Run the walk-through notebooks.

    With STC_LAB_DATA=<folder> also on the real videos there.
    """
    from stc_lab.experiments.demo import demo as walk

    sys.exit(not walk(again=again))


@main.command()
@click.option("--voila", is_flag=True, help="Serve it as a page without code, for a class, instead of in JupyterLab.")
@click.option("--port", type=click.IntRange(1, 65535), help="By default the first that is free.")
@click.option("--browser/--no-browser", default=True, help="Open it in a browser.")
def explore(voila: bool, port: int | None, browser: bool) -> None:
    """Open the consistency explorer, notebook 11, in JupyterLab or as a page.

    Served to this machine alone; end it with Ctrl-C.
    """
    from stc_lab.experiments.explorer_server import explorer_command, serve

    sys.exit(serve(explorer_command(voila=voila, port=port, browser=browser)))


@main.group()
def data() -> None:
    """Data sets: which there are, what they hold, and whether a copy is whole."""


_OPTION = click.option(
    "-o", "options", nargs=2, multiple=True, metavar="NAME VALUE", help="An option of this data set, as of load()."
)
_SPLIT = click.option("--split", help="One split; without it the first.")


@data.command("list")
def list_data() -> None:
    """List the data sets, and which of them lie in STC_LAB_DATA."""
    from stc_lab.data.facts import overview

    for line in overview():
        click.echo(line)


@data.command()
@click.argument("name")
def info(name: str) -> None:
    """Say what is true of a data set as a whole."""
    from stc_lab.data.facts import facts

    for line in facts(name):
        click.echo(line)


@data.command()
@click.argument("name")
@click.option("--root", metavar="DIR", help="Folder of its files; without it that in STC_LAB_DATA.")
@_SPLIT
@_OPTION
@click.option("--threads", default=2, show_default=True, help="Files that are read at once.")
def check(name: str, root: str | None, split: str | None, options: tuple[tuple[str, str], ...], threads: int) -> None:
    """Read a whole copy and name every file that is missing, damaged or odd.

    The exit code is 1 if there are any.
    """
    from stc_lab.data.check import check as examine
    from stc_lab.data.facts import first_split, summary
    from stc_lab.data.load import open_source

    videos = open_source(name, root=root, split=split or first_split(name, root), **_values(options))
    click.echo(repr(videos))

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {total} frames", nl=done == total, err=True)

    report = examine(videos, threads=threads, progress=progress)
    for line in summary(report):
        click.echo(line)
    sys.exit(not report.sound)


@data.command()
@click.argument("name")
@click.option("--root", metavar="DIR", help="Folder of its files; without it that in STC_LAB_DATA.")
@_SPLIT
@_OPTION
@click.option("--out", metavar="FILE", default="preview.png", show_default=True)
@click.option("--frames", default=6, show_default=True, help="Spread over the videos.")
def preview(
    name: str, root: str | None, split: str | None, options: tuple[tuple[str, str], ...], out: str, frames: int
) -> None:
    """Draw frames of a data set with their labels and depth, as one PNG."""
    from stc_lab.data.facts import first_split
    from stc_lab.data.load import load
    from stc_lab.plots.preview import preview_sheet

    videos = load(name, root=root, split=split or first_split(name, root), **_values(options))
    rows = sorted({round((i + 0.5) * len(videos) / frames - 0.5) for i in range(min(frames, len(videos)))})
    if not rows:
        raise InputError(f"frames must be at least 1, got {frames}")
    path = Path(out).expanduser()
    try:
        path.write_bytes(preview_sheet([videos.frames([row]) for row in rows], videos.info.classes))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    click.echo(path)


def _values(options: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Options of the command line as values: numbers, true, false and null as JSON has them, all else as text."""
    values: dict[str, Any] = {}
    for name, text in options:
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values
