"""The messages that both clients send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from promptforge.v1 import job_service_pb2 as pb


class JobOptions(TypedDict, total=False):
    """What a job may be given beside its provider and model; each may be left
    out.

    `max_retries` 0 to 20, 3 if left out; `rpm` and `tpm`, upper bounds in
    requests and tokens a minute, at least 1, learned if left out;
    `continue_from`, a settled job whose file and results the new one takes over;
    `metadata`, at most 16 strings; `webhook_url`, where a signed POST goes when
    the job is settled.
    """

    max_retries: int
    rpm: int
    tpm: int
    continue_from: str
    metadata: Mapping[str, str]
    webhook_url: str


def init_request(provider: str, model: str, options: JobOptions) -> pb.InitJobRequest:
    return pb.InitJobRequest(provider=provider, model=model, **options)


def check_prompts(given: bool, options: JobOptions) -> None:
    """Raises ValueError unless a job has either prompts or another job's."""
    if given == ("continue_from" in options):
        raise ValueError("a job has prompts, or continue_from, which brings those of another job")
