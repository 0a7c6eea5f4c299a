"""The command line, `stc-lab`. Each command imports what it needs when it runs, so that --help is quick."""

import logging
import os
import sys
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


@main.command("train-shipped")
@click.option("--out", metavar="FOLDER", help="Write there and leave the package's own checkpoint alone.")
def train_shipped(out: str | None) -> None:
    """Train the checkpoint that comes with the package."""
    import torch

    from stc_lab.training.ship import train_shipped as train

    torch.set_flush_denormal(True)  # faster, and how the shipped one was trained: other rounding, other weights

    click.echo(train(out, log=click.echo))


@main.command()
@click.option("--again", is_flag=True, help="Run every notebook even when finished runs are there.")
def demo(again: bool) -> None:
    """Run the walk-through notebooks.

    With STC_LAB_DATA=<folder> also on the real videos there.
    """
    from stc_lab.experiments.demo import demo as walk

    sys.exit(not walk(again=again))
