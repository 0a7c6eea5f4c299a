"""The one error for bad input: what was expected, what came, and the usual cause."""


class InputError(ValueError):
    """An argument or a file that cannot be used: what was expected, what came, and why that usually happens.

    Nothing is written, cached or half-done when it is raised.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}. Usual cause or fix: {hint}")
