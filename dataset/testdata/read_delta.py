"""Reads a table with delta-rs and prints what it saw, one JSON line a version."""
import datetime
import decimal
import json
import math
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder

root, latest = sys.argv[1], int(sys.argv[2])
for version in range(latest + 1):
    table = DeltaTable(root, version=version)
    rows = table.to_pyarrow_table()
    data = table.to_pyarrow_dataset()
    filters = {
        "id": ds.field("id") >= 1500,
        "bool": ds.field("bool") == True,  # noqa: E712
        "f64": ds.field("f64") > 100,
        "inf": ds.field("f64") == -math.inf,
        "text": ds.field("text") == "größe-4",
        "money": ds.field("money") > decimal.Decimal("1000.00"),
        "day": ds.field("day") >= datetime.date(1971, 1, 1),
        "at": ds.field("at") == datetime.datetime(1970, 1, 1, 0, 8, 20, 1500, tzinfo=datetime.timezone.utc),
    }
    sql = pa.table(QueryBuilder().register("t", table).execute("select count(*) n, coalesce(sum(id), 0) s from t").read_all())
    print(json.dumps({
        "rows": rows.num_rows,
        "ids": pc.sum(rows["id"]).as_py() or 0,
        "files": len(table.file_uris()),
        "types": {f.name: str(f.type) for f in rows.schema},
        "sql": [sql["n"][0].as_py(), sql["s"][0].as_py()],
        "counts": {k: data.to_table(filter=f).num_rows for k, f in filters.items()},
        "pruned": len(list(data.get_fragments(filter=filters["id"]))),
    }))
