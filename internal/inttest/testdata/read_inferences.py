"""Reads an inference log with pandas and with DuckDB and prints what they find.

read_inferences.py TABLE prints one JSON object: engine -> answers.
"""

import datetime
import importlib
import json
import os
import re
import sys

import deltalake
import duckdb
import pyarrow
import pyarrow.dataset

table = sys.argv[1]
answers = {}

frame = deltalake.DeltaTable(table).to_pandas()
in_hour = (pyarrow.dataset.field("version") == "4") & (
    pyarrow.dataset.field("time") >= pyarrow.scalar(datetime.datetime(2026, 11, 22, 6, tzinfo=datetime.timezone.utc))
)
fragments = deltalake.DeltaTable(table).to_pyarrow_dataset().get_fragments(filter=in_hour)
hour = frame[(frame.version == "4") & (frame.time.dt.hour == 6)]
answers["pandas"] = {
    "rows": len(frame),
    "requests": int(frame.request_id.nunique()),
    "by version": {str(k): int(v) for k, v in frame.groupby("version").size().items()},
    "hour": len(hour),
    "amount": float(frame.in_amount.sum()),
    "scored": int(frame.out_score.notna().sum()),
    "errors": sorted(set(frame.error)),
    "redacted": bool(frame.in_secret.isna().all()),
    "cities": sorted(set(frame.in_city)),
    "opened": len(list(fragments)),
}

db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
db.execute("SET TimeZone = 'UTC'")
folder = os.path.dirname(importlib.import_module("duckdb_extension_delta").__file__)
files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs if f.endswith(".duckdb_extension")]
db.execute(f"LOAD '{files[0]}'")
source = f"delta_scan('{table}')"


def one(sql):
    return db.execute(sql).fetchall()


# DuckDB does not leave out files by bounds of times, only by the version.
plan = one(f"EXPLAIN ANALYZE SELECT sum(in_amount) FROM {source} WHERE version = '4'")
answers["duckdb"] = {
    "rows": one(f"SELECT count(*) FROM {source}")[0][0],
    "requests": one(f"SELECT count(DISTINCT request_id) FROM {source}")[0][0],
    "by version": dict(one(f"SELECT version, count(*) FROM {source} GROUP BY version")),
    "hour": one(f"SELECT count(*) FROM {source} WHERE version = '4' AND hour(time) = 6")[0][0],
    "amount": one(f"SELECT sum(in_amount) FROM {source}")[0][0],
    "scored": one(f"SELECT count(out_score) FROM {source}")[0][0],
    "errors": sorted(r[0] for r in one(f"SELECT DISTINCT error FROM {source}")),
    "redacted": one(f"SELECT count(in_secret) FROM {source}")[0][0] == 0,
    "cities": sorted(r[0] for r in one(f"SELECT DISTINCT in_city FROM {source}")),
    "opened": int(re.search(r"Scanning Files: (\d+)/4", plan[0][1]).group(1)),
}
json.dump(answers, sys.stdout)
