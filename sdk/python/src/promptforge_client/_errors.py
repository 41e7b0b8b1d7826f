"""What can go wrong, each with a sentence to act on."""

from __future__ import annotations

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from promptforge.v1 import job_pb2

_DOMAIN = "promptforge"
_NO_GRPC = "Failed parsing HTTP/2"
_DISTRUST = ("Ssl handshake failed", "CERTIFICATE_VERIFY_FAILED", _NO_GRPC)
_LOST_STREAM = ("RST_STREAM", "Stream removed", "GOAWAY", "closed the stream without sending trailers")


class PromptForgeError(Exception):
    """A call that the service refused, or that did not reach it.

    `code` is gRPC's, `reason` why the service refused (`JOB_STATE`,
    `MODEL_NOT_OFFERED`, `QUOTA_EXCEEDED` and so on; empty where the refusal is
    not the service's own), `detail` the sentence, and `retry_after` how many
    seconds the service asks to be left alone (0 where it asks for nothing).
    """

    def __init__(self, code: grpc.StatusCode, reason: str, detail: str, retry_after: float) -> None:
        super().__init__(f"{detail} ({reason or code.name})")
        self.code = code
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after

    @property
    def lost(self) -> bool:
        """Whether the connection was lost, or the service cannot answer now:
        whether the same call may do better later."""
        if self.code is grpc.StatusCode.UNAVAILABLE:
            return not any(text in self.detail for text in _DISTRUST)
        # gRPC has no code for what befalls a stream on its way, only a text.
        return self.code in (
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.UNKNOWN,
        ) and any(text in self.detail for text in _LOST_STREAM)


class JobEnded(Exception):
    """A job that ended FAILED or CANCELLED, so that not all of its prompts have
    a result. `job` is the whole job; another one with `continue_from=job.job_id`
    sends what has no result yet, and nothing twice."""

    def __init__(self, job: job_pb2.Job) -> None:
        why = job.failure_reason or "it ended before all of its prompts had an outcome"
        super().__init__(f"job {job.job_id} {type(job).Status.Name(job.status)}: {why}")
        self.job = job


def check_ended(job: job_pb2.Job) -> None:
    """Raises JobEnded unless the job is COMPLETED."""
    if job.status != job_pb2.Job.COMPLETED:
        raise JobEnded(job)


def translated(error: grpc.RpcError) -> PromptForgeError:
    """The error as this package raises it."""
    if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
        raise error
    reason, retry_after = "", 0.0
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info) and info.domain == _DOMAIN:
                reason = info.reason
            elif detail.Unpack(retry):
                retry_after = max(0.0, retry.retry_delay.ToTimedelta().total_seconds())
    said = error.details() or ""
    if _NO_GRPC in said:
        said = (
            "the target does not speak gRPC; if it is the service's REST port, "
            f"give the other one, 9090 unless it was set: {said}"
        )
    return PromptForgeError(error.code(), reason, said, retry_after)
