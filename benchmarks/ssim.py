"""Time SSIM over 3x3 windows, forward and with its gradients, beside its peer; prints a Markdown table.

Rounds are interleaved, so that load of the machine hits all alike: trust the ratios, not the milliseconds.
`copy_` of both images, with cold caches, is the floor.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import click
import torch
from kornia.metrics import ssim

from stc_lab.losses import photometric_error, ssim_loss_map
from stc_lab.losses.ssim import C1, C2, _plain

Call = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Shape = tuple[int, int, int, int]
OURS, PHOTOMETRIC, PLAIN, KORNIA = "ours", "ours, the photometric error", "ours, plain operations", "kornia, window 3"


def kornia_loss_map(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """What kornia.losses.ssim_loss averages."""
    return ((1 - ssim(a, b, 3)) / 2).clamp(0, 1)


CALLS: dict[str, Call] = {
    OURS: ssim_loss_map,
    PHOTOMETRIC: photometric_error,
    PLAIN: lambda a, b: _plain(a, b, None, C1, C2, (1.0, 0.0)),
    KORNIA: kornia_loss_map,
}


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def there_and_back(call: Call, a: torch.Tensor, b: torch.Tensor) -> None:
    call(a, b).mean().backward()


def times(shape: Shape, rounds: int) -> tuple[dict[str, tuple[float, float, float]], float]:
    """Median ms of (forward, with the gradient of one image, with that of both) of each call, and of the copy."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(shape, generator=generator)
    other = (values + 0.1 * torch.randn(shape, generator=generator)).clamp(0, 1)
    kept = torch.empty_like(values), torch.empty_like(other)
    flush = torch.zeros(16_000_000)  # 64 MB: larger than the caches
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CALLS}
    floor: list[float] = []
    for _ in range(rounds + 2):
        flush.add_(1)
        floor.append(milliseconds(lambda: (kept[0].copy_(values), kept[1].copy_(other))))
        for name, call in CALLS.items():
            took = []
            for wanted in ((False, False), (True, False), (True, True)):
                a, b = (v.clone().requires_grad_(asked) for v, asked in zip((values, other), wanted, strict=True))
                flush.add_(1)
                took.append(milliseconds(partial(there_and_back, call, a, b) if any(wanted) else partial(call, a, b)))
            found[name].append((took[0], took[1], took[2]))
    warm = slice(2, None)  # the first two rounds only warm up
    medians = {name: tuple(map(statistics.median, zip(*rows[warm], strict=True))) for name, rows in found.items()}
    return medians, statistics.median(floor[warm])


@click.command()
@click.option("--shape", "shapes", nargs=4, type=int, multiple=True, help="b c h w; more than once for several")
@click.option("--threads", "threads", type=int, multiple=True, help="of torch; more than once for several")
@click.option("--rounds", default=30, show_default=True)
def main(shapes: Sequence[Shape], threads: Sequence[int], rounds: int) -> None:
    """Time forward, forward with backward to one image, and to both."""
    print("| images | threads | | ms | ms / copy_ | ms / kornia |", "|" + "---|" * 6, sep="\n")
    for shape in shapes or ((4, 3, 240, 320), (4, 3, 64, 96)):
        for count in threads or (1, 2):
            torch.set_num_threads(count)
            found, floor = times(shape, rounds)
            print(f"| {list(shape)} | {count} | copy_ | {floor:.2f} | | |")
            for name, medians in found.items():
                cells = [
                    " / ".join(f"{value:.2f}" for value in row)
                    for row in (
                        medians,
                        [m / floor for m in medians],
                        [m / k for m, k in zip(medians, found[KORNIA], strict=True)],
                    )
                ]
                print(f"| | | {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
