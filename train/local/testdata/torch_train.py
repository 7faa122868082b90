"""A small distributed training: linear regression with gradients averaged by
all_reduce, on CUDA where there is a GPU, with checkpoints and a clean end."""

import os
import sys

import torch
import torch.distributed as dist

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "checkpoint"))
import millwright_checkpoint as mw  # noqa: E402

total = int(sys.argv[1])
ck = mw.open(report_every=0.2)
rank, world, local = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
cuda = torch.cuda.is_available()
# NCCL wants a GPU for each process.
backend = "nccl" if cuda and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"]) else "gloo"
device = torch.device("cuda", local % torch.cuda.device_count()) if cuda else torch.device("cpu")
dist.init_process_group(backend)
print("rank %d of %d on %s by %s sees %s" % (rank, world, device.type, backend, os.environ.get("CUDA_VISIBLE_DEVICES", "")), flush=True)

weight, start = torch.zeros(64, device=device, dtype=torch.float64), 0
found = ck.latest()
if found:
    weight, start = torch.load(found.path / "weight.pt", map_location=device), found.step
print("from step %d" % start, flush=True)
truth = torch.arange(64, device=device, dtype=torch.float64)
for step in range(start + 1, total + 1):
    g = torch.Generator().manual_seed(step * world + rank)  # the same data whenever it resumes
    x = torch.randn(256, 64, generator=g, dtype=torch.float64).to(device)
    gradient = x.T @ (x @ (weight - truth)) / 256
    dist.all_reduce(gradient)
    weight = weight - 0.05 * gradient / world
    loss = float((weight - truth).square().mean())
    ck.report(step, total, loss=loss)
    if rank == 0 and step % 50 == 0:
        print("step %d" % step, flush=True)
    if ck.due(step, every=0):
        ck.save(step, lambda d: torch.save(weight.cpu(), d / "weight.pt"))
    if ck.stopping:
        ck.exit()
ck.close()
if rank == 0:
    print("result %.9e" % loss, flush=True)
dist.barrier()
dist.destroy_process_group()
