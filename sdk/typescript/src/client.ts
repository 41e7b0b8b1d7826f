import { randomUUID } from "node:crypto";
import type { SecureClientSessionOptions } from "node:http2";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Client as Stub } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { JobEnded, PromptForgeError } from "./errors.js";
import { Job_Status, type Job } from "./gen/promptforge/v1/job_pb.js";
import {
  InitJobRequestSchema,
  JobService,
  UploadPromptsRequestSchema,
  type GetJobResultsResponse_File,
  type GetJobStatusResponse,
  type InitJobResponse,
  type UploadPromptsResponse,
} from "./gen/promptforge/v1/job_service_pb.js";
import { Outcome } from "./outcome.js";
import { Progress } from "./progress.js";
import { PromptsFile, type Prompts } from "./prompts.js";
import { Retry } from "./retry.js";
import { baseUrl, key } from "./target.js";

/** An outcome holds a whole answer, and so exceeds gRPC's 4 MiB now and then. */
const readMaxBytes = 64 << 20;

/**
 * How many milliseconds the first call of a client waits for anybody to be
 * there. What is lost later is a restart, and waited for with more patience.
 */
const firstContact = 10_000;

/** How a client connects. */
export interface ClientOptions {
  /** Left out, PROMPTFORGE_API_KEY. */
  apiKey?: string;
  /** Connects without TLS to another machine too: for private networks. */
  plaintext?: boolean;
  /** Node's options for TLS, such as `ca` for a private certificate authority. */
  tls?: SecureClientSessionOptions;
  /**
   * How many milliseconds an operation may wait in all, between tries that
   * bring nothing. Left out, 5 minutes, and 10 seconds as long as nobody has
   * ever answered: the target is wrong, then, or the service is not started.
   */
  patience?: number;
}

/** What a job is to be. */
export interface JobOptions {
  /** The LLM provider, by the service's name for it. */
  provider: string;
  /** The model, by the provider's name for it. */
  model: string;
  /** Retries after the first try of a prompt, 0 to 20. Left out, 3. */
  maxRetries?: number;
  /** Upper bound in requests a minute. Left out, the limit is learned. */
  rpm?: number;
  /** Upper bound in tokens a minute. Left out, the limit is learned. */
  tpm?: number;
  /** A settled job, whose file and results the new one takes over. */
  continueFrom?: string;
  /** At most 16 strings, to know the job again. */
  metadata?: Record<string, string>;
  /** Where a signed POST goes when the job is settled. */
  webhookUrl?: string;
  /** The same key and request within 24 hours make one job. Left out, a new one. */
  idempotencyKey?: string;
}

/** What is wanted of a job's result files. */
export interface ResultsOptions {
  /** What is finished so far, while the job is not COMPLETED. */
  partial?: boolean;
  /** The provider's whole answers. */
  full?: boolean;
}

/** What a job is to be, and whether a bar is shown. */
export interface RunOptions extends JobOptions {
  /** Left out, a bar is shown where standard error is a terminal. */
  progress?: boolean;
}

/**
 * A connection to a PromptForge service. Each operation goes on over lost
 * connections and restarts of the service. Errors are PromptForgeError.
 */
export class Client {
  private readonly jobs_: Stub<typeof JobService>;
  private readonly session: Http2SessionManager;
  private readonly headers: Record<string, string>;
  private readonly patience: number;
  private readonly firstPatience: number;
  private contact: Promise<void> | undefined;

  /**
   * target is host:port of the service's gRPC; left out, PROMPTFORGE_GRPC or
   * 127.0.0.1:9090. It connects with TLS, but for this machine.
   */
  constructor(target?: string, options: ClientOptions = {}) {
    const url = baseUrl(target, options.plaintext ?? false);
    this.headers = { "x-api-key": key(options.apiKey) };
    this.patience = options.patience ?? 300_000;
    this.firstPatience = options.patience ?? firstContact;
    this.session = new Http2SessionManager(url, { pingIntervalMs: 60_000 }, options.tls);
    this.jobs_ = createClient(
      JobService,
      createGrpcTransport({ baseUrl: url, sessionManager: this.session, readMaxBytes }),
    );
  }

  /** Ends the connection. Jobs go on. */
  close(): void {
    this.session.abort();
  }

  /** Ends the connection, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Creates a job and answers where its file can be PUT. It is repeated when its
   * answer is lost, and yet makes one job.
   */
  async init(options: JobOptions): Promise<InitJobResponse> {
    const { idempotencyKey, rpm, tpm, ...rest } = options;
    const init: MessageInitShape<typeof InitJobRequestSchema> = rest;
    if (rpm !== undefined) init.rpm = BigInt(rpm);
    if (tpm !== undefined) init.tpm = BigInt(tpm);
    const request = create(InitJobRequestSchema, init);
    const headers = { ...this.headers, "idempotency-key": idempotencyKey ?? randomUUID() };
    return this.call(() => this.jobs_.initJob(request, { headers }));
  }

  /** Sends the prompts of a job that awaits them; they are durable and counted then. */
  async upload(jobId: string, prompts: Prompts): Promise<UploadPromptsResponse> {
    const file = await PromptsFile.open(prompts);
    try {
      return await this.call(() => this.jobs_.uploadPrompts(messages(jobId, file), this.with()));
    } finally {
      await file.close();
    }
  }

  /** Creates a job, uploads its prompts and returns its id. With continueFrom prompts is null. */
  async submit(prompts: Prompts | null, options: JobOptions): Promise<string> {
    if ((options.continueFrom !== undefined) !== (prompts === null)) {
      throw new TypeError("a job has prompts, or continueFrom, which brings those of another job");
    }
    const { jobId } = await this.init(options);
    if (prompts !== null) await this.upload(jobId, prompts);
    return jobId;
  }

  /** The job's state and counts. */
  async status(jobId: string): Promise<GetJobStatusResponse> {
    return this.call(() => this.jobs_.getJobStatus({ jobId }, this.with()));
  }

  /** The whole job. */
  async job(jobId: string): Promise<Job> {
    const { job } = await this.call(() => this.jobs_.getJob({ jobId }, this.with()));
    return job!; // the service always sets it
  }

  /** The client's jobs, newest first, of one state if given. */
  async *jobs(status = Job_Status.STATUS_UNSPECIFIED): AsyncGenerator<Job> {
    for (let pageToken = ""; ; ) {
      const page = await this.call(() => this.jobs_.listJobs({ status, pageToken }, this.with()));
      yield* page.jobs;
      if (!(pageToken = page.nextPageToken)) return;
    }
  }

  /** Stops the job: no new prompt leaves once this is done. */
  async cancel(jobId: string): Promise<void> {
    await this.call(() => this.jobs_.cancelJob({ jobId }, this.with()));
  }

  /** Stops the job if need be, and removes its prompts, results and errors. */
  async delete(jobId: string): Promise<void> {
    await this.call(() => this.jobs_.deleteJob({ jobId }, this.with()));
  }

  /** The files that can be downloaded, each with its URL. */
  async *results(jobId: string, options: ResultsOptions = {}): AsyncGenerator<GetJobResultsResponse_File> {
    const request = { jobId, partial: options.partial ?? false, view: options.full ? "full" : "" };
    for (let pageToken = ""; ; ) {
      const page = await this.call(() => this.jobs_.getJobResults({ ...request, pageToken }, this.with()));
      yield* page.files;
      if (!(pageToken = page.nextPageToken ?? "")) return;
    }
  }

  /**
   * The state now and each one that follows, at most 4 a second; the last is the
   * settled one. A slow reader gets the newest only.
   */
  async *watch(jobId: string): AsyncGenerator<GetJobStatusResponse> {
    await this.reached();
    const retry = new Retry(this.patience);
    let seen = "";
    for (;;) {
      retry.opened();
      const stop = new AbortController();
      try {
        for await (const event of this.jobs_.watchJob({ jobId }, this.with(stop))) {
          retry.progress();
          // A new stream begins with the state now, which may be known.
          if (event.eventId !== seen && event.status) {
            seen = event.eventId;
            yield event.status;
          }
          if (event.settled) return;
        }
      } catch (error) {
        await retry.after(error);
      } finally {
        stop.abort();
      }
    }
  }

  /** Follows a job until it is settled and returns its last state. */
  async wait(jobId: string): Promise<GetJobStatusResponse> {
    let last: GetJobStatusResponse | undefined;
    for await (const status of this.watch(jobId)) last = status;
    return last!; // a watch ends with the settled state
  }

  /**
   * The job's results and errors in the order in which they were recorded, also
   * while it runs, until it is settled. offset passes over the first ones: it is
   * that of the last outcome already dealt with. Over lost connections and
   * restarts nothing is repeated and nothing left out.
   */
  async *outcomes(jobId: string, offset = 0n): AsyncGenerator<Outcome> {
    await this.reached();
    const retry = new Retry(this.patience);
    for (;;) {
      retry.opened();
      const stop = new AbortController();
      try {
        for await (const { outcome } of this.jobs_.streamResults({ jobId, offset }, this.with(stop))) {
          retry.progress();
          if (outcome?.offset !== offset + 1n) {
            throw new RangeError(
              `the service sent outcome ${outcome?.offset} where ${offset + 1n} was due; outcomes would be lost or repeated`,
            );
          }
          offset = outcome.offset;
          yield new Outcome(outcome);
        }
        return;
      } catch (error) {
        if (error instanceof RangeError) throw error;
        await retry.after(error);
      } finally {
        stop.abort();
      }
    }
  }

  /**
   * The whole job: the prompts are sent off when this is done; iterating gives
   * their outcomes.
   */
  async run(prompts: Prompts | null, options: RunOptions): Promise<Run> {
    const { progress, ...job } = options;
    return new Run(this, await this.submit(prompts, job), progress);
  }

  private with(stop?: AbortController): { headers: Record<string, string>; signal?: AbortSignal } {
    return stop ? { headers: this.headers, signal: stop.signal } : { headers: this.headers };
  }

  /** Whether the service is there at all is found out once, before the first operation. */
  private async reached(): Promise<void> {
    this.contact ??= this.firstCall();
    try {
      await this.contact;
    } catch (error) {
      this.contact = undefined; // the next operation tries anew
      throw error;
    }
  }

  /** A call that any service answers at once, be it with a refusal. */
  private async firstCall(): Promise<void> {
    const retry = new Retry(this.firstPatience);
    const timeoutMs = Math.min(firstContact, Math.max(1000, this.firstPatience));
    for (;;) {
      retry.opened();
      try {
        await this.jobs_.listJobs({ pageSize: 1 }, { ...this.with(), timeoutMs });
        return;
      } catch (error) {
        const refusal = PromptForgeError.from(error);
        if (refusal.reason) return; // the operation itself will say it
        await retry.after(error);
      }
    }
  }

  private async call<T>(call: () => Promise<T>): Promise<T> {
    await this.reached();
    const retry = new Retry(this.patience);
    for (;;) {
      retry.opened();
      try {
        return await call();
      } catch (error) {
        await retry.after(error);
      }
    }
  }
}

/**
 * A job on its way. Iterating gives every prompt's outcome once, and throws
 * JobEnded at the end where the job ended FAILED or CANCELLED. Breaking off
 * leaves the job running: jobId finds it again.
 */
export class Run implements AsyncIterable<Outcome> {
  constructor(
    private readonly client: Client,
    /** The job's id. */
    readonly jobId: string,
    private readonly progress: boolean | undefined,
  ) {}

  /** Every prompt's outcome, in the order in which they are recorded. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Outcome> {
    const { promptCount } = await this.client.status(this.jobId);
    const bar = new Progress(promptCount ?? 0, this.progress);
    try {
      for await (const outcome of this.client.outcomes(this.jobId)) {
        bar.saw(outcome);
        yield outcome;
      }
    } finally {
      bar.stop();
    }
    const job = await this.client.job(this.jobId);
    if (job.status !== Job_Status.COMPLETED) throw new JobEnded(job);
  }
}

/**
 * The whole job in one call: gives every prompt's outcome, in the order in which
 * they are recorded, and holds none of them. Nothing happens before the first
 * one is asked for.
 */
export async function* run(
  prompts: Prompts | null,
  options: RunOptions & ClientOptions & { target?: string },
): AsyncGenerator<Outcome> {
  const { target, apiKey, plaintext, tls, patience, ...job } = options;
  const how: ClientOptions = {};
  if (apiKey !== undefined) how.apiKey = apiKey;
  if (plaintext !== undefined) how.plaintext = plaintext;
  if (tls !== undefined) how.tls = tls;
  if (patience !== undefined) how.patience = patience;
  const client = new Client(target, how);
  try {
    yield* await client.run(prompts, job);
  } finally {
    client.close();
  }
}

async function* messages(
  jobId: string,
  file: PromptsFile,
): AsyncGenerator<MessageInitShape<typeof UploadPromptsRequestSchema>> {
  yield { payload: { case: "jobId", value: jobId } };
  for await (const data of file.pieces()) yield { payload: { case: "data", value: data } };
}
