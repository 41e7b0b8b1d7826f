"""Runs COUNT prompts by run() and prints the resident memory in KiB at each
tenth of them, then the seconds that the whole took."""

import os
import time

from promptforge_client import run

COUNT = int(os.environ["COUNT"])


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


begun = time.monotonic()
prompts = ({"prompt_id": n, "prompt": f"flat {n} " + "x" * 200} for n in range(COUNT))
for n, outcome in enumerate(run(prompts, provider="openai", model="sim", target=os.environ["TARGET"]), 1):
    assert outcome.result is not None
    if n % (COUNT // 10) == 0:
        print("resident", resident(), flush=True)
print("seconds", time.monotonic() - begun)
