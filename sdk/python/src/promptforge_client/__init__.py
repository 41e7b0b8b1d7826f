"""Sends prompts to an LLM provider through a PromptForge service.

    from promptforge_client import run

    for outcome in run(["Why is the sky blue?"], provider="openai", model="gpt-4o-mini"):
        print(outcome.prompt_id, outcome.text)

`Client` and `AsyncClient` have the single steps. The messages themselves are
generated, and stand in `promptforge.v1`.
"""

from promptforge_client._aio import AsyncClient, AsyncRun, arun
from promptforge_client._client import Client, Run, run
from promptforge_client._errors import JobEnded, PromptForgeError
from promptforge_client._outcome import Outcome
from promptforge_client._prompts import Prompt
from promptforge_client._version import __version__

__all__ = [
    "AsyncClient",
    "AsyncRun",
    "Client",
    "JobEnded",
    "Outcome",
    "Prompt",
    "PromptForgeError",
    "Run",
    "__version__",
    "arun",
    "run",
]
