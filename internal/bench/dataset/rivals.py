"""The rivals' part of the benchmark: one measurement in one process.

    rivals.py ENGINE MEASURE CORES REPEATS PLAN

ENGINE is pyarrow, deltalake, polars or duckdb, and PLAN a JSON object with what
the measurement needs. Prints a JSON object a repetition, {"wall": s, "cpu": s,
"bytes": n, "rows": n}, after one that warms. An engine that has no such
operation prints nothing.
"""

import glob
import hashlib
import json
import os
import resource
import shutil
import sys
import time

engine, measure, cores, repeats, plan = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
os.environ["POLARS_MAX_THREADS"] = str(cores)
os.environ["OMP_NUM_THREADS"] = str(cores)
os.environ["RAYON_NUM_THREADS"] = str(cores)
os.environ["TOKIO_WORKER_THREADS"] = str(cores)

import pyarrow as pa  # noqa: E402
import pyarrow.ipc as ipc  # noqa: E402

pa.set_cpu_count(cores)
pa.set_io_thread_count(cores)

THREE = ["id", "amount", "age"]
OUT = plan.get("out", "")
FILES = sorted(glob.glob(plan.get("files", "")))
S3 = plan.get("s3")
OPTIONS = S3 and {
    "AWS_ENDPOINT_URL": "http://" + S3["endpoint"],
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_ACCESS_KEY_ID": S3["key"],
    "AWS_SECRET_ACCESS_KEY": S3["secret"],
}


def source(name="source"):
    """The table in memory."""
    with pa.OSFile(plan[name]) as f:
        return ipc.open_file(f).read_all()


def written():
    """The Parquet files of the folder."""
    return glob.glob(OUT + "/**/*.parquet", recursive=True)


def digests():
    out = {}
    for name in written():
        with open(name, "rb") as f:
            out[hashlib.sha256(f.read()).digest()] = os.path.getsize(name)
    return out


def fresh():
    shutil.rmtree(OUT, ignore_errors=True)
    os.makedirs(OUT)


class PyArrow:
    def prepare(self):
        import pyarrow.dataset
        import pyarrow.parquet

        self.pq, self.ds = pyarrow.parquet, pyarrow.dataset

    def take(self, table):
        self.table = table

    def write(self):
        self.pq.write_table(self.table, OUT + "/t.parquet", compression="zstd", compression_level=1)
        return self.table.num_rows

    def read(self, columns=None):
        return sum(self.pq.read_table(f, columns=columns, use_threads=cores > 1).num_rows for f in FILES)

    def columns(self):
        return self.read(THREE)

    def filter(self):
        low, high = plan["range"]
        where = (self.ds.field("id") >= low) & (self.ds.field("id") < high)
        return self.ds.dataset(FILES).to_table(filter=where, use_threads=cores > 1).num_rows


class DeltaLake:
    def prepare(self):
        import deltalake

        self.lib = deltalake
        if measure == "commit":
            self.row = pa.table({"n": pa.array([1], pa.int64())})
            self.lib.write_deltalake(OUT, self.row)
        self.properties = deltalake.WriterProperties(compression="ZSTD", compression_level=1)

    def take(self, table):
        self.table = table

    def write(self):
        self.lib.write_deltalake(OUT + "/t", self.table, writer_properties=self.properties)
        return self.table.num_rows

    def read(self, columns=None):
        return self.lib.DeltaTable(plan["table"]).to_pyarrow_table(columns=columns).num_rows

    def columns(self):
        return self.read(THREE)

    def filter(self):
        low, high = plan["range"]
        table = self.lib.DeltaTable(plan["table"])
        return table.to_pyarrow_table(filters=[("id", ">=", low), ("id", "<", high)]).num_rows

    def commit(self):
        self.lib.write_deltalake(OUT, self.row, mode="append")
        return 1

    def open(self):
        return self.lib.DeltaTable(plan["table"]).version()

    def list(self):
        return len(self.lib.DeltaTable(plan["table"]).file_uris())

    def s3write(self):
        self.lib.write_deltalake(plan["url"], self.table, mode="overwrite", storage_options=OPTIONS, writer_properties=self.properties)
        return self.table.num_rows

    def s3read(self):
        return self.lib.DeltaTable(plan["url"], storage_options=OPTIONS).to_pyarrow_table().num_rows


class Polars:
    def prepare(self):
        import polars

        self.lib = polars

    def take(self, table):
        self.frame = self.lib.from_arrow(table)

    def write(self):
        self.frame.write_parquet(OUT + "/t.parquet", compression="zstd", compression_level=1)
        return self.frame.height

    def scan(self):
        return self.lib.scan_parquet(FILES)

    def read(self):
        return self.scan().collect().height

    def columns(self):
        return self.scan().select(THREE).collect().height

    def filter(self):
        low, high = plan["range"]
        column = self.lib.col("id")
        return self.scan().filter((column >= low) & (column < high)).collect().height

    def open(self):
        self.lib.scan_delta(plan["table"]).collect_schema()
        return 1

    def s3write(self):
        self.frame.write_parquet(plan["url"] + ".parquet", compression="zstd", compression_level=1, storage_options=OPTIONS)
        return self.frame.height

    def s3read(self):
        return self.lib.scan_delta(plan["url"], storage_options=OPTIONS).collect().height


class DuckDB:
    def prepare(self):
        import importlib

        import duckdb

        self.db = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.db.execute(f"SET threads = {cores}")
        if measure in ("open", "list", "s3read", "s3write"):
            for extension in ("delta", "httpfs"):
                folder = os.path.dirname(importlib.import_module(f"duckdb_extension_{extension}").__file__)
                self.db.execute(f"LOAD '{glob.glob(folder + '/**/*.duckdb_extension', recursive=True)[0]}'")
        if S3:
            self.db.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{S3['key']}', SECRET '{S3['secret']}', ENDPOINT '{S3['endpoint']}',"
                " URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
            )

    def take(self, table):
        """Its own table, as the others have theirs in their own memory."""
        arrived = table  # noqa: F841  DuckDB finds it by name.
        self.db.execute("CREATE OR REPLACE TABLE t AS SELECT * FROM arrived")

    def write(self):
        self.db.execute(f"COPY t TO '{OUT}/t.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
        return self.db.execute("SELECT count(*) FROM t").fetchone()[0]

    def stream(self, query):
        rows = 0
        reader = self.db.execute(query)
        reader = reader.to_arrow_reader(1 << 16) if hasattr(reader, "to_arrow_reader") else reader.fetch_record_batch(1 << 16)
        for batch in reader:
            rows += batch.num_rows
        return rows

    def scan(self):
        return f"read_parquet({FILES})"

    def read(self):
        return self.stream(f"SELECT * FROM {self.scan()}")

    def columns(self):
        return self.stream(f"SELECT {', '.join(THREE)} FROM {self.scan()}")

    def filter(self):
        low, high = plan["range"]
        return self.stream(f"SELECT * FROM {self.scan()} WHERE id >= {low} AND id < {high}")

    def open(self):
        return self.db.execute(f"SELECT * FROM delta_scan('{plan['table']}') LIMIT 0").fetchall() == []

    def s3write(self):
        self.db.execute(f"COPY t TO '{plan['url']}.duckdb.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
        return 1

    def s3read(self):
        return self.stream(f"SELECT * FROM delta_scan('{plan['url']}')")


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# A table that comes again is written as any other, and none of these makes a
# profile of the columns.
operation = "write" if measure in ("reingest", "lean") else measure
rival = {"pyarrow": PyArrow, "deltalake": DeltaLake, "polars": Polars, "duckdb": DuckDB}[engine]()
if hasattr(rival, operation):
    if measure in ("write", "lean", "commit"):
        fresh()
    rival.prepare()
    if measure in ("write", "lean", "s3write"):
        rival.take(source())
    for i in range(repeats + 1):
        had = {}
        if measure == "reingest":
            fresh()
            rival.take(source())
            rival.write()
            had = digests()
            rival.take(source("edited"))
        if operation == "write":
            fresh()
        began, used = time.perf_counter(), cpu()
        rows = getattr(rival, operation)()
        figures = {"wall": time.perf_counter() - began, "cpu": cpu() - used, "rows": int(rows)}
        if operation == "write":
            figures["bytes"] = sum(os.path.getsize(f) for f in written())
        if measure == "reingest":
            figures["new"] = sum(size for digest, size in digests().items() if digest not in had)
        if i > 0:
            print(json.dumps(figures), flush=True)
# Threads of an engine that run on while the interpreter ends abort it at times.
os._exit(0)
