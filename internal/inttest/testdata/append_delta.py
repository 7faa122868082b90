"""Appends the batches of an Arrow IPC file to a Delta table with delta-rs, each
in a commit of its own.

    append_delta.py TABLE FILE [KEY=VALUE ...]

The rest are deltalake's storage options. Prints the versions, as JSON.
"""

import json
import sys

import pyarrow as pa
import pyarrow.ipc as ipc
from deltalake import CommitProperties, DeltaTable, write_deltalake

table, path, *options = sys.argv[1:]
options = dict(o.split("=", 1) for o in options) or None
versions = []
with pa.memory_map(path) as source:
    reader = ipc.open_file(source)
    for i in range(reader.num_record_batches):
        batch = pa.Table.from_batches([reader.get_batch(i)])
        # The other writer does not wait, so its 15 attempts may not do.
        patient = CommitProperties(max_commit_retries=1000)
        write_deltalake(table, batch, mode="append", storage_options=options, commit_properties=patient)
        versions.append(DeltaTable(table, storage_options=options).version())
print(json.dumps(versions))
