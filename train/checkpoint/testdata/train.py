"""A training of a few hundred steps whose result depends on every one of them."""

import json
import os
import pathlib
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import millwright_checkpoint as mw  # noqa: E402

total, every, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
ck = mw.open()
found = ck.latest()
weight, start, rng = 0.0, 0, random.Random(7)
if found:
    state = json.loads((found.path / "state.json").read_text())
    weight, start = state["weight"], found.step
    rng.setstate((state["rng"][0], tuple(state["rng"][1]), state["rng"][2]))
print("from step", start, flush=True)


def write(folder: pathlib.Path):
    (folder / "sub").mkdir()
    (folder / "sub" / "padding.bin").write_bytes(b"x" * 300_000)
    (folder / "state.json").write_text(json.dumps({"weight": weight, "rng": rng.getstate()}))


for step in range(start + 1, total + 1):
    weight = 0.9 * weight + rng.random()
    time.sleep(pause)
    ck.report(step, total, weight=weight, nothing=float("nan"))
    if ck.rank == 0 and (step == start + 3 or step % 10 == 0):
        print("step", step, flush=True)
    if ck.due(step, every):
        ck.save(step, write)
    if ck.stopping:
        ck.exit()
ck.close()
if ck.rank == 0:
    print("result", repr(weight), flush=True)
