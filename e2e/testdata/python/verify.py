"""Verifies webhooks, a JSON list on standard input, by Standard Webhooks' own
library."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

cases = json.load(sys.stdin)
for case in cases:
    try:
        said = Webhook(case["secret"]).verify(case["hook"]["body"], case["hook"]["headers"])
        good = said["type"] == "job.completed"
    except WebhookVerificationError:
        good = False
    assert good == case["good"], case
print(len(cases), "verified")
