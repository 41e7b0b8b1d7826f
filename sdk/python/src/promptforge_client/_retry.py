"""How long one operation goes on after its connection was lost."""

from __future__ import annotations

import random
import time

from promptforge_client._errors import PromptForgeError

_FIRST, _MOST = 0.1, 15.0
_STEADY = 30.0


class Retry:
    """The patience of one operation: it gives up when `patience` seconds were
    waited in all, between tries that brought nothing."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._attempt = 0
        self._waited = 0.0
        self._opened = time.monotonic()

    def opened(self) -> None:
        """Tells that a try begins."""
        self._opened = time.monotonic()

    def progress(self) -> None:
        """Tells that something came."""
        self._attempt, self._waited = 0, 0.0

    def delay(self, error: PromptForgeError) -> float:
        """How many seconds to wait before the next try. Raises the error where
        there is to be none."""
        if not error.lost:
            raise error
        # A job may be quiet for hours, and some proxies end a stream that is.
        if time.monotonic() - self._opened >= _STEADY:
            self.progress()
        delay = min(_MOST, _FIRST * (1 << min(self._attempt, 8)))
        delay = delay / 2 + random.uniform(0, delay / 2) + error.retry_after
        if self._waited + delay > self._patience:
            raise error
        self._attempt += 1
        self._waited += delay
        return delay
