"""Reads an inference log with pandas and with DuckDB and prints what they find.

read_inferences.py TABLE prints one JSON object: engine -> answers.
"""

import importlib
import json
import os
import sys

import deltalake
import duckdb

table = sys.argv[1]
answers = {}

frame = deltalake.DeltaTable(table).to_pandas()
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
}

db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
db.execute("SET TimeZone = 'UTC'")
folder = os.path.dirname(importlib.import_module("duckdb_extension_delta").__file__)
files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs if f.endswith(".duckdb_extension")]
db.execute(f"LOAD '{files[0]}'")
source = f"delta_scan('{table}')"


def one(sql):
    return db.execute(sql).fetchall()


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
}
json.dump(answers, sys.stdout)
