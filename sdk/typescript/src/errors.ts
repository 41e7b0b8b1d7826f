import { BinaryReader } from "@bufbuild/protobuf/wire";
import { fromBinary } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { Job_Status, type Job } from "./gen/promptforge/v1/job_pb.js";

const domain = "promptforge";

/** A call that the service refused, or that did not reach it. */
export class PromptForgeError extends Error {
  override readonly name = "PromptForgeError";

  private constructor(
    /** gRPC's code. */
    readonly code: Code,
    /**
     * Why the service refused: `JOB_STATE`, `MODEL_NOT_OFFERED`,
     * `QUOTA_EXCEEDED` and so on. Empty where the refusal is not the service's
     * own.
     */
    readonly reason: string,
    /** The sentence. */
    readonly detail: string,
    /** How many milliseconds the service asks to be left alone; mostly 0. */
    readonly retryAfter: number,
    cause: unknown,
  ) {
    super(`${detail} (${reason || Code[code]})`, { cause });
  }

  /** The error as this package throws it. */
  static from(cause: unknown): PromptForgeError {
    const error = ConnectError.from(cause);
    let reason = "";
    let retryAfter = 0;
    for (const detail of error.details) {
      if (!("type" in detail)) continue;
      if (detail.type === "google.rpc.ErrorInfo") {
        // ErrorInfo is {1: reason, 2: domain}.
        const info = fields(detail.value);
        if (text(info.get(2)) === domain) reason = text(info.get(1));
      } else if (detail.type === "google.rpc.RetryInfo") {
        // RetryInfo is {1: google.protobuf.Duration}.
        const delay = fromBinary(DurationSchema, fields(detail.value).get(1) ?? new Uint8Array());
        retryAfter = Math.max(0, Number(delay.seconds) * 1000 + delay.nanos / 1e6);
      }
    }
    const detail = reason ? error.rawMessage : explained(error);
    return new PromptForgeError(error.code, reason, detail, retryAfter, cause);
  }

  /**
   * Whether the connection was lost, or the service cannot answer now: whether
   * the same call may do better later.
   */
  get lost(): boolean {
    switch (this.code) {
      case Code.Unavailable:
        return !/certificate|self.signed|ALPN|wrong version number/i.test(this.detail);
      case Code.Aborted: // a stream that was reset; the service itself never says it
        return true;
      case Code.Internal:
      case Code.Canceled:
      case Code.Unknown:
        return /closed|reset|hang up|premature|missing trailer|GOAWAY|protocol error: missing/i.test(this.detail);
      default:
        return false;
    }
  }
}

/**
 * A job that ended FAILED or CANCELLED, so that not all of its prompts have a
 * result. Another one with `continueFrom: job.jobId` sends what has no result
 * yet, and nothing twice.
 */
export class JobEnded extends Error {
  override readonly name = "JobEnded";

  constructor(readonly job: Job) {
    const why = job.failureReason ?? "it ended before all of its prompts had an outcome";
    super(`job ${job.jobId} ${Job_Status[job.status]}: ${why}`);
  }
}

/** What Node says where no service was reached, with what to do about it. */
function explained({ code, rawMessage }: ConnectError): string {
  if (rawMessage === "Protocol error") {
    return `the target does not speak gRPC; if it is the service's REST port, give the other one, 9090 unless it was set: ${rawMessage}`;
  }
  if (code === Code.DeadlineExceeded) {
    return `the target takes connections and does not answer; give the port of the service's gRPC, 9090 unless it was set: ${rawMessage}`;
  }
  if (/ECONNREFUSED|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/.test(rawMessage)) {
    return `the service cannot be reached; the target is host:port of its gRPC, and it must be started: ${rawMessage}`;
  }
  return rawMessage;
}

/** The length-delimited fields of a message, by number. */
function fields(message: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === 2) found.set(number, reader.bytes());
    else reader.skip(type, number);
  }
  return found;
}

function text(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}
