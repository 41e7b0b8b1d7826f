"""The bar that a person sees."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm

from promptforge_client._outcome import Outcome


class Progress:
    """One bar on standard error: prompts, their rate, what is left, errors and
    tokens. `shown` None shows it where standard error is a terminal."""

    def __init__(self, total: int | None, shown: bool | None) -> None:
        if shown is None:
            shown = sys.stderr.isatty()
        self._bar = tqdm(total=total, unit="prompt", disable=not shown, dynamic_ncols=True)
        self._errors = 0
        self._tokens = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def saw(self, outcome: Outcome) -> None:
        if self._bar.disable:
            return
        if outcome.result is None:
            self._errors += 1
        else:
            self._tokens += outcome.result.tokens_used
        self._bar.set_postfix(errors=self._errors, tokens=self._tokens, refresh=False)
        self._bar.update()
