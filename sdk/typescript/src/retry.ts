import { setTimeout as sleep } from "node:timers/promises";

import { PromptForgeError } from "./errors.js";

const first = 100;
const most = 15_000;
const steady = 30_000;

/**
 * The patience of one operation: it gives up when `patience` milliseconds were
 * waited in all, between tries that brought nothing.
 */
export class Retry {
  private attempt = 0;
  private waited = 0;
  private since = performance.now();

  constructor(private readonly patience: number) {}

  /** Tells that a try begins. */
  opened(): void {
    this.since = performance.now();
  }

  /** Tells that something came. */
  progress(): void {
    this.attempt = 0;
    this.waited = 0;
  }

  /** Waits until the next try. Throws where there is to be none. */
  async after(cause: unknown): Promise<void> {
    const error = PromptForgeError.from(cause);
    if (!error.lost) throw error;
    // A job may be quiet for hours, and some proxies end a stream that is.
    if (performance.now() - this.since >= steady) this.progress();
    let delay = Math.min(most, first * 2 ** Math.min(this.attempt, 8));
    delay = delay / 2 + (Math.random() * delay) / 2 + error.retryAfter;
    if (this.waited + delay > this.patience) throw error;
    this.attempt++;
    this.waited += delay;
    await sleep(delay);
  }
}
