"""The client for ordinary code."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import IO, TypeVar, Unpack

import grpc

from promptforge.v1 import job_pb2, job_service_pb2_grpc
from promptforge.v1 import job_service_pb2 as pb
from promptforge_client._errors import check_ended, translated
from promptforge_client._outcome import Outcome
from promptforge_client._pages import FilePages, JobPages, Pages
from promptforge_client._progress import Progress
from promptforge_client._prompts import PIECE, Prompt, spooled
from promptforge_client._requests import JobOptions, check_prompts, init_request
from promptforge_client._session import Metadata, Session
from promptforge_client._streams import Outcomes, States, Stream
from promptforge_client._target import OPTIONS

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")


class Client:
    """A connection to a PromptForge service, to be used as a context manager or
    closed. Threads may share it.

    `target` is host:port of the service's gRPC, PROMPTFORGE_GRPC or
    127.0.0.1:9090 if left out; `api_key` is PROMPTFORGE_API_KEY if left out. It
    connects with TLS, but for this machine; `tls` is for a private certificate
    authority, `plaintext` for private networks. Each operation goes on over lost
    connections and restarts of the service until `patience` seconds were waited
    in vain. Errors are `PromptForgeError`.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        api_key: str | None = None,
        tls: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        patience: float = 300.0,
    ) -> None:
        self._session = session = Session(target, api_key, tls, plaintext, patience)
        self._channel = (
            grpc.insecure_channel(session.target, OPTIONS)
            if session.credentials is None
            else grpc.secure_channel(session.target, session.credentials, OPTIONS)
        )
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)

    def close(self) -> None:
        """Ends the connection. Jobs go on."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def init(
        self, provider: str, model: str, *, idempotency_key: str | None = None, **options: Unpack[JobOptions]
    ) -> pb.InitJobResponse:
        """Creates a job and answers where its file can be PUT. It is repeated
        when its answer is lost, and yet makes one job."""
        request = init_request(provider, model, options)
        return self._call(self._jobs.InitJob, request, self._session.once(idempotency_key))

    def upload(self, job_id: str, prompts: str | os.PathLike[str] | Iterable[Prompt]) -> pb.UploadPromptsResponse:
        """Sends the prompts of a job that awaits them, and returns when they are
        durable and counted. A string or a path names a file of JSON Lines."""
        with spooled(prompts) as file:
            return self._repeated(
                lambda: self._jobs.UploadPrompts(_pieces(job_id, file), metadata=self._session.metadata)
            )

    def submit(
        self,
        prompts: str | os.PathLike[str] | Iterable[Prompt] | None,
        *,
        provider: str,
        model: str,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str:
        """Creates a job, uploads its prompts and returns its id. With
        `continue_from` prompts is None."""
        check_prompts(prompts is not None, options)
        job_id = self.init(provider, model, idempotency_key=idempotency_key, **options).job_id
        if prompts is not None:
            self.upload(job_id, prompts)
        return job_id

    def status(self, job_id: str) -> pb.GetJobStatusResponse:
        """The job's state and counts."""
        return self._call(self._jobs.GetJobStatus, pb.GetJobStatusRequest(job_id=job_id))

    def job(self, job_id: str) -> job_pb2.Job:
        """The whole job."""
        return self._call(self._jobs.GetJob, pb.GetJobRequest(job_id=job_id)).job

    def jobs(self, status: job_pb2.Job.Status.ValueType = job_pb2.Job.STATUS_UNSPECIFIED) -> Iterator[job_pb2.Job]:
        """The client's jobs, newest first, of one state if given."""
        return self._pages(self._jobs.ListJobs, JobPages(status))

    def cancel(self, job_id: str) -> None:
        """Stops the job: no new prompt leaves after this returns."""
        self._call(self._jobs.CancelJob, pb.CancelJobRequest(job_id=job_id))

    def delete(self, job_id: str) -> None:
        """Stops the job if need be, and removes its prompts, results and errors."""
        self._call(self._jobs.DeleteJob, pb.DeleteJobRequest(job_id=job_id))

    def results(self, job_id: str, *, partial: bool = False, full: bool = False) -> Iterator[pb.GetJobResultsResponse.File]:
        """The files that can be downloaded, each with its URL. `partial` asks
        for what is finished so far, `full` for the provider's whole answers."""
        return self._pages(self._jobs.GetJobResults, FilePages(job_id, partial, full))

    def watch(self, job_id: str) -> Iterator[pb.GetJobStatusResponse]:
        """The state now and each one that follows, at most 4 a second; the last
        is the settled one. A slow reader gets the newest only."""
        return self._follow(self._jobs.WatchJob, States(job_id))

    def wait(self, job_id: str) -> pb.GetJobStatusResponse:
        """Follows a job until it is settled and returns its last state."""
        *_, last = self.watch(job_id)
        return last

    def outcomes(self, job_id: str, offset: int = 0) -> Iterator[Outcome]:
        """The job's results and errors in the order in which they were recorded,
        also while it runs, until it is settled. `offset` passes over the first
        ones: it is that of the last outcome already dealt with. Over lost
        connections and restarts nothing is repeated and nothing left out."""
        return self._follow(self._jobs.StreamResults, Outcomes(job_id, offset))

    def run(
        self,
        prompts: str | os.PathLike[str] | Iterable[Prompt] | None,
        *,
        provider: str,
        model: str,
        progress: bool | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Run:
        """The whole job: the prompts are sent off when this returns; iterating
        gives their outcomes. `progress` None shows a bar on a terminal."""
        job_id = self.submit(
            prompts, provider=provider, model=model, idempotency_key=idempotency_key, **options
        )
        return Run(self, job_id, progress)

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[Q, A], request: Q, metadata: Metadata | None = None
    ) -> A:
        return self._repeated(lambda: method(request, metadata=metadata or self._session.metadata))

    def _repeated(self, call: Callable[[], A]) -> A:
        retry = self._session.retry()
        while True:
            retry.opened()
            try:
                return call()
            except grpc.RpcError as error:
                time.sleep(retry.delay(translated(error)))

    def _pages(self, method: grpc.UnaryUnaryMultiCallable[Q, A], pages: Pages[Q, A, T]) -> Iterator[T]:
        while not pages.done:
            yield from pages.take(self._call(method, pages.request()))

    def _follow(self, method: grpc.UnaryStreamMultiCallable[Q, A], state: Stream[Q, A, T]) -> Iterator[T]:
        retry = self._session.retry()
        while not state.over:
            retry.opened()
            stream = method(state.request(), metadata=self._session.metadata)
            try:
                for message in stream:
                    retry.progress()
                    if (item := state.take(message)) is not None:
                        yield item
                    if state.over:
                        return
                state.ended()
            except grpc.RpcError as error:
                time.sleep(retry.delay(translated(error)))
            finally:
                stream.cancel()


class Run:
    """A job on its way. Iterating gives every prompt's outcome once, and raises
    `JobEnded` at the end where the job ended FAILED or CANCELLED. Breaking off
    leaves the job running: `job_id` finds it again."""

    def __init__(self, client: Client, job_id: str, progress: bool | None) -> None:
        self.job_id = job_id
        self._client = client
        self._progress = progress

    def __iter__(self) -> Iterator[Outcome]:
        total = self._client.status(self.job_id).prompt_count
        with Progress(total, self._progress) as bar:
            for each in self._client.outcomes(self.job_id):
                bar.saw(each)
                yield each
        check_ended(self._client.job(self.job_id))


def run(
    prompts: str | os.PathLike[str] | Iterable[Prompt] | None,
    *,
    provider: str,
    model: str,
    target: str | None = None,
    api_key: str | None = None,
    progress: bool | None = None,
    **options: Unpack[JobOptions],
) -> Iterator[Outcome]:
    """The whole job in one call: gives every prompt's outcome, in the order in
    which they are recorded, and holds none of them. See `Client` for target and
    api_key, `Client.run` for the rest. Nothing happens before the first outcome
    is asked for."""
    with Client(target, api_key=api_key) as client:
        yield from client.run(prompts, provider=provider, model=model, progress=progress, **options)


def _pieces(job_id: str, file: IO[bytes]) -> Iterator[pb.UploadPromptsRequest]:
    file.seek(0)
    yield pb.UploadPromptsRequest(job_id=job_id)
    while piece := file.read(PIECE):
        yield pb.UploadPromptsRequest(data=piece)

