"""The process that turns figures into PNG and SVG with one browser; `export.py` starts it and can always stop it.

One request per line on standard input, one answer per line on standard output, both JSON.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from typing import Any, TextIO


async def serve(requests: TextIO, answers: TextIO, start_limit: float, figure_limit: float) -> None:
    """Start the browser, say so, then render until the requests end."""
    import kaleido

    browser: Any = None
    try:
        browser = kaleido.Kaleido(n=1, timeout=figure_limit, mathjax=False)  # without it, kaleido asks a public server
        await asyncio.wait_for(browser.open(), start_limit)
        _answer(answers, {"ready": True})
        for line in requests:
            request = json.loads(line)
            try:
                options = {"format": request["format"], "scale": request["scale"]}
                picture = await browser.calc_fig(request["figure"], opts=options)
                _answer(answers, {"bytes": base64.b64encode(picture).decode("ascii")})
            except Exception as error:  # the next figure may well succeed
                _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        await asyncio.wait_for(browser.close(), 10)
    except Exception as error:
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
    finally:
        with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
            os.killpg(browser.subprocess.pid, signal.SIGKILL)


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the answers
    asyncio.run(serve(sys.stdin, answers, float(sys.argv[1]), float(sys.argv[2])))
    answers.flush()
    os._exit(0)  # threads of a browser that never answered would keep the process alive


if __name__ == "__main__":
    main()
