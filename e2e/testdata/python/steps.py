"""Every step of a job, by the client of the language. Prints what the test asks
for, a line each: `job ID`, `offset N` for every hundredth outcome of a stream,
and at the end `done`."""

import asyncio
import os
import urllib.request

from promptforge.v1 import job_pb2
from promptforge_client import AsyncClient, Client, JobEnded, PromptForgeError, run

PROMPTS = 3000
TARGET = os.environ["TARGET"]


def prompts():
    for n in range(PROMPTS):
        yield {"prompt_id": n if n % 2 else str(n), "prompt": f"sdk {n}"}
    yield {"prompt_id": "misspelt", "promt": "x"}


def check(outcomes):
    seen = {}
    for place, outcome in enumerate(outcomes, 1):
        assert outcome.offset == place, (outcome.offset, place)
        assert (outcome.prompt_id, outcome.error is None) not in seen
        seen[(outcome.prompt_id, outcome.error is None)] = outcome
    assert len(seen) == PROMPTS + 1, len(seen)
    for n in range(PROMPTS):
        text = seen[(n if n % 2 else str(n), True)].text
        assert f"sdk {n}" in text, (n, text)
    assert seen[("misspelt", False)].error.error == "invalid_line"


def say(*words):
    print(*words, flush=True)


def told(outcomes):
    for outcome in outcomes:
        yield outcome
        if outcome.offset % 100 == 0:
            say("offset", outcome.offset)


def sync_steps():
    with Client(TARGET) as client:
        job_id = client.init("openai", "sim", max_retries=2, metadata={"by": "python"}).job_id
        answer = client.upload(job_id, prompts())
        assert answer.prompt_count == PROMPTS + 1
        say("job", job_id)
        check(told(client.outcomes(job_id)))
        states = [state.status for state in client.watch(job_id)]
        assert states == [job_pb2.Job.COMPLETED], states
        job = client.job(job_id)
        assert (job.completed_count, job.failed_count) == (PROMPTS, 1), job
        assert job.metadata["by"] == "python"

        lines = 0
        for file in client.results(job_id):
            with urllib.request.urlopen(file.url) as body:
                lines += sum(1 for _ in body)
        assert lines == PROMPTS + 1, lines

        again = client.submit(prompts(), provider="openai", model="sim", rpm=60)
        watched = client.watch(again)
        assert next(watched).job_id == again
        client.cancel(again)
        assert client.wait(again).status == job_pb2.Job.CANCELLED
        try:
            client.cancel(again)
        except PromptForgeError as refusal:
            assert refusal.reason == "JOB_STATE" and "CANCELLED" in refusal.detail, refusal
        else:
            raise AssertionError("a job was cancelled twice")
        assert {job_id, again} <= {job.job_id for job in client.jobs()}
        rest = client.run(None, provider="openai", model="sim", continue_from=again, progress=False)
        check(rest)
        client.delete(again)
        try:
            client.status(again)
        except PromptForgeError as refusal:
            assert refusal.reason == "NOT_FOUND", refusal
        else:
            raise AssertionError("a deleted job has a status")
        try:
            list(client.run([{"prompt_id": 1}], provider="openai", model="sim"))
        except JobEnded as end:
            assert end.job.status == job_pb2.Job.FAILED
        else:
            raise AssertionError("a file without a usable line has outcomes")
    check(run(prompts(), provider="openai", model="sim", target=TARGET, progress=True))


async def async_prompts():
    for prompt in prompts():
        yield prompt


async def async_steps():
    async with AsyncClient(TARGET) as client:
        job = await client.run(async_prompts(), provider="openai", model="sim")
        say("job", job.job_id)
        outcomes = []
        async for outcome in job:
            outcomes.append(outcome)
            if outcome.offset % 100 == 0:
                say("offset", outcome.offset)
        check(outcomes)
        assert (await client.wait(job.job_id)).completed_count == PROMPTS
        files = [file.filename async for file in client.results(job.job_id)]
        assert files == ["results_part_001.jsonl", "errors.jsonl"], files
        again = await client.submit(prompts(), provider="openai", model="sim", rpm=60)
        await client.cancel(again)
        assert (await client.wait(again)).status == job_pb2.Job.CANCELLED
        await client.delete(again)
        assert again not in [job.job_id async for job in client.jobs()]


def bad_input():
    for make, words in (
        (lambda: Client("http://127.0.0.1:9090"), "host:port"),
        (lambda: Client(TARGET, api_key="pf_nobody").status("x"), "key"),
        (lambda: Client(TARGET).submit([7], provider="openai", model="sim"), "prompts[0]"),
        (lambda: Client(TARGET).submit([{"prompt_id": {1}}], provider="openai", model="sim"), "prompts[0]"),
        (lambda: Client(TARGET).submit(None, provider="openai", model="sim"), "continue_from"),
        (lambda: Client(TARGET).submit(["x"], provider="nobody", model="sim"), "nobody"),
        (lambda: Client("127.0.0.1:1", patience=0).status("x"), "127.0.0.1:1"),
    ):
        try:
            make()
        except (PromptForgeError, ValueError, TypeError) as error:
            assert words in str(error), (words, error)
        else:
            raise AssertionError(words)


bad_input()
sync_steps()
asyncio.run(async_steps())
say("done")
