"""A PyTorch dataset over a Millwright feed. It needs torch and pyarrow.

    data = Feed("http://feed:8816/demo", rank=rank, world=world, shuffle=True, seed=1,
                columns="x,y,label", batch_rows=512)
    for epoch in range(10):
        data.set_epoch(epoch)
        for batch in DataLoader(data, batch_size=None, num_workers=2):
            ...  # a dict of tensors, one a column

Every worker of every rank reads a shard of its own. A connection that breaks is
taken up at the next row. state_dict() is what a checkpoint needs, as torchdata's
StatefulDataLoader asks for it: the version, the epoch and a token of some 30
characters.
"""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import IterableDataset, get_worker_info


class Feed(IterableDataset):
    def __init__(self, url, rank=0, world=1, bearer=None, retries=5, **options):
        """url names the dataset; options are the parameters of the feed."""
        super().__init__()
        self.url, self.rank, self.world, self.retries = url, rank, world, retries
        self.headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        self.options = {k: json.dumps(v) if isinstance(v, bool) else v for k, v in options.items()}
        self.epoch, self.token = 0, None
        if "ref" not in self.options:
            # All workers, of all epochs, read the version that is the newest now.
            # Ranks that do not start together must be given a ref.
            with self._open({}, "HEAD") as body:
                self.options["ref"] = body.headers["Millwright-Ref"]

    def set_epoch(self, epoch):
        self.epoch, self.token = epoch, None

    def state_dict(self):
        return {"ref": self.options["ref"], "epoch": self.epoch, "token": self.token}

    def load_state_dict(self, state):
        self.options["ref"], self.epoch, self.token = state["ref"], state["epoch"], state["token"]

    def __iter__(self):
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        shard = {"epoch": self.epoch, "rank": self.rank * workers + number, "world": self.world * workers}
        failures = 0
        while True:
            try:
                with self._open(shard | ({"token": self.token} if self.token else {})) as body:
                    reader = pa.ipc.open_stream(body)
                    while True:
                        batch, meta = reader.read_next_batch_with_custom_metadata()
                        self.token = meta[b"millwright.token"].decode()
                        failures = 0
                        yield tensors(batch)
            except StopIteration:
                return  # The end of the shard. A stream that was cut is an error.
            except (OSError, http.client.HTTPException, pa.ArrowInvalid) as e:
                final = isinstance(e, urllib.error.HTTPError) and e.code < 500
                failures += 1
                if final or failures > self.retries:
                    raise
                time.sleep(min(0.1 * 2**failures, 10))

    def _open(self, parameters, method="GET"):
        query = urllib.parse.urlencode({k: v for k, v in (self.options | parameters).items() if v is not None})
        request = urllib.request.Request(f"{self.url}?{query}", headers=self.headers, method=method)
        return urllib.request.urlopen(request, timeout=120)


def tensors(batch):
    """Columns as tensors; nulls of numbers become NaN. Text stays a list."""
    out = {}
    for name, column in zip(batch.schema.names, batch.columns):
        if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            # A copy, for a tensor may be written to and Arrow's memory may not.
            out[name] = torch.from_numpy(np.array(column.to_numpy(zero_copy_only=False)))
        else:
            out[name] = column.to_pylist()
    return out
