"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import IO, TypeAlias, TypeVar, Unpack

import grpc
import grpc.aio

from promptforge.v1 import job_pb2, job_service_pb2_grpc
from promptforge.v1 import job_service_pb2 as pb
from promptforge_client._errors import check_ended, translated
from promptforge_client._outcome import Outcome
from promptforge_client._pages import FilePages, JobPages, Pages
from promptforge_client._progress import Progress
from promptforge_client._prompts import PIECE, Prompt, aspooled
from promptforge_client._requests import JobOptions, check_prompts, init_request
from promptforge_client._session import Metadata, Session
from promptforge_client._streams import Outcomes, States, Stream
from promptforge_client._target import OPTIONS

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")
Prompts: TypeAlias = str | os.PathLike[str] | Iterable[Prompt] | AsyncIterable[Prompt]


class AsyncClient:
    """What `Client` is, for asyncio: the same arguments, methods and errors. It
    belongs to the event loop in which it is made."""

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
            grpc.aio.insecure_channel(session.target, OPTIONS)
            if session.credentials is None
            else grpc.aio.secure_channel(session.target, session.credentials, OPTIONS)
        )
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)

    async def close(self) -> None:
        """Ends the connection. Jobs go on."""
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def init(
        self, provider: str, model: str, *, idempotency_key: str | None = None, **options: Unpack[JobOptions]
    ) -> pb.InitJobResponse:
        """See `Client.init`."""
        request = init_request(provider, model, options)
        return await self._call(self._jobs.InitJob, request, self._session.once(idempotency_key))

    async def upload(self, job_id: str, prompts: Prompts) -> pb.UploadPromptsResponse:
        """See `Client.upload`."""
        with await aspooled(prompts) as file:
            return await self._repeated(
                lambda: self._jobs.UploadPrompts(_pieces(job_id, file), metadata=self._session.metadata)
            )

    async def submit(
        self,
        prompts: Prompts | None,
        *,
        provider: str,
        model: str,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str:
        """See `Client.submit`."""
        check_prompts(prompts is not None, options)
        job_id = (await self.init(provider, model, idempotency_key=idempotency_key, **options)).job_id
        if prompts is not None:
            await self.upload(job_id, prompts)
        return job_id

    async def status(self, job_id: str) -> pb.GetJobStatusResponse:
        """The job's state and counts."""
        return await self._call(self._jobs.GetJobStatus, pb.GetJobStatusRequest(job_id=job_id))

    async def job(self, job_id: str) -> job_pb2.Job:
        """The whole job."""
        return (await self._call(self._jobs.GetJob, pb.GetJobRequest(job_id=job_id))).job

    def jobs(self, status: job_pb2.Job.Status.ValueType = job_pb2.Job.STATUS_UNSPECIFIED) -> AsyncIterator[job_pb2.Job]:
        """See `Client.jobs`."""
        return self._pages(self._jobs.ListJobs, JobPages(status))

    async def cancel(self, job_id: str) -> None:
        """See `Client.cancel`."""
        await self._call(self._jobs.CancelJob, pb.CancelJobRequest(job_id=job_id))

    async def delete(self, job_id: str) -> None:
        """See `Client.delete`."""
        await self._call(self._jobs.DeleteJob, pb.DeleteJobRequest(job_id=job_id))

    def results(
        self, job_id: str, *, partial: bool = False, full: bool = False
    ) -> AsyncIterator[pb.GetJobResultsResponse.File]:
        """See `Client.results`."""
        return self._pages(self._jobs.GetJobResults, FilePages(job_id, partial, full))

    def watch(self, job_id: str) -> AsyncIterator[pb.GetJobStatusResponse]:
        """See `Client.watch`."""
        return self._follow(self._jobs.WatchJob, States(job_id))

    async def wait(self, job_id: str) -> pb.GetJobStatusResponse:
        """See `Client.wait`."""
        return [status async for status in self.watch(job_id)][-1]

    def outcomes(self, job_id: str, offset: int = 0) -> AsyncIterator[Outcome]:
        """See `Client.outcomes`."""
        return self._follow(self._jobs.StreamResults, Outcomes(job_id, offset))

    async def run(
        self,
        prompts: Prompts | None,
        *,
        provider: str,
        model: str,
        progress: bool | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> AsyncRun:
        """See `Client.run`."""
        job_id = await self.submit(
            prompts, provider=provider, model=model, idempotency_key=idempotency_key, **options
        )
        return AsyncRun(self, job_id, progress)

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], request: Q, metadata: Metadata | None = None
    ) -> A:
        return await self._repeated(lambda: method(request, metadata=metadata or self._session.metadata))

    async def _repeated(self, call: Callable[[], Awaitable[A]]) -> A:
        retry = self._session.retry()
        while True:
            retry.opened()
            try:
                return await call()
            except grpc.RpcError as error:
                await asyncio.sleep(retry.delay(translated(error)))

    async def _pages(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], pages: Pages[Q, A, T]
    ) -> AsyncIterator[T]:
        while not pages.done:
            for item in pages.take(await self._call(method, pages.request())):
                yield item

    async def _follow(
        self, method: grpc.aio.UnaryStreamMultiCallable[Q, A], state: Stream[Q, A, T]
    ) -> AsyncIterator[T]:
        retry = self._session.retry()
        while not state.over:
            retry.opened()
            stream = method(state.request(), metadata=self._session.metadata)
            try:
                async for message in stream:
                    retry.progress()
                    if (item := state.take(message)) is not None:
                        yield item
                    if state.over:
                        return
                state.ended()
            except grpc.RpcError as error:
                await asyncio.sleep(retry.delay(translated(error)))
            finally:
                stream.cancel()


class AsyncRun:
    """What `Run` is, for asyncio."""

    def __init__(self, client: AsyncClient, job_id: str, progress: bool | None) -> None:
        self.job_id = job_id
        self._client = client
        self._progress = progress

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        total = (await self._client.status(self.job_id)).prompt_count
        with Progress(total, self._progress) as bar:
            async for each in self._client.outcomes(self.job_id):
                bar.saw(each)
                yield each
        check_ended(await self._client.job(self.job_id))


async def arun(
    prompts: Prompts | None,
    *,
    provider: str,
    model: str,
    target: str | None = None,
    api_key: str | None = None,
    progress: bool | None = None,
    **options: Unpack[JobOptions],
) -> AsyncIterator[Outcome]:
    """What `run` is, for asyncio."""
    async with AsyncClient(target, api_key=api_key) as client:
        job = await client.run(prompts, provider=provider, model=model, progress=progress, **options)
        async for each in job:
            yield each


async def _pieces(job_id: str, file: IO[bytes]) -> AsyncIterator[pb.UploadPromptsRequest]:
    file.seek(0)
    yield pb.UploadPromptsRequest(job_id=job_id)
    while piece := await asyncio.to_thread(file.read, PIECE):
        yield pb.UploadPromptsRequest(data=piece)
