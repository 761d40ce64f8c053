"""Other people's errors in one line."""

_LONGEST = 300


def reason(error: BaseException) -> str:
    """What an error says, on one line and not too long; its type where it says nothing."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
