"""Keeps what goes wrong in a hook of ours away from the user's flow. Standard library only."""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Hook = TypeVar("Hook", bound="Callable[..., None]")


def never_raises(hook: Hook) -> Hook:
    """``hook``, which Metaflow calls, without its exceptions: the flow comes first, whatever is wrong with ours."""

    @functools.wraps(hook)
    def guarded(*args: Any, **kwargs: Any) -> None:
        with suppress(Exception):
            hook(*args, **kwargs)

    return guarded  # type: ignore[return-value]  # the wrapper has the hook's own signature
