// Verifies webhooks, a JSON list on standard input, by Standard Webhooks' own
// library, which it finds where the SDK's packages are.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const { Webhook, WebhookVerificationError } = createRequire(join(process.cwd(), "package.json"))("standardwebhooks");

const cases = JSON.parse(readFileSync(0, "utf8"));
for (const { hook, secret, good } of cases) {
  let verified;
  try {
    verified = new Webhook(secret).verify(hook.body, hook.headers).type === "job.completed";
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    verified = false;
  }
  if (verified !== good) throw new Error(JSON.stringify({ hook, secret, good }));
}
console.log(`${cases.length} verified`);
