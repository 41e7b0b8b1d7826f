"""The parts that both clients are made of, without a service."""

import http.server
import os
import threading

from promptforge.v1 import job_pb2
from promptforge.v1 import job_service_pb2 as pb
from promptforge_client import Client, JobEnded, PromptForgeError
from promptforge_client._errors import check_ended
from promptforge_client._pages import FilePages, JobPages
from promptforge_client._requests import check_prompts
from promptforge_client._session import Session
from promptforge_client._streams import Outcomes, States


def fails(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def pages():
    jobs = JobPages(job_pb2.Job.FAILED)
    assert jobs.request() == pb.ListJobsRequest(status=job_pb2.Job.FAILED)
    assert [job.job_id for job in jobs.take(pb.ListJobsResponse(jobs=[job_pb2.Job(job_id="a")], next_page_token="t"))] == ["a"]
    assert not jobs.done
    assert jobs.request() == pb.ListJobsRequest(status=job_pb2.Job.FAILED, page_token="t")
    assert not list(jobs.take(pb.ListJobsResponse()))
    assert jobs.done
    files = FilePages("a", True, True)
    assert files.request() == pb.GetJobResultsRequest(job_id="a", partial=True, view="full")
    files.take(pb.GetJobResultsResponse(next_page_token="t"))
    assert files.request().page_token == "t" and not files.done
    files.take(pb.GetJobResultsResponse())
    assert files.done


def states():
    def event(name, settled=False):
        return pb.WatchJobResponse(event_id=name, status=pb.GetJobStatusResponse(job_id="a"), settled=settled)

    stream = States("a")
    assert stream.request() == pb.WatchJobRequest(job_id="a")
    assert stream.take(event("1")) is not None
    stream.ended()  # of a service that stops, say
    assert not stream.over
    assert stream.take(event("1")) is None  # the state now, which is known
    assert stream.take(event("2")) is not None
    assert stream.take(event("2", settled=True)) is None
    assert stream.over


def outcomes():
    def message(offset):
        return pb.StreamResultsResponse(outcome={"offset": offset, "int64_id": 7, "error": {"error": "timeout"}})

    stream = Outcomes("a", 4)
    assert stream.take(message(5)).prompt_id == 7
    assert stream.request() == pb.StreamResultsRequest(job_id="a", offset=5)  # after a lost connection
    fails(RuntimeError, lambda: stream.take(message(5)))  # repeated
    fails(RuntimeError, lambda: stream.take(message(7)))  # left out
    assert not stream.over
    stream.ended()
    assert stream.over


def session():
    os.environ["PROMPTFORGE_API_KEY"] = "pf_x"
    own = Session("localhost:1", None, None, False, 1.0)
    assert own.credentials is None and own.metadata == (("x-api-key", "pf_x"),)
    first, second = own.once(None), own.once(None)
    assert first[0] == ("x-api-key", "pf_x") and first[1][0] == "idempotency-key" and first != second
    assert own.once("k")[1] == ("idempotency-key", "k")
    fails(ValueError, lambda: Session("http://x:1", None, None, False, 1.0))
    fails(ValueError, lambda: Session("x:1", "k", own.credentials or object(), True, 1.0))


def requests():
    check_prompts(True, {})
    check_prompts(False, {"continue_from": "a"})
    fails(ValueError, lambda: check_prompts(False, {}))
    fails(ValueError, lambda: check_prompts(True, {"continue_from": "a"}))
    check_ended(job_pb2.Job(status=job_pb2.Job.COMPLETED))
    fails(JobEnded, lambda: check_ended(job_pb2.Job(status=job_pb2.Job.FAILED)))


def the_wrong_port():
    rest = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    try:
        with Client(f"127.0.0.1:{rest.server_port}", api_key="pf_x") as client:
            client.status("a")
    except PromptForgeError as refusal:
        assert not refusal.lost and "REST port" in refusal.detail, refusal
    else:
        raise AssertionError("it answered")
    rest.shutdown()


for part in (the_wrong_port, pages, states, outcomes, session, requests):
    part()
