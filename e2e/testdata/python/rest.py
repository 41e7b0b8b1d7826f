"""Does a job by the REST client that a generator made of openapi.yaml: the
package `generated` on the path."""

import json
import os

import httpx
from generated import AuthenticatedClient
from generated.api.job_service import (
    cancel_job,
    delete_job,
    get_job,
    get_job_results,
    get_job_status,
    init_job,
    list_jobs,
    renew_upload_url,
)
from generated.models import Error, InitJobRequest, JobStatus, Uploaded

COUNT = 200
client = AuthenticatedClient(
    base_url=os.environ["URL"],
    token=os.environ["PROMPTFORGE_API_KEY"],
    prefix="",
    auth_header_name="X-API-Key",
    raise_on_unexpected_status=True,
)


def submit():
    made = init_job.sync(client=client, body=InitJobRequest(provider="openai", model="sim"))
    assert renew_upload_url.sync(str(made.job_id), client=client).job_id == made.job_id
    lines = "".join(json.dumps({"prompt_id": n, "prompt": f"rest {n}"}) + "\n" for n in range(COUNT))
    # A signed URL is used as it came, so by no function that would put it together.
    uploaded = Uploaded.from_dict(httpx.put(made.upload_url, content=lines).raise_for_status().json())
    assert uploaded.prompt_count == COUNT, uploaded
    return str(made.job_id)


job_id = submit()
while (status := get_job_status.sync(job_id, client=client)).status is not JobStatus.COMPLETED:
    assert status.completed_at is None and status.prompt_count == COUNT, status
whole = get_job.sync(job_id, client=client)
assert whole.completed_count == COUNT and whole.tokens_used > 0 and whole.rpm is None, whole
files = get_job_results.sync(job_id, client=client).files
results = [json.loads(line) for line in httpx.get(files[0].url).text.splitlines()]
assert sorted(r["prompt_id"] for r in results) == list(range(COUNT))
assert all(f"rest {r['prompt_id']}" in r["result"] for r in results)
refused = cancel_job.sync(job_id, client=client)
assert isinstance(refused, Error) and "COMPLETED" in refused.detail, refused
assert job_id in [str(job.job_id) for job in list_jobs.sync(client=client).jobs]
assert delete_job.sync(job_id, client=client).status is JobStatus.COMPLETED
assert isinstance(get_job.sync(job_id, client=client), Error)
print("done")
