import { Presets, SingleBar } from "cli-progress";

import type { Outcome } from "./outcome.js";

/** One bar on standard error: prompts, what is left, errors and tokens. */
export class Progress {
  private readonly bar: SingleBar | undefined;
  private errors = 0;
  private tokens = 0n;

  /** shown undefined shows it where standard error is a terminal. */
  constructor(total: number, shown = process.stderr.isTTY) {
    if (!shown) return;
    const format = "{bar} {percentage}% | {value}/{total} prompts | {eta_formatted} left | {tokens} tokens | {errors} errors";
    this.bar = new SingleBar({ format, noTTYOutput: true, fps: 4 }, Presets.shades_classic);
    this.bar.start(total, 0, { errors: 0, tokens: "0" });
  }

  /** Counts one outcome. */
  saw(outcome: Outcome): void {
    if (!this.bar) return;
    if (outcome.result) this.tokens += outcome.result.tokensUsed ?? 0n;
    else this.errors++;
    this.bar.increment({ errors: this.errors, tokens: String(this.tokens) });
  }

  /** Leaves the bar as it is. */
  stop(): void {
    this.bar?.stop();
  }
}
