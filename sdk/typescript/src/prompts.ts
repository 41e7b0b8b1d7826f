import { randomUUID } from "node:crypto";
import { open, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A whole line of the prompts file; what it may hold stands in the service's API. */
export interface PromptLine {
  prompt_id: string | number | bigint;
  prompt?: string;
  messages?: unknown[];
  [parameter: string]: unknown;
}

/** A prompt's text, whose prompt_id is its index from 0, or a whole line. */
export type Prompt = string | PromptLine;

/** Prompts, or the path or URL of a file of JSON Lines. */
export type Prompts = string | URL | Iterable<Prompt> | AsyncIterable<Prompt>;

/** How many bytes of a file go into one message. The service takes 4 MiB. */
const piece = 256 << 10;

/**
 * An open file of prompts, which can be read more than once: after a lost
 * connection it is sent again.
 */
export class PromptsFile {
  private constructor(private readonly file: FileHandle) {}

  /** Opens the file that is named, or writes the prompts to a temporary one. */
  static async open(prompts: Prompts): Promise<PromptsFile> {
    if (typeof prompts === "string" || prompts instanceof URL) return new PromptsFile(await open(prompts, "r"));
    const path = join(tmpdir(), `promptforge-${randomUUID()}`);
    const file = await open(path, "wx+", 0o600);
    try {
      await unlink(path).catch(() => undefined); // not on Windows, which keeps an open file
      let index = 0;
      let lines: string[] = [];
      let length = 0;
      const flush = async () => {
        await file.write(lines.join(""));
        lines = [];
        length = 0;
      };
      for await (const prompt of prompts) {
        const text = line(index++, prompt);
        lines.push(text);
        length += text.length;
        if (length >= piece) await flush();
      }
      await flush();
    } catch (error) {
      await file.close();
      throw error;
    }
    return new PromptsFile(file);
  }

  /** The file's bytes from its beginning. */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (let position = 0; ; ) {
      const { bytesRead, buffer } = await this.file.read(new Uint8Array(piece), 0, piece, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.file.close();
  }
}

/** The prompt as a line of JSON. Throws a TypeError with the index for what is none. */
function line(index: number, prompt: Prompt): string {
  if (typeof prompt === "string") return JSON.stringify({ prompt_id: index, prompt }) + "\n";
  if (typeof prompt !== "object" || prompt === null || Array.isArray(prompt)) {
    throw new TypeError(`prompts[${index}] is no prompt: a prompt is a string or an object`);
  }
  try {
    if (typeof prompt.prompt_id !== "bigint") return JSON.stringify(prompt) + "\n";
    const { prompt_id, ...rest } = prompt;
    const text = JSON.stringify(rest);
    return `{"prompt_id":${prompt_id}${text === "{}" ? "" : ","}${text.slice(1)}\n`;
  } catch (cause) {
    throw new TypeError(`prompts[${index}]: ${String(cause)}`, { cause });
  }
}
