"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import IO, TypeAlias, TypeVar, Unpack

import grpc
import grpc.aio

from promptforge.v1 import job_pb2, job_service_pb2_grpc
from promptforge.v1 import job_service_pb2 as pb
from promptforge_client._errors import JobEnded, translated
from promptforge_client._outcome import Outcome, due, outcome
from promptforge_client._progress import Progress
from promptforge_client._prompts import PIECE, Prompt, aspooled
from promptforge_client._requests import JobOptions, init_request
from promptforge_client._retry import Retry
from promptforge_client._target import OPTIONS, credentials, key, resolved

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
        target = resolved(target)
        self._metadata = (("x-api-key", key(api_key)),)
        self._patience = patience
        secured = credentials(target, tls, plaintext)
        self._channel = (
            grpc.aio.insecure_channel(target, OPTIONS)
            if secured is None
            else grpc.aio.secure_channel(target, secured, OPTIONS)
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
        metadata = (*self._metadata, ("idempotency-key", idempotency_key or str(uuid.uuid4())))
        return await self._call(lambda: self._jobs.InitJob(request, metadata=metadata))

    async def upload(self, job_id: str, prompts: Prompts) -> pb.UploadPromptsResponse:
        """See `Client.upload`."""
        with await aspooled(prompts) as file:
            return await self._call(
                lambda: self._jobs.UploadPrompts(_pieces(job_id, file), metadata=self._metadata)
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
        continues = "continue_from" in options
        if continues != (prompts is None):
            raise ValueError("a job has prompts, or continue_from, which brings those of another job")
        job_id = (await self.init(provider, model, idempotency_key=idempotency_key, **options)).job_id
        if prompts is not None:
            await self.upload(job_id, prompts)
        return job_id

    async def status(self, job_id: str) -> pb.GetJobStatusResponse:
        """The job's state and counts."""
        return await self._call(
            lambda: self._jobs.GetJobStatus(pb.GetJobStatusRequest(job_id=job_id), metadata=self._metadata)
        )

    async def job(self, job_id: str) -> job_pb2.Job:
        """The whole job."""
        request = pb.GetJobRequest(job_id=job_id)
        return (await self._call(lambda: self._jobs.GetJob(request, metadata=self._metadata))).job

    async def jobs(self, status: job_pb2.Job.Status.ValueType = job_pb2.Job.STATUS_UNSPECIFIED) -> AsyncIterator[job_pb2.Job]:
        """See `Client.jobs`."""
        request = pb.ListJobsRequest(status=status)
        while True:
            page = await self._call(lambda: self._jobs.ListJobs(request, metadata=self._metadata))
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request = pb.ListJobsRequest(status=status, page_token=page.next_page_token)

    async def cancel(self, job_id: str) -> None:
        """See `Client.cancel`."""
        await self._call(lambda: self._jobs.CancelJob(pb.CancelJobRequest(job_id=job_id), metadata=self._metadata))

    async def delete(self, job_id: str) -> None:
        """See `Client.delete`."""
        await self._call(lambda: self._jobs.DeleteJob(pb.DeleteJobRequest(job_id=job_id), metadata=self._metadata))

    async def results(
        self, job_id: str, *, partial: bool = False, full: bool = False
    ) -> AsyncIterator[pb.GetJobResultsResponse.File]:
        """See `Client.results`."""
        token = ""
        while True:
            request = pb.GetJobResultsRequest(
                job_id=job_id, partial=partial, view="full" if full else "", page_token=token
            )
            page = await self._call(lambda: self._jobs.GetJobResults(request, metadata=self._metadata))
            for file in page.files:
                yield file
            if not (token := page.next_page_token):
                return

    async def watch(self, job_id: str) -> AsyncIterator[pb.GetJobStatusResponse]:
        """See `Client.watch`."""
        seen = ""
        retry = Retry(self._patience)
        while True:
            retry.opened()
            stream = self._jobs.WatchJob(pb.WatchJobRequest(job_id=job_id), metadata=self._metadata)
            try:
                async for event in stream:
                    retry.progress()
                    # A new stream begins with the state now, which may be known.
                    if event.event_id != seen:
                        seen = event.event_id
                        yield event.status
                    if event.settled:
                        return
            except grpc.RpcError as error:
                await asyncio.sleep(retry.delay(translated(error)))
            finally:
                stream.cancel()

    async def wait(self, job_id: str) -> pb.GetJobStatusResponse:
        """See `Client.wait`."""
        return [status async for status in self.watch(job_id)][-1]

    async def outcomes(self, job_id: str, offset: int = 0) -> AsyncIterator[Outcome]:
        """See `Client.outcomes`."""
        retry = Retry(self._patience)
        while True:
            retry.opened()
            request = pb.StreamResultsRequest(job_id=job_id, offset=offset)
            stream = self._jobs.StreamResults(request, metadata=self._metadata)
            try:
                async for response in stream:
                    retry.progress()
                    offset = due(response.outcome, offset)
                    yield outcome(response.outcome)
                return
            except grpc.RpcError as error:
                await asyncio.sleep(retry.delay(translated(error)))
            finally:
                stream.cancel()

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

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        retry = Retry(self._patience)
        while True:
            retry.opened()
            try:
                return await call()
            except grpc.RpcError as error:
                await asyncio.sleep(retry.delay(translated(error)))


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
        job = await self._client.job(self.job_id)
        if job.status != job_pb2.Job.COMPLETED:
            raise JobEnded(job)


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
