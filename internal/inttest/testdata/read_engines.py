"""Reads versions of tables with one foreign engine and compares every value.

    read_engines.py ENGINE <PLAN >ANSWERS

ENGINE is deltalake, pandas, polars, duckdb, clickhouse, spark, pyiceberg or
duckdb-iceberg. PLAN is JSON:

    {"spark": "/spark", "jars": "a.jar,b.jar",
     "s3": {"endpoint": "127.0.0.1:1", "key": "…", "secret": "…"},
     "reads": [{"key": "main 3", "table": "/lake/t", "version": 3,
                "expect": "/tmp/3.arrow", "where": ["id", ">=", 7],
                "condition": {"duckdb": "id % 2 = 0"}}, …]}

"expect" names an Arrow IPC file with the rows that must come, in any order; its
column "id" tells them apart. "version" null asks for the latest, and "where" and
"condition", SQL in the engine's own dialect, for the rows of a filter, which
"expect" has already been cut to. ANSWERS is a JSON object a line, first the engine's version, then one
for each read:

    {"engine": "DuckDB 1.5.5"}
    {"key": "main 3", "rows": 300, "columns": {"id": "", "at": "row 7: 1, want 2"}}
    {"key": "main 4", "error": "…"}

A column is "" when all its values are those that must come.
"""

import json
import math
import os
import sys

import pyarrow as pa
import pyarrow.ipc as ipc


# What is said of a column whose only fault is this.
EMPTY = "nulls come as empty values"


def canonical(value, type_):
    """One form for a value, however the engine hands it out."""
    if value is None:
        return None
    if pa.types.is_map(type_):
        if isinstance(value, dict):
            value = list(value.items())
        pairs = [(v["key"], v["value"]) if isinstance(v, dict) else tuple(v) for v in value]
        return [(canonical(k, type_.key_type), canonical(v, type_.item_type)) for k, v in pairs]
    if pa.types.is_list(type_):
        return [canonical(v, type_.value_type) for v in value]
    if pa.types.is_struct(type_):
        return [canonical(value[f.name], f.type) for f in type_]
    if pa.types.is_floating(type_):
        if math.isnan(value):
            return "NaN"
        return value.hex() if isinstance(value, float) else float(value).hex()
    if pa.types.is_timestamp(type_):
        if value.tzinfo is None:
            return f"without a zone: {value}"
        return round(value.timestamp() * 1_000_000)
    if pa.types.is_decimal(type_):
        return str(value.normalize())
    if pa.types.is_string(type_):
        return value.decode() if isinstance(value, bytes) else value
    if pa.types.is_binary(type_):
        return value.hex() if isinstance(value, bytes) else bytes(value).hex()
    if pa.types.is_boolean(type_):
        return bool(value)
    return value if not pa.types.is_date(type_) else str(value)[:10]


def values(table, name, type_):
    return [canonical(v, type_) for v in table.column(name).to_pylist()]


def sort(table):
    return table.take(pa.compute.sort_indices(table, sort_keys=[("id", "ascending")]))


def compare(got, expect):
    """What is wrong with each column, "" for nothing."""
    columns = {}
    if got.num_rows != expect.num_rows:
        return {name: f"{got.num_rows} rows, want {expect.num_rows}" for name in expect.column_names}
    got, expect = sort(got), sort(expect)
    for field in expect.schema:
        columns[field.name] = ""
        if field.name not in got.column_names:
            columns[field.name] = "the column is missing"
            continue
        want = values(expect, field.name, field.type)
        try:
            have = values(got, field.name, field.type)
        except (TypeError, AttributeError, KeyError, ValueError) as err:
            columns[field.name] = f"{got.schema.field(field.name).type}: {err!r}"
            continue
        for i, (h, w) in enumerate(zip(have, want)):
            if w is None and h is not None and not any(h):
                columns[field.name] = EMPTY
            elif h != w:
                columns[field.name] = f"row {i}: {h}, want {w}"
                break
    extra = set(got.column_names) - set(expect.column_names)
    if extra:
        columns["id"] = columns["id"] or f"more columns: {sorted(extra)}"
    return columns


def sql(read, engine):
    """The filter of a read as SQL."""
    if condition := read.get("condition"):
        return " WHERE " + condition[engine]
    if not read.get("where"):
        return ""
    column, op, value = read["where"]
    literal = f"'{value}'" if isinstance(value, str) else str(value)
    return f" WHERE {column} {op} {literal}"


class DeltaLake:
    """delta-rs, read through pyarrow."""

    def __init__(self, plan):
        import deltalake

        self.lib, self.name = deltalake, f"delta-rs (deltalake {deltalake.__version__})"
        s3 = plan.get("s3")
        self.options = s3 and {
            "AWS_ENDPOINT_URL": "http://" + s3["endpoint"],
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": s3["key"],
            "AWS_SECRET_ACCESS_KEY": s3["secret"],
        }

    def open(self, read):
        options = self.options if "://" in read["table"] else None
        return self.lib.DeltaTable(read["table"], version=read["version"], storage_options=options)

    def filters(self, read):
        return [tuple("==" if x == "=" else x for x in read["where"])] if read.get("where") else None

    def read(self, read):
        return self.open(read).to_pyarrow_table(filters=self.filters(read))


class Pandas(DeltaLake):
    def __init__(self, plan):
        super().__init__(plan)
        import pandas

        self.pandas, self.name = pandas, f"pandas {pandas.__version__} (by deltalake)"

    def read(self, read):
        frame = self.open(read).to_pandas(filters=self.filters(read), types_mapper=self.pandas.ArrowDtype)
        return pa.Table.from_pandas(frame, preserve_index=False)


class Polars:
    def __init__(self, plan):
        import polars

        self.lib, self.name = polars, f"Polars {polars.__version__}"
        self.options = DeltaLake(plan).options

    def read(self, read):
        options = self.options if "://" in read["table"] else None
        frame = self.lib.scan_delta(read["table"], version=read["version"], storage_options=options)
        if where := read.get("where"):
            column, op, value = where
            column = self.lib.col(column)
            frame = frame.filter({">=": column.__ge__, "=": column.__eq__, "<": column.__lt__}[op](value))
        return frame.collect().to_arrow()


class DuckDB:
    """Its extensions come from PyPI, so they are loaded by path."""

    extensions = ("delta", "httpfs")

    def __init__(self, plan):
        import importlib

        import duckdb

        self.name = f"DuckDB {duckdb.__version__}"
        self.db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.db.execute("SET TimeZone = 'UTC'")
        for extension in self.extensions:
            folder = os.path.dirname(importlib.import_module(f"duckdb_extension_{extension}").__file__)
            files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs if f.endswith(".duckdb_extension")]
            self.db.execute(f"LOAD '{files[0]}'")
        if s3 := plan.get("s3"):
            self.db.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{s3['key']}', SECRET '{s3['secret']}', ENDPOINT '{s3['endpoint']}',"
                " URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
            )

    def source(self, read):
        version = "" if read["version"] is None else f", version => {read['version']}"
        return f"delta_scan('{read['table']}'{version})"

    def read(self, read):
        out = self.db.execute(f"SELECT * FROM {self.source(read)}{sql(read, 'duckdb')}").arrow()
        return out.read_all() if hasattr(out, "read_all") else out


class DuckDBIceberg(DuckDB):
    extensions = ("avro", "httpfs", "iceberg")

    def source(self, read):
        return f"iceberg_scan('{read['table']}')"


class ClickHouse:
    def __init__(self, plan):
        import chdb

        # It reads files below its working directory only.
        os.chdir("/")
        self.lib, self.name = chdb, f"ClickHouse {chdb.query('SELECT version()', 'CSV').data().strip().strip(chr(34))} (chdb)"
        self.s3 = plan.get("s3")

    def read(self, read):
        source = f"deltaLakeLocal('{read['table']}')"
        if read["table"].startswith("s3://"):
            url = f"http://{self.s3['endpoint']}/{read['table'].removeprefix('s3://')}"
            source = f"deltaLake('{url}', '{self.s3['key']}', '{self.s3['secret']}')"
        settings = ["output_format_arrow_string_as_string = 0", "session_timezone = 'UTC'"]
        if read["version"] is not None:
            settings.append(f"delta_lake_snapshot_version = {read['version']}")
        query = f"SELECT * FROM {source}{sql(read, 'clickhouse')} SETTINGS {', '.join(settings)}"
        out = self.lib.query(query, "Arrow").bytes()
        return ipc.open_file(out).read_all() if out else pa.table({})


class Spark:
    """Its Python part lies beside its Java part, not in the environment."""

    def __init__(self, plan):
        sys.path.insert(0, plan["spark"])
        import pyspark
        from pyspark.sql import SparkSession

        self.name = f"Spark {pyspark.__version__}"
        settings = {
            "spark.jars": plan["jars"],
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            # The second compiler and the parallel collector cost a short run more than they give.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",
            "spark.sql.adaptive.enabled": "false",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.warehouse.dir": os.path.join(os.getcwd(), "warehouse"),
        }
        builder = SparkSession.builder.master("local[1]")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")

    def read(self, read):
        source = self.session.read.format("delta")
        if read["version"] is not None:
            source = source.option("versionAsOf", read["version"])
        frame = source.load(read["table"])
        if condition := sql(read, "spark").removeprefix(" WHERE "):
            frame = frame.where(condition)
        return frame.toArrow()


class PyIceberg:
    def __init__(self, plan):
        import pyiceberg

        self.name = f"PyIceberg {pyiceberg.__version__}"
        s3 = plan.get("s3")
        self.options = s3 and {
            "s3.endpoint": "http://" + s3["endpoint"],
            "s3.access-key-id": s3["key"],
            "s3.secret-access-key": s3["secret"],
            "s3.region": "us-east-1",
        }

    def read(self, read):
        from pyiceberg.table import StaticTable

        table = StaticTable.from_metadata(read["table"], self.options or {})
        if where := read.get("where"):
            column, op, value = where
            text = f"'{value}'" if isinstance(value, str) else value
            scan = table.scan(row_filter=f"{column} {op} {text}")
            planned, there = len(list(scan.plan_files())), len(list(table.scan().plan_files()))
            if planned >= there:
                raise AssertionError(f"{planned} of {there} files are read: the bounds leave none out")
            return scan.to_arrow()
        return table.scan().to_arrow()


ENGINES = {
    "deltalake": DeltaLake,
    "pandas": Pandas,
    "polars": Polars,
    "duckdb": DuckDB,
    "clickhouse": ClickHouse,
    "spark": Spark,
    "pyiceberg": PyIceberg,
    "duckdb-iceberg": DuckDBIceberg,
}


def main():
    plan = json.load(sys.stdin)
    # What an engine prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**said):
        answers.write(json.dumps(said) + "\n")
        answers.flush()

    engine = ENGINES[sys.argv[1]](plan)
    answer(engine=engine.name)
    for read in plan["reads"]:
        try:
            got = engine.read(read)
            with pa.memory_map(read["expect"]) as source:
                expect = ipc.open_file(source).read_all()
            answer(key=read["key"], rows=got.num_rows, columns=compare(got, expect))
        except Exception as err:  # Whatever an engine throws is the finding.
            answer(key=read["key"], error=f"{type(err).__name__}: {err}"[:500])


if __name__ == "__main__":
    import pyarrow.compute  # noqa: F401  For pa.compute.

    main()
