"""Reads a version of a Delta table with the deltalake package and describes it.

    read_delta.py TABLE [--version N] [--option KEY=VALUE ...]

TABLE is a folder or a URL; an option is one of deltalake's storage options, such
as AWS_ENDPOINT_URL. Prints one JSON object:

    {"version": 3, "rows": 10, "files": 2,
     "fields": [{"name": "x", "type": "double", "nullable": true}, ...],
     "columns": {"x": {"nulls": 0, "sum": 4.5, "min": 0.0, "max": 1.0},
                 "s": {"nulls": 1, "distinct": 7}}}

"columns" has the numeric columns (NaN and infinities as text) and the string
ones; nulls are counted in neither sum nor distinct.
"""

import argparse
import json
import math
import sys

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable


def number(value):
    """JSON has no NaN and no infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is not None and not isinstance(value, (int, float)):
        return str(value)  # decimals, exactly
    return value


def describe(column):
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.cast(type_.value_type)
        type_ = type_.value_type
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        ends = pc.min_max(column).as_py()
        return {
            "nulls": column.null_count,
            "sum": number(pc.sum(column).as_py()),
            "min": number(ends["min"]),
            "max": number(ends["max"]),
        }
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        # Not count_distinct, which lacks the view types.
        distinct = {v for v in column.to_pylist() if v is not None}
        return {"nulls": column.null_count, "distinct": len(distinct)}
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--version", type=int)
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    options = dict(o.split("=", 1) for o in args.option)

    table = DeltaTable(args.table, version=args.version, storage_options=options or None)
    data = table.to_pyarrow_table()
    columns = {name: describe(data.column(name)) for name in data.column_names}
    json.dump(
        {
            "version": table.version(),
            "rows": data.num_rows,
            "files": len(table.file_uris()),
            "fields": [
                {
                    "name": f.name,
                    "type": json.loads(f.type.to_json()) if not hasattr(f.type, "type") else f.type.type,
                    "nullable": f.nullable,
                }
                for f in table.schema().fields
            ],
            "columns": {name: d for name, d in columns.items() if d is not None},
        },
        sys.stdout,
    )
    print()


if __name__ == "__main__":
    main()
