"""search_runs: the filter grammar, orders, pages, and the DataFrame."""

import math

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("search").experiment_id
    t.name(exp, "experiment search")
    at = 1700000000000
    # name, status, metrics, params, tags, user
    data = [
        ("ant", "FINISHED", {"auc": 0.5, "m/x": 1.0, "z": 1}, {"lr": "0.1", "model": "tree", "a b": "1"}, {"team": "red", "v.1": "x"}),
        ("Bee", "FAILED", {"auc": 0.75, "z": math.nan}, {"lr": "0.2", "model": "Tree"}, {"team": "blue"}),
        ("cat", "RUNNING", {"auc": 0.75}, {"lr": "0.2", "model": "forest 100%"}, {"team": "RED"}),
        ("dog", "KILLED", {"auc": 1.0, "z": math.inf}, {"model": "a_b"}, {}),
        ("elk", "FINISHED", {"z": -math.inf}, {"model": ""}, {"team": ""}),
        ("fox's", "FINISHED", {"auc": -1.5e-3, "z": 0.0}, {"lr": "1"}, {"team": "gr\"een"}),
    ]
    for i, (name, status, metrics, params, tags) in enumerate(data):
        run = c.create_run(exp, run_name=name, start_time=at + i // 2, tags={"mlflow.user": f"u{i % 2}"})
        id = t.name(run.info.run_id, f"run {name}")
        c.log_batch(id, [Metric(k, float(v), at, 0) for k, v in metrics.items()], [Param(*p) for p in params.items()], [RunTag(*g) for g in tags.items()])
        if status != "RUNNING":
            c.set_terminated(id, status, end_time=at + 1000 + i)
    ids = {r.info.run_name: r.info.run_id for r in c.search_runs([exp])}

    def names(f="", order=("attributes.run_name",), **kw):
        page = c.search_runs([exp], f, order_by=list(order), **kw)
        return {"names": [r.info.run_name for r in page], "more": bool(page.token)}

    t.name(ids["cat"][:20], "beginning of run cat")
    filters = [
        "metrics.auc > 0.5", "metrics.auc >= 0.5", "metrics.auc < 0.75", "metrics.auc <= 0.75", "metrics.auc = 0.75", "metrics.auc != 0.75", "metric.auc = 1", "metrics.auc > -1.5E-2",
        "metrics.`m/x` = 1", 'metrics."m/x" = 1', "metrics.z > 0", "metrics.z < 0", "metrics.z = 0", "metrics.none > 0", "metrics.auc > '0.5'", "metrics.auc LIKE 'x'", "metrics.auc",
        "params.lr = '0.2'", "param.lr = '0.2'", "parameter.lr = '0.2'", "parameters.lr = '0.2'", "params.lr != '0.2'", 'params.lr = "0.1"', "params.model LIKE 'tr%'", "params.model LIKE '%ree'", "params.model ILIKE 'TREE'",
        "params.model LIKE 'a_b'", "params.model LIKE '%100%'", "params.model = ''", "params.`a b` = '1'", "params.lr IS NULL", "params.lr IS NOT NULL", "params.lr > '0.1'", "params.lr = 0.1", "params.lr IN ('0.1', '1')",
        "tags.team = 'red'", "tag.team = 'red'", "tags.team != 'red'", "tags.team ILIKE 'red'", "tags.team = ''", "tags.`v.1` = 'x'", "tags.v.1 = 'x'", "tags.team IS NULL", "tags.team IS NOT NULL", "tags.team = 'gr\"een'",
        "tags.mlflow.user = 'u1'", "tags.mlflow.runName = 'cat'", "tags.\"mlflow.runName\" LIKE '%o%'",
        "attributes.status = 'FINISHED'", "status = 'FINISHED'", "attribute.status != 'FINISHED'", "attr.status = 'RUNNING'", "run.status = 'RUNNING'", "attributes.status = 'finished'", "status ILIKE 'fin%'", "attributes.status IN ('FAILED')",
        "attributes.run_name = 'ant'", "run_name LIKE 'B%'", "run_name ILIKE 'b%'", "attributes.`run name` = 'cat'", "run_name = \"fox's\"", "run_name = 'fox''s'", "run_name != 'ant'",
        f"attributes.run_id = '{ids['cat']}'", f"run_id IN ('{ids['cat']}', '{ids['dog']}')", f"run_id NOT IN ('{ids['cat']}', '{ids['dog']}')", "run_id IN ('x')", "run_id IN ()", f"run_id LIKE '{ids['cat'][:20]}%'",
        f"attributes.start_time >= {at + 1}", f"start_time = {at}", f"attributes.end_time > {at + 1003}", f"end_time < {at + 1003}", f"attributes.created > {at}", "start_time = '1'", "start_time LIKE '1'",
        "user_id = 'nobody'", "attributes.artifact_uri LIKE '%artifacts'", "attributes.nope = 'x'", "lifecycle_stage = 'active'",
        "metrics.auc > 0.5 AND params.lr = '0.2'", "metrics.auc > 0.5 and tags.team = 'blue' AND status = 'FAILED'", "metrics.auc > 0.4 AND metrics.auc < 0.8", "metrics.auc > 0.5 OR metrics.auc < 0", "(metrics.auc > 0.5)", "NOT metrics.auc > 0.5",
        "metrics.auc > 0.5 AND", "AND", "metrics.auc >", "= 3", "metrics.auc > 0.5 metrics.auc < 1", "metrics.auc > abc", "params.lr = 'unclosed", "nope.key = 'x'", "metrics. > 3", "  ", "metrics.auc   >   0.5", "METRICS.auc > 0.5", "params.lr = '0.1';",
        "params.lr like '0.%'", "params.lr is null", "tags.team Is Not Null", "metrics.auc > 1e-400", "metrics.auc < 1e400", "metrics.auc == 1", "params.lr <> '0.1'", "start_time > 1.5", "metrics.auc IS NULL",
    ]
    for f in filters:
        t.step(f"filter {f}", lambda: names(f))
    for o in [
        ["metrics.auc"], ["metrics.auc DESC"], ["metrics.z ASC"], ["metrics.z DESC"], ["params.lr", "run_name DESC"], ["params.lr DESC"], ["tags.team"], ["tags.team DESC", "metrics.auc ASC"], ["attributes.start_time", "run_name"], ["start_time DESC", "run_name"],
        ["end_time"], ["attributes.end_time DESC"], ["status", "run_name"], ["run_name DESC"], ["attribute.run_name asc"], ["metrics.`m/x`", "run_name"], ["metrics.none", "run_name"], ["params.\"a b\"", "run_name"],
        ["Created", "run_name"], ["created DESC", "run_name"], ["Run Name"], ["run.run_name"], ["dataset.name"], ["nope"], ["metrics.auc sideways"], ["metrics"], [""], ["metrics.auc", "metrics.auc"], ["metrics.auc ASC", "metrics.auc DESC"],
        ["tags.mlflow.runName"], ["user_id", "run_name"],
    ]:
        t.step(f"order {o}", lambda: names(order=o))
    t.step("default order", lambda: sorted(names(order=())["names"]))

    def paged(size, **kw):
        got, token, pages = [], None, 0
        while True:
            page = c.search_runs([exp], "", max_results=size, order_by=["metrics.auc DESC", "run_name"], page_token=token)
            got += [r.info.run_name for r in page]
            pages, token = pages + 1, page.token
            if not token:
                return {"names": got, "pages": pages}

    for size in (1, 2, 4, 5):
        t.step(f"pages of {size}", lambda: paged(size))
    t.step("page exactly full", lambda: names(max_results=6))
    t.step("page of 0", lambda: names(max_results=0))
    t.step("page too large", lambda: names(max_results=50001))
    t.step("page largest", lambda: names(max_results=50000))
    t.step("bad token", lambda: names(page_token="bad token"))
    t.step("no experiments", lambda: len(c.search_runs([])))
    t.step("unknown experiment", lambda: len(c.search_runs(["424242"])))
    t.step("unknown among", lambda: len(c.search_runs([exp, "424242"])))
    c.delete_run(ids["ant"])
    t.step("active", lambda: names())
    t.step("deleted only", lambda: names(run_view_type=ViewType.DELETED_ONLY))
    t.step("all", lambda: names(run_view_type=ViewType.ALL))
    c.restore_run(ids["ant"])

    def frame():
        df = mlflow.search_runs([exp], "metrics.auc >= 0.5", order_by=["metrics.auc DESC", "attributes.run_name"])
        df = df[sorted(set(df.columns) - {"experiment_id"})]
        return {"columns": list(df.columns), "types": [str(x) for x in df.dtypes], "rows": [[None if v != v else v for v in row] for row in df.astype(object).values.tolist()]}

    t.step("frame", frame)
    t.step("frame by names", lambda: sorted(mlflow.search_runs(experiment_names=["search", "absent"])["tags.mlflow.runName"]))
    t.step("frame of all", lambda: len(mlflow.search_runs(search_all_experiments=True, filter_string="metrics.auc = 0.5")))
    t.step("list", lambda: [r.info.run_name for r in mlflow.search_runs([exp], output_format="list", order_by=["run_name"])])
    t.step("empty frame", lambda: list(mlflow.search_runs([exp], "metrics.auc > 99").columns))
