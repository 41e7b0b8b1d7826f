import type { Outcome as Message, PromptError, Result } from "./gen/promptforge/v1/outcome_pb.js";

/** How one prompt ended: with a result or with an error. */
export class Outcome {
  /** Its place in the order in which the job's outcomes were recorded, the first 1. */
  readonly offset: bigint;
  /**
   * The prompt's id with the type that it has in the file; an integer beyond
   * Number.MAX_SAFE_INTEGER is a bigint. null for a line of which none could be
   * read.
   */
  readonly promptId: string | number | bigint | null;
  /** The provider's answer, where there is one. */
  readonly result: Result | undefined;
  /** Why there is none. */
  readonly error: PromptError | undefined;

  constructor(message: Message) {
    this.offset = message.offset;
    switch (message.promptId.case) {
      case "stringId":
        this.promptId = message.promptId.value;
        break;
      case "int64Id": {
        const number = Number(message.promptId.value);
        this.promptId = Number.isSafeInteger(number) ? number : message.promptId.value;
        break;
      }
      default:
        this.promptId = null;
    }
    this.result = message.outcome.case === "result" ? message.outcome.value : undefined;
    this.error = message.outcome.case === "error" ? message.outcome.value : undefined;
  }

  /** The answer's text; undefined where the prompt ended as an error. */
  get text(): string | undefined {
    return this.result?.result;
  }
}
