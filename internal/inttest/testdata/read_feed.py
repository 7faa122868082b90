"""Reads a feed as Python programs do: pyarrow over HTTP, pyarrow.flight, and the
PyTorch dataset of examples/feed, with PyTorch where it is installed and a
stand-in for the three names of it otherwise.

    read_feed.py EXAMPLE HTTP CUTTING FLIGHT

EXAMPLE is the folder of torchfeed.py. HTTP is the URL of the dataset, CUTTING the
same through a proxy that cuts connections, FLIGHT a location of Arrow Flight.
Prints one JSON object with what was seen.
"""

import http.client
import json
import pathlib
import sys
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as fl

example, url, cutting, location = sys.argv[1:]
sys.path.insert(0, example)
try:
    import torch
except ImportError:
    sys.path.insert(0, str(pathlib.Path(__file__).parent / "standin"))
    import torch
import torchfeed
import torch.utils.data

seen = {"torch": getattr(torch, "__version__", "stand-in")}


def stream(query):
    with urllib.request.urlopen(f"{url}?{query}") as body:
        reader = pa.ipc.open_stream(body)
        ids, tokens = [], []
        while True:
            try:
                batch, meta = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                return ids, tokens, reader.schema.metadata
            ids.append(batch.column("id").to_pylist())
            tokens.append(meta[b"millwright.token"].decode())


def flat(lists):
    return [x for l in lists for x in l]


# HTTP with pyarrow: two ranks have all rows, and a token goes on.
ids, tokens, metadata = stream("shuffle=true&seed=3&world=2&rank=0&batch_rows=1000")
other, _, _ = stream("shuffle=true&seed=3&world=2&rank=1&batch_rows=1000")
rest, _, _ = stream(f"shuffle=true&seed=3&token={tokens[4]}&batch_rows=700")
seen["http"] = {
    "rows": len(flat(ids)) + len(flat(other)),
    "distinct": len(set(flat(ids)) | set(flat(other))),
    "shuffled": flat(ids) != sorted(flat(ids)),
    "resumed": flat(rest) == flat(ids[5:]),
    "digest": metadata[b"millwright.digest"].decode(),
}

# All of it at once, as a table.
with urllib.request.urlopen(url) as body:
    table = pa.ipc.open_stream(body).read_all()
seen["table"] = {
    "rows": table.num_rows,
    "types": [str(t) for t in table.schema.types],
    "nulls": table.column("y").null_count,
    "ordered": table.column("id").to_pylist() == list(range(table.num_rows)),
}

# A stream that is cut is never taken for whole.
try:
    with urllib.request.urlopen(f"{cutting}?batch_rows=500") as body:
        pa.ipc.open_stream(body).read_all()
    seen["cut"] = "whole"
except (http.client.HTTPException, OSError, pa.ArrowInvalid) as e:
    seen["cut"] = type(e).__name__

# A fault of the request is told.
try:
    urllib.request.urlopen(f"{url}?colums=id")
except urllib.error.HTTPError as e:
    seen["refused"] = [e.code, e.read().decode()]

# Arrow Flight.
client = fl.connect(location)
command = {"dataset": "demo", "shuffle": True, "seed": 3, "world": 2, "batch_rows": 1000}
info = client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps(command)))
flights, last = [], None
for endpoint in info.endpoints:
    for chunk in client.do_get(endpoint.ticket):
        flights.append(chunk.data.column("id").to_pylist())
        last = chunk.app_metadata.to_pybytes().decode()
try:
    client.do_get(fl.Ticket(b'{"dataset":"nobody"}')).read_all()
except pa.ArrowKeyError as e:
    missing = type(e).__name__
seen["flight"] = {
    "records": info.total_records,
    "same": flat(flights) == flat(ids) + flat(other),
    "token": last,
    "schema": info.schema.names,
    "missing": missing,
}

# PyTorch: two ranks with three workers each, through the proxy that cuts.
seen["epochs"] = []
for epoch in range(2):
    order = []
    for rank in range(2):
        data = torchfeed.Feed(cutting, rank=rank, world=2, shuffle=True, seed=9, batch_rows=256, retries=50)
        data.set_epoch(epoch)
        if hasattr(torch.utils.data, "workers"):
            batches = torch.utils.data.workers(data, 3)
        else:
            batches = torch.utils.data.DataLoader(data, batch_size=None, num_workers=3)
        for batch in batches:
            order += [int(i) for i in batch["id"]]
    seen["epochs"].append({"rows": len(order), "distinct": len(set(order)), "first": order[:5]})

# A checkpoint in the middle.
data = torchfeed.Feed(url, shuffle=True, seed=9, batch_rows=256, columns="id,y,label")
before, state = [], None
for batch in data:
    before.append([int(i) for i in batch["id"]])
    if len(before) == 7:
        state = json.dumps(data.state_dict())
again = torchfeed.Feed(url, shuffle=True, seed=9, batch_rows=256, columns="id,y,label", ref="main")
again.load_state_dict(json.loads(state))
after = [[int(i) for i in batch["id"]] for batch in again]
seen["checkpoint"] = {"same": after == before[7:], "bytes": len(state)}

json.dump(seen, sys.stdout)
