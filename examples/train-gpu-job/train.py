"""A small training program: progress, checkpoints, resuming, and a stop in time.

It needs Python 3.9 and millwright_checkpoint.py beside it, and nothing else.
"""

import json
import os
import random
import time

import millwright_checkpoint as mw

steps = int(os.environ.get("STEPS", "200"))
pause = float(os.environ.get("PAUSE", "10ms").removesuffix("ms")) / 1000
ck = mw.open()
a = b = 0.0
first = 0
found = ck.latest()
if found:
    first = found.step
    model = json.loads((found.path / "model.json").read_text())
    a, b = model["a"], model["b"]
print(f"training {steps} steps from step {first} as rank {ck.rank}", flush=True)


def save(folder):
    (folder / "model.json").write_text(json.dumps({"a": a, "b": b}))


for step in range(first + 1, steps + 1):
    rng = random.Random(step)  # the same points in every attempt
    loss = 0.0
    for _ in range(32):
        x = rng.random()
        diff = a * x + b - (3 * x + 1)
        a -= 0.002 * diff * x
        b -= 0.002 * diff
        loss += diff * diff / 32
    ck.report(step, steps, loss=loss)
    if step % 50 == 0:
        print(f"step {step}: y = {a:.3f} x + {b:.3f}, loss {loss:.2g}", flush=True)
    time.sleep(pause)
    if ck.due(step, 100) or step == steps:
        ck.save(step, save)
    if ck.stopping:
        ck.exit()
ck.close()
print(f"learnt y = {a:.3f} x + {b:.3f}", flush=True)
