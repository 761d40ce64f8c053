"""The two ways a command can end badly, each with its exit code."""


class ExpclipError(Exception):
    """Something failed. The message says what, where and what to do; it is shown without a traceback."""

    exit_code = 1


class UsageError(ExpclipError):
    """The request or the configuration is wrong: nothing was done."""

    exit_code = 2
