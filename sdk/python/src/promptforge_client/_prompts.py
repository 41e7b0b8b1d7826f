"""The prompts file, made of whatever the caller has."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import IO, Any, TypeAlias

Prompt: TypeAlias = str | Mapping[str, Any]
"""A prompt's text, whose prompt_id is its index among the prompts from 0, or a
whole line of the prompts file: a mapping with `prompt_id`, `prompt` or
`messages`, and any of the parameters."""

PIECE = 256 << 10
"""How many bytes of a file go into one message. The service takes 4 MiB."""


def line(index: int, prompt: Prompt) -> bytes:
    """The prompt as a line of JSON. Raises ValueError or TypeError, with the
    index, for what is none."""
    if isinstance(prompt, str):
        prompt = {"prompt_id": index, "prompt": prompt}
    elif not isinstance(prompt, Mapping):
        raise TypeError(f"prompts[{index}] is a {type(prompt).__name__}; a prompt is a string or a mapping")
    try:
        text = json.dumps(dict(prompt), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise type(error)(f"prompts[{index}]: {error}") if type(error) in (TypeError, ValueError) else ValueError(
            f"prompts[{index}]: {error}"
        ) from error


def spooled(prompts: str | os.PathLike[str] | Iterable[Prompt]) -> IO[bytes]:
    """The prompts as an open file, which can be read more than once: after a
    lost connection it is sent again. A string or a path names a file of JSON
    Lines; anything else is written to a temporary one."""
    if isinstance(prompts, (str, os.PathLike)):
        return open(prompts, "rb")
    file = tempfile.TemporaryFile()
    try:
        for index, prompt in enumerate(prompts):
            file.write(line(index, prompt))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


async def aspooled(prompts: str | os.PathLike[str] | Iterable[Prompt] | AsyncIterable[Prompt]) -> IO[bytes]:
    """What `spooled` is, for an asynchronous source too."""
    if not isinstance(prompts, AsyncIterable):
        return spooled(prompts)
    file = tempfile.TemporaryFile()
    try:
        index = 0
        async for prompt in prompts:
            file.write(line(index, prompt))
            index += 1
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file
