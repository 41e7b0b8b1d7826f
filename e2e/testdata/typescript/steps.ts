// Every step of a job, by the client of the language. Prints what the test asks
// for, a line each: `job ID`, `offset N` for every hundredth outcome of a
// stream, and at the end `done`.

import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo } from "node:net";

import {
  Client,
  Job_Status,
  JobEnded,
  PromptForgeError,
  run,
  type Outcome,
  type Prompt,
} from "promptforge-client";

const count = 3000;
const target = process.env["TARGET"]!;
const sim = { provider: "openai", model: "sim" };

function* prompts(): Generator<Prompt> {
  for (let n = 0; n < count; n++) {
    yield { prompt_id: n === 1 ? 9007199254740993n : n % 2 ? n : String(n), prompt: `sdk ${n}` };
  }
  yield { prompt_id: "misspelt", promt: "x" };
}

async function check(outcomes: AsyncIterable<Outcome>, tell = false): Promise<void> {
  const seen = new Map<string, Outcome>();
  for await (const outcome of outcomes) {
    assert.equal(outcome.offset, BigInt(seen.size + 1));
    seen.set(`${typeof outcome.promptId} ${outcome.promptId}`, outcome);
    if (tell && outcome.offset % 100n === 0n) console.log("offset", String(outcome.offset));
  }
  assert.equal(seen.size, count + 1);
  for (let n = 0; n < count; n++) {
    const id = n === 1 ? "bigint 9007199254740993" : n % 2 ? `number ${n}` : `string ${n}`;
    assert.match(seen.get(id)?.text ?? "", new RegExp(`sdk ${n}\\b`));
  }
  assert.equal(seen.get("string misspelt")?.error?.error, "invalid_line");
}

async function refused(what: Promise<unknown> | (() => unknown), words: RegExp): Promise<void> {
  await assert.rejects(async () => (typeof what === "function" ? what() : what), words);
}

await refused(() => new Client("http://127.0.0.1:9090"), /host:port/);
await refused(new Client(target, { apiKey: "pf_nobody" }).status("x"), /key/);
await refused(new Client("127.0.0.1:1", { patience: 0 }).status("x"), /ECONNREFUSED/);

// A wrong port is told within seconds: the REST port, one that does not answer,
// and one where nobody listens.
for (const [server, words] of [
  [createHttpServer((_, answer) => answer.end("hello")), /REST port/],
  [createServer((socket) => socket.unref()), /does not answer/],
  [undefined, /must be started.*ECONNREFUSED/],
] as const) {
  if (server) await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server ? (server.address() as AddressInfo) : { port: 1 };
  const begun = performance.now();
  for (const [operation, patience] of [["status", 1000], ["wait", 1000], ["status", undefined]] as const) {
    const lost = new Client(`127.0.0.1:${port}`, patience === undefined ? {} : { patience });
    await refused(lost[operation]("x"), words);
    lost.close();
  }
  assert(performance.now() - begun < 15_000);
  server?.close();
}

const client = new Client(target);
await refused(client.submit([7 as unknown as Prompt], sim), /prompts\[0\]/);
await refused(client.submit([{ prompt_id: 1, seed: 1n }], sim), /prompts\[0\].*BigInt/);
await refused(client.submit(null, sim), /continueFrom/);
await refused(client.submit(["x"], { ...sim, provider: "nobody" }), /nobody/);

const { jobId } = await client.init({ ...sim, maxRetries: 2, metadata: { by: "typescript" } });
assert.equal((await client.upload(jobId, prompts())).promptCount, count + 1);
console.log("job", jobId);
await check(client.outcomes(jobId), true);
const states: Job_Status[] = [];
for await (const { status } of client.watch(jobId)) states.push(status);
assert.deepEqual(states, [Job_Status.COMPLETED]);
const whole = await client.job(jobId);
assert.deepEqual([whole.completedCount, whole.failedCount, whole.metadata["by"]], [count, 1, "typescript"]);

let lines = 0;
for await (const { url } of client.results(jobId)) {
  lines += (await (await fetch(url)).text()).split("\n").length - 1;
}
assert.equal(lines, count + 1);

const again = await client.submit(prompts(), { ...sim, rpm: 60 });
for await (const status of client.watch(again)) {
  assert.equal(status.jobId, again);
  break;
}
await client.cancel(again);
assert.equal((await client.wait(again)).status, Job_Status.CANCELLED);
await assert.rejects(client.cancel(again), (refusal: unknown) => {
  assert(refusal instanceof PromptForgeError);
  assert.equal(refusal.reason, "JOB_STATE");
  return true;
});
const ids: string[] = [];
for await (const job of client.jobs()) ids.push(job.jobId);
assert(ids.includes(jobId) && ids.includes(again));
await check(await client.run(null, { ...sim, continueFrom: again, progress: false }));
await client.delete(again);
await assert.rejects(client.status(again), (refusal: unknown) => {
  assert(refusal instanceof PromptForgeError);
  assert.equal(refusal.reason, "NOT_FOUND");
  return true;
});
await assert.rejects(
  async () => {
    for await (const _ of run([{ prompt_id: 1 }], { ...sim, target }));
  },
  (end: unknown) => end instanceof JobEnded && end.job.status === Job_Status.FAILED,
);
await check(run(prompts(), { ...sim, target, progress: true }));
client.close();
console.log("done");
