/**
 * Sends prompts to an LLM provider through a PromptForge service.
 *
 * `run` is the whole job in one call, `Client` has its steps. The messages are
 * generated, and are exported too.
 *
 * @module
 */
export { Client, Run, run } from "./client.js";
export type { ClientOptions, JobOptions, ResultsOptions, RunOptions } from "./client.js";
export { JobEnded, PromptForgeError } from "./errors.js";
export { Outcome } from "./outcome.js";
export type { Prompt, PromptLine, Prompts } from "./prompts.js";
export * from "./gen/promptforge/v1/job_pb.js";
export * from "./gen/promptforge/v1/job_service_pb.js";
export { PromptErrorSchema, ResultSchema } from "./gen/promptforge/v1/outcome_pb.js";
export type { PromptError, Result } from "./gen/promptforge/v1/outcome_pb.js";
