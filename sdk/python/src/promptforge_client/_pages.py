"""Lists that come page by page. Nothing here sends anything: a client asks for
`request()`, hands the answer to `take()`, and goes on until `done`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from promptforge.v1 import job_pb2
from promptforge.v1 import job_service_pb2 as pb

Q = TypeVar("Q", covariant=True)
A = TypeVar("A", contravariant=True)
T = TypeVar("T", covariant=True)


class Pages(Protocol[Q, A, T]):
    """`Q` is asked, `A` answered, and `T` listed."""

    done: bool

    def request(self) -> Q: ...
    def take(self, page: A) -> Iterable[T]: ...


class JobPages:
    def __init__(self, status: job_pb2.Job.Status.ValueType) -> None:
        self.done = False
        self._status = status
        self._token = ""

    def request(self) -> pb.ListJobsRequest:
        return pb.ListJobsRequest(status=self._status, page_token=self._token)

    def take(self, page: pb.ListJobsResponse) -> Iterable[job_pb2.Job]:
        self._token = page.next_page_token
        self.done = not self._token
        return page.jobs


class FilePages:
    def __init__(self, job_id: str, partial: bool, full: bool) -> None:
        self.done = False
        self._job_id = job_id
        self._partial = partial
        self._view = "full" if full else ""
        self._token = ""

    def request(self) -> pb.GetJobResultsRequest:
        return pb.GetJobResultsRequest(
            job_id=self._job_id, partial=self._partial, view=self._view, page_token=self._token
        )

    def take(self, page: pb.GetJobResultsResponse) -> Iterable[pb.GetJobResultsResponse.File]:
        self._token = page.next_page_token
        self.done = not self._token
        return page.files
