"""Streams that go on over lost connections. Nothing here sends anything: a
client opens a stream by `request()`, hands each message to `take()`, and opens
another one where a stream ended and `over` and `ended()` say that more is due."""

from __future__ import annotations

from typing import Protocol, TypeVar

from promptforge.v1 import job_service_pb2 as pb
from promptforge_client._outcome import Outcome, due, outcome

Q = TypeVar("Q", covariant=True)
A = TypeVar("A", contravariant=True)
T = TypeVar("T", covariant=True)


class Stream(Protocol[Q, A, T]):
    """`Q` opens a stream of `A`, of which a caller gets `T`."""

    over: bool  # nothing more is due

    def request(self) -> Q: ...

    def take(self, message: A) -> T | None:
        """What the caller gets of a message; None where that is nothing new."""

    def ended(self) -> None:
        """Tells that the service ended a stream in good order."""


class States:
    """A job's states."""

    def __init__(self, job_id: str) -> None:
        self.over = False
        self._job_id = job_id
        self._seen = ""

    def request(self) -> pb.WatchJobRequest:
        return pb.WatchJobRequest(job_id=self._job_id)

    def take(self, message: pb.WatchJobResponse) -> pb.GetJobStatusResponse | None:
        self.over = message.settled
        # A new stream begins with the state now, which may be known.
        if message.event_id == self._seen:
            return None
        self._seen = message.event_id
        return message.status

    def ended(self) -> None:
        """Only the settled state is the last one."""


class Outcomes:
    """A job's outcomes from an offset on."""

    def __init__(self, job_id: str, offset: int) -> None:
        self.over = False
        self._job_id = job_id
        self._offset = offset

    def request(self) -> pb.StreamResultsRequest:
        return pb.StreamResultsRequest(job_id=self._job_id, offset=self._offset)

    def take(self, message: pb.StreamResultsResponse) -> Outcome:
        self._offset = due(message.outcome, self._offset)
        return outcome(message.outcome)

    def ended(self) -> None:
        self.over = True
