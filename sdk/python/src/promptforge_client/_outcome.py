"""How one prompt ended."""

from __future__ import annotations

from dataclasses import dataclass

from promptforge.v1 import outcome_pb2


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prompt's result or error; exactly one of the two is set.

    `offset` is its place in the order in which the job's outcomes were recorded,
    the first 1. `prompt_id` has the type that it has in the file, and is None for
    a line of which none could be read.
    """

    offset: int
    prompt_id: str | int | None
    result: outcome_pb2.Result | None
    error: outcome_pb2.PromptError | None

    @property
    def text(self) -> str | None:
        """The answer's text, or None where the prompt ended as an error."""
        return None if self.result is None else self.result.result


def outcome(message: outcome_pb2.Outcome) -> Outcome:
    kind = message.WhichOneof("prompt_id")
    prompt_id: str | int | None = None
    if kind == "string_id":
        prompt_id = message.string_id
    elif kind == "int64_id":
        prompt_id = message.int64_id
    failed = message.WhichOneof("outcome") == "error"
    return Outcome(
        offset=message.offset,
        prompt_id=prompt_id,
        result=None if failed else message.result,
        error=message.error if failed else None,
    )


def due(message: outcome_pb2.Outcome, offset: int) -> int:
    """The offset of the outcome that follows the one at offset. Raises
    RuntimeError where it is another one."""
    if message.offset != offset + 1:
        raise RuntimeError(
            f"the service sent outcome {message.offset} where {offset + 1} was due; outcomes would be lost or repeated"
        )
    return message.offset
