"""Runs: life cycle, params, tags, batches, their limits, artifacts, datasets."""

import os
import tempfile

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("runs").experiment_id
    t.name(exp, "experiment runs")
    with mlflow.start_run(run_name="first", tags={"kind": "test"}, description="what it is") as active:
        run = t.name(active.info.run_id, "run first")
        mlflow.log_param("depth", 3)
        mlflow.log_params({"lr": 0.1, "text": "a b c", "empty": "", "größe": "ä"})
        mlflow.log_metric("loss", 0.5, step=1, timestamp=1700000000000)
        mlflow.log_metrics({"auc": 0.9, "f1": 0.25}, step=2, timestamp=1700000001000)
        mlflow.set_tag("owner", "me")
        mlflow.set_tags({"a/b": "slash", "with space": "1"})
    t.step("finished run", lambda: c.get_run(run))
    with mlflow.start_run(run_id=run):
        mlflow.log_metric("loss", 0.4, step=2, timestamp=1700000002000)
    t.step("resumed run", lambda: c.get_run(run))

    def failing():
        with mlflow.start_run(run_name="fails") as r:
            t.name(r.info.run_id, "run fails")
            raise RuntimeError("on purpose")

    t.step("failing run", failing)
    t.step("failed", lambda: c.get_run(mlflow.last_active_run().info.run_id).info)

    with mlflow.start_run(run_name="parent") as parent:
        t.name(parent.info.run_id, "run parent")
        for i in range(2):
            with mlflow.start_run(run_name=f"child {i}", nested=True) as child:
                t.name(child.info.run_id, f"run child {i}")
                mlflow.log_metric("score", i)
    t.step("nested tags", lambda: c.get_run(child.info.run_id).data.tags)
    t.step("parent of child", lambda: mlflow.get_parent_run(child.info.run_id).info.run_name)
    t.step("children", lambda: [r.info.run_name for r in c.search_runs([exp], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["attributes.run_name"])])

    bare = t.step("create bare", lambda: c.create_run(exp, start_time=1700000000000, run_name="bare", tags={"x": "y"}))
    id = t.name(bare.info.run_id, "run bare")
    t.step("get bare", lambda: c.get_run(id))
    anon = c.create_run(exp)
    t.name(anon.info.run_id, "run unnamed")
    t.name(anon.info.run_name, "random name")
    t.step("unnamed run", lambda: c.get_run(anon.info.run_id))
    t.step("create in unknown", lambda: c.create_run("424242"))
    t.step("get unknown", lambda: c.get_run("0" * 32))
    t.step("get malformed", lambda: c.get_run("../x"))
    t.step("update", lambda: c.update_run(id, status="FAILED", name="renamed"))
    t.step("updated", lambda: c.get_run(id))
    t.step("rename by tag", lambda: c.set_tag(id, "mlflow.runName", "by tag"))
    t.step("renamed by tag", lambda: [c.get_run(id).info.run_name, c.get_run(id).data.tags])
    t.step("terminate", lambda: c.set_terminated(id, "KILLED", end_time=1700000005000))
    t.step("terminated", lambda: c.get_run(id).info)
    t.step("log after end", lambda: c.log_metric(id, "late", 1.0, timestamp=1700000006000))
    t.step("name against tag", lambda: c.create_run(exp, run_name="one", tags={"mlflow.runName": "two"}))
    t.step("name by tag only", lambda: t.name(c.create_run(exp, tags={"mlflow.runName": "three"}).info.run_id, "run three") and c.search_runs([exp], "run_name = 'three'")[0].info.run_name)

    params(t, c, id)
    batches(t, c, exp, id)
    lifecycle(t, c, exp)
    datasets(t, c)
    artifacts(t, c, run)


def params(t, c, id):
    t.step("param", lambda: c.log_param(id, "p", "1"))
    t.step("param again", lambda: c.log_param(id, "p", "1"))
    t.step("param other", lambda: c.log_param(id, "p", "2"))
    t.step("param key bad", lambda: c.log_param(id, "a\nb", "2"))
    t.step("param key up", lambda: c.log_param(id, "../b", "2"))
    t.step("param key absolute", lambda: c.log_param(id, "/b", "2"))
    t.step("param key dot", lambda: c.log_param(id, "a/./b", "2"))
    t.step("param key long", lambda: c.log_param(id, "k" * 251, "2"))
    t.step("param value 6000", lambda: c.log_param(id, "p6000", "v" * 6000))
    t.step("param value 6001", lambda: c.log_param(id, "p6001", "v" * 6001))
    t.step("param lengths", lambda: {k: len(v) for k, v in c.get_run(id).data.params.items()})
    t.step("tag value 8001", lambda: c.set_tag(id, "long", "v" * 8001))
    t.step("tag lengths", lambda: {k: len(v) for k, v in c.get_run(id).data.tags.items() if k in ("long", "x")})
    t.step("tag key long", lambda: c.set_tag(id, "k" * 251, "v"))
    t.step("tag overwrite", lambda: c.set_tag(id, "x", "z"))
    t.step("tag delete", lambda: c.delete_tag(id, "x"))
    t.step("tag delete again", lambda: c.delete_tag(id, "x"))
    t.step("metric key bad", lambda: c.log_metric(id, "a;b", 1.0))
    t.step("metric unknown run", lambda: c.log_metric("0" * 32, "a", 1.0))
    t.step("param unknown run", lambda: c.log_param("0" * 32, "a", 1.0))
    t.step("tag unknown run", lambda: c.set_tag("0" * 32, "a", "b"))
    t.step("metric not a number", lambda: c.log_metric(id, "a", "x"))


def batches(t, c, exp, id):
    run = c.create_run(exp, run_name="batches").info.run_id
    t.name(run, "run batches")
    metric = lambda i, **kw: Metric(f"m{i}", float(i), 1700000000000 + i, i)
    t.step("batch", lambda: c.log_batch(run, [metric(i) for i in range(800)], [Param(f"p{i}", str(i)) for i in range(100)], [RunTag(f"t{i}", str(i)) for i in range(100)]))
    t.step("batch stored", lambda: [len(c.get_run(run).data.metrics), len(c.get_run(run).data.params), len([k for k in c.get_run(run).data.tags if k.startswith("t")])])
    t.step("batch again", lambda: c.log_batch(run, [metric(i) for i in range(800)], [Param(f"p{i}", str(i)) for i in range(100)], [RunTag(f"t{i}", str(i)) for i in range(100)]))
    t.step("history after again", lambda: c.get_metric_history(run, "m7"))
    t.step("batch empty", lambda: c.log_batch(run))
    t.step("batch other param", lambda: c.log_batch(run, [Metric("unseen", 1.0, 1, 0)], [Param("p1", "other"), Param("unseen", "1")], [RunTag("unseen", "1")]))
    t.step("nothing of it", lambda: ["unseen" in c.get_run(run).data.metrics, "unseen" in c.get_run(run).data.params, "unseen" in c.get_run(run).data.tags])
    t.step("batch bad key", lambda: c.log_batch(run, [Metric("good", 1.0, 1, 0), Metric("b;ad", 1.0, 1, 0)]))
    t.step("nothing of bad", lambda: "good" in c.get_run(run).data.metrics)
    t.step("batch unknown run", lambda: c.log_batch("0" * 32, [Metric("a", 1.0, 1, 0)]))
    t.step("batch tag twice", lambda: c.log_batch(run, tags=[RunTag("twice", "1"), RunTag("twice", "2")]))
    t.step("tag twice", lambda: c.get_run(run).data.tags["twice"])
    t.step("fluent large", lambda: mlflow.log_metrics({f"big{i}": i for i in range(2500)}, step=1, run_id=run, timestamp=1700000000000))
    t.step("fluent large stored", lambda: len([k for k in c.get_run(run).data.metrics if k.startswith("big")]))


def lifecycle(t, c, exp):
    id = t.name(c.create_run(exp, run_name="to delete").info.run_id, "run to delete")
    t.step("delete", lambda: c.delete_run(id))
    t.step("deleted", lambda: c.get_run(id).info)
    t.step("delete again", lambda: c.delete_run(id))
    for name, do in {
        "metric": lambda: c.log_metric(id, "a", 1.0), "param": lambda: c.log_param(id, "a", 1.0), "tag": lambda: c.set_tag(id, "a", 1.0),
        "batch": lambda: c.log_batch(id, [Metric("a", 1.0, 1, 0)]), "update": lambda: c.update_run(id, status="FINISHED"),
        "delete tag": lambda: c.delete_tag(id, "mlflow.user"),
    }.items():
        t.step(f"{name} of deleted", do)
    t.step("restore", lambda: c.restore_run(id))
    t.step("restore again", lambda: c.restore_run(id))
    t.step("restored", lambda: c.get_run(id).info.lifecycle_stage)
    t.step("delete unknown", lambda: c.delete_run("0" * 32))
    t.step("restore unknown", lambda: c.restore_run("0" * 32))


def datasets(t, c):
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.5, None], "s": ["a", "b", "c"]})
    with mlflow.start_run(run_name="data") as run:
        id = t.name(run.info.run_id, "run data")
        train = mlflow.data.from_pandas(frame, source="s3://bucket/train.csv", name="train", targets="y")
        t.step("log input", lambda: mlflow.log_input(train, context="training", tags={"part": "first"}))
        t.step("log input again", lambda: mlflow.log_input(train, context="training", tags={"part": "first"}))
        t.step("log input elsewhere", lambda: mlflow.log_input(train, context="validation"))
        t.step("log bare input", lambda: mlflow.log_input(mlflow.data.from_pandas(frame[:1], name="eval")))
    t.step("inputs", lambda: sorted(plain_input(i) for i in c.get_run(id).inputs.dataset_inputs))
    exp = run.info.experiment_id
    for f in ["dataset.name = 'train'", "datasets.name LIKE 'tr%'", "dataset.context = 'training'", "dataset.name IN ('eval', 'other')", "dataset.context NOT IN ('training')", f"dataset.digest = '{train.digest}'", "dataset.name = 'none'", "dataset.nope = 'a'", "dataset.name > 'a'"]:
        t.step(f"filter {f}", lambda: [r.info.run_name for r in c.search_runs([exp], f)])


def plain_input(i):
    return [i.dataset.name, i.dataset.digest, i.dataset.source_type, i.dataset.source, i.dataset.schema, i.dataset.profile, sorted((g.key, g.value) for g in i.tags)]


def artifacts(t, c, id):
    with tempfile.TemporaryDirectory() as dir:
        os.makedirs(os.path.join(dir, "tree", "deep"))
        for name, data in {"tree/a.txt": b"alpha", "tree/deep/b.bin": bytes(range(256)), "tree/empty": b"", "sp ace ü%.txt": b"odd name"}.items():
            with open(os.path.join(dir, name), "wb") as f:
                f.write(data)
        t.step("log text", lambda: c.log_text(id, "text ✓\n", "notes/readme.txt"))
        t.step("log dict", lambda: c.log_dict(id, {"a": [1, 2]}, "conf.json"))
        t.step("log dict as yaml", lambda: c.log_dict(id, {"a": [1, 2]}, "conf.yaml"))
        t.step("log artifact", lambda: c.log_artifact(id, os.path.join(dir, "sp ace ü%.txt"), "odd"))
        t.step("log artifacts", lambda: c.log_artifacts(id, os.path.join(dir, "tree"), "tree"))
        t.step("log table", lambda: c.log_table(id, {"q": ["a", "b"], "n": [1, 2]}, "table.json"))
        t.step("log table more", lambda: c.log_table(id, {"q": ["c"], "n": [3]}, "table.json"))
        t.step("load table", lambda: mlflow.load_table("table.json", run_ids=[id]).to_dict("records"))
        for path in [None, "tree", "tree/deep", "odd", "notes", "conf.json", "absent"]:
            t.step(f"list {path}", lambda: c.list_artifacts(id, path))
        t.step("download file", lambda: open(c.download_artifacts(id, "tree/deep/b.bin", dir), "rb").read().hex())
        t.step("download odd", lambda: open(c.download_artifacts(id, "odd/sp ace ü%.txt", dir), "rb").read().decode())
        t.step("download empty", lambda: open(c.download_artifacts(id, "tree/empty", dir), "rb").read().decode())
        t.step("download tree", lambda: listing(mlflow.artifacts.download_artifacts(f"runs:/{id}/tree", dst_path=os.path.join(dir, "down"))))
        t.step("download all", lambda: listing(mlflow.artifacts.download_artifacts(run_id=id, artifact_path="", dst_path=os.path.join(dir, "all"))))
        t.step("load text", lambda: mlflow.artifacts.load_text(f"runs:/{id}/notes/readme.txt"))
        t.step("load dict", lambda: mlflow.artifacts.load_dict(f"runs:/{id}/conf.json"))
        t.step("overwrite", lambda: [c.log_text(id, "second", "notes/readme.txt"), mlflow.artifacts.load_text(f"runs:/{id}/notes/readme.txt")])
        t.step("list up", lambda: c.list_artifacts(id, "../.."))
        t.step("list absolute", lambda: c.list_artifacts(id, "/etc"))

        def download(path):
            os.makedirs(os.path.join(dir, "none"), exist_ok=True)
            try:
                mlflow.artifacts.download_artifacts(run_id=id, artifact_path=path, dst_path=os.path.join(dir, "none"))
                return "it is there"
            except Exception as e:
                return f"refused: {type(e).__name__}"

        t.step("download absent", lambda: download("absent.txt"))
        t.step("download up", lambda: download("../../x"))
        big = os.path.join(dir, "big.bin")
        with open(big, "wb") as f:
            for i in range(12):
                f.write(bytes([i]) * (1 << 20))
        t.step("log big", lambda: c.log_artifact(id, big))
        t.step("download big", lambda: os.path.getsize(c.download_artifacts(id, "big.bin", os.path.join(dir, "down"))))


def listing(dir):
    found = []
    for base, _, files in os.walk(dir):
        for f in files:
            path = os.path.join(base, f)
            found.append([os.path.relpath(path, dir), os.path.getsize(path)])
    return sorted(found)
