"""What no Python call shows: bare requests, as other clients and the UI send them."""

import gzip
import json

import mlflow
from mlflow import MlflowClient

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("wire").experiment_id
    t.name(exp, "experiment wire")
    run = t.name(c.create_run(exp, run_name="wire", start_time=1700000000000).info.run_id, "run wire")
    # What a server may take only in part goes to a run that nobody reads again.
    scrap = t.name(c.create_run(exp, run_name="scrap").info.run_id, "run scrap")
    h = t.http
    h("health", "GET", "/health")
    h("server info", "GET", "/api/3.0/mlflow/server-info", show=lambda b: sorted(b))
    h("get run", "GET", f"{API}/runs/get?run_id={run}")
    h("get run by uuid", "GET", f"{API}/runs/get?run_uuid={run}", show=lambda b: b["run"]["info"]["run_name"])
    h("get run by body", "GET", f"{API}/runs/get", {"run_id": run}, show=lambda b: b["run"]["info"]["run_name"])
    h("get run, ajax", "GET", f"{AJAX}/runs/get?run_id={run}", show=lambda b: b["run"]["info"]["run_name"])
    h("get experiment", "GET", f"{API}/experiments/get?experiment_id={exp}")
    h("unknown path", "GET", "/api/2.0/mlflow/nothing/here")
    h("wrong verb", "GET", f"{API}/runs/create")
    h("wrong verb put", "PUT", f"{API}/runs/create", {})
    requests(t, exp, run, scrap)
    values(t, exp, run, scrap)
    searches(t, exp)
    bodies(t, exp, run, scrap)
    artifacts(t, c, exp, run)
    traces(t, exp)
    graphql(t, exp, run)
    models(t, exp, run)


def requests(t, exp, run, scrap):
    h = t.http
    for name, path, body in [
        ("create run without experiment", "runs/create", {}), ("create run numeric experiment", "runs/create", {"experiment_id": 0, "run_name": "n"}), ("log metric without key", "runs/log-metric", {"run_id": run, "value": 1, "timestamp": 1}),
        ("log metric without value", "runs/log-metric", {"run_id": run, "key": "a", "timestamp": 1}), ("log metric without timestamp", "runs/log-metric", {"run_id": run, "key": "a", "value": 1}), ("log metric without run", "runs/log-metric", {"key": "a", "value": 1, "timestamp": 1}),
        ("log metric text timestamp", "runs/log-metric", {"run_id": run, "key": "text ts", "value": "2.5", "timestamp": "1700000000000", "step": "4"}), ("log metric negative timestamp", "runs/log-metric", {"run_id": run, "key": "a", "value": 1, "timestamp": -1}),
        ("log metric real step", "runs/log-metric", {"run_id": scrap, "key": "a", "value": 1, "timestamp": 1, "step": 1.5}), ("log metric by uuid", "runs/log-metric", {"run_uuid": run, "key": "by uuid", "value": 1, "timestamp": 1}), ("log metric null step", "runs/log-metric", {"run_id": run, "key": "null step", "value": 1, "timestamp": 1, "step": None}),
        ("log metric true", "runs/log-metric", {"run_id": scrap, "key": "a", "value": True, "timestamp": 1}), ("log param without key", "runs/log-parameter", {"run_id": run, "value": "x"}), ("log param without value", "runs/log-parameter", {"run_id": run, "key": "no value"}), ("log param numeric", "runs/log-parameter", {"run_id": run, "key": "a", "value": 1}),
        ("set tag without key", "runs/set-tag", {"run_id": run, "value": "x"}), ("unknown field", "runs/set-tag", {"run_id": run, "key": "k", "value": "x", "nope": [1, {"a": 2}]}), ("delete tag unknown", "runs/delete-tag", {"run_id": run, "key": "nope"}), ("update status number", "runs/update", {"run_id": run, "status": 3}),
        ("update status bogus", "runs/update", {"run_id": scrap, "status": "BOGUS"}), ("update nothing", "runs/update", {"run_id": run}), ("update end", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": 1700000009000}),
        ("experiment without name", "experiments/create", {}), ("experiment bad name", "experiments/create", {"name": 5}), ("experiment long name", "experiments/create", {"name": "n" * 501}), ("experiment tag long", "experiments/set-experiment-tag", {"experiment_id": exp, "key": "k", "value": "v" * 5001}),
        ("delete without id", "experiments/delete", {}), ("restore active", "experiments/restore", {"experiment_id": exp}), ("location http", "experiments/create", {"name": "loc1", "artifact_location": "http:///#/../../etc/"}), ("location query", "experiments/create", {"name": "loc2", "artifact_location": "s3://b/?/../../etc/"}),
        ("location fragment", "experiments/create", {"name": "loc3", "artifact_location": "s3://b/x#y"}), ("location up", "experiments/create", {"name": "loc4", "artifact_location": "s3://b/../x"}), ("location runs", "experiments/create", {"name": "loc5", "artifact_location": "runs:/x"}),
        ("log inputs without run", "runs/log-inputs", {}), ("log inputs bad", "runs/log-inputs", {"run_id": scrap, "datasets": [{"dataset": {"name": "scrap"}}]}), ("log inputs", "runs/log-inputs", {"run_id": run, "datasets": [{"tags": [{"key": "mlflow.data.context", "value": "train"}], "dataset": {"name": "n", "digest": "d", "source_type": "local", "source": "{}"}}]}),
        ("log inputs digest long", "runs/log-inputs", {"run_id": scrap, "datasets": [{"dataset": {"name": "scrap", "digest": "d" * 37, "source_type": "local", "source": "{}"}}]}), ("log model", "runs/log-model", {"run_id": run, "model_json": json.dumps({"artifact_path": "m", "flavors": {"x": {}}, "utc_time_created": "t", "run_id": run})}),
        ("log model bad", "runs/log-model", {"run_id": run, "model_json": "{"}), ("log model without", "runs/log-model", {"run_id": run}),
    ]:
        h(name, "POST", f"{API}/{path}", body, show=lambda b: sorted(b))
    h("run then", "GET", f"{API}/runs/get?run_id={run}", show=lambda b: [b["run"]["info"]["status"], sorted((m["key"], m["value"], m["step"]) for m in b["run"]["data"].get("metrics", [])), b["run"]["data"].get("params"), b["run"].get("inputs")])
    h("search datasets", "POST", f"{AJAX}/experiments/search-datasets", {"experiment_ids": [exp]}, show=lambda b: [d for d in b["dataset_summaries"] if d["name"] != "scrap"])
    h("search datasets of none", "POST", f"{AJAX}/experiments/search-datasets", {"experiment_ids": []})


def values(t, exp, run, scrap):
    h = t.http
    for name, value in {"NaN text": "NaN", "Infinity text": "Infinity", "minus text": "-Infinity", "inf text": "inf", "nan text": "nan", "empty text": "", "word": "word", "list": [1], "null": None, "exponent": "1e3"}.items():
        h(f"value {name}", "POST", f"{API}/runs/log-metric", {"run_id": scrap if name in ("inf text", "nan text") else run, "key": f"v {name}", "value": value, "timestamp": 1})
    for name, raw in {"NaN bare": "NaN", "Infinity bare": "Infinity", "1e400": "1e400", "long": "1" * 400, "hex": "0x10", "leading zero": "01"}.items():
        h(f"value {name}", "POST", f"{API}/runs/log-metric", None, data=f'{{"run_id":"{scrap}","key":"v {name}","value":{raw},"timestamp":1}}', headers={"Content-Type": "application/json"})
    h("values then", "GET", f"{API}/runs/get?run_id={run}", show=lambda b: sorted((m["key"], m["value"]) for m in b["run"]["data"].get("metrics", []) if m["key"].startswith("v ")))
    many = lambda n, **kw: [{"key": f"k{i}", "value": 1, "timestamp": 1, **kw} for i in range(n)]
    pairs = lambda n: [{"key": f"k{i}", "value": "v"} for i in range(n)]
    for name, body in {
        "1000 metrics": {"metrics": many(1000)}, "1001 metrics": {"metrics": many(1001)}, "101 params": {"params": pairs(101)}, "101 tags": {"tags": pairs(101)}, "1001 in all": {"metrics": many(950), "params": pairs(51)}, "param twice": {"params": [{"key": "d", "value": "1"}, {"key": "d", "value": "1"}]},
        "param twice, other": {"params": [{"key": "d2", "value": "1"}, {"key": "d2", "value": "2"}]}, "metric without value": {"metrics": [{"key": "a", "timestamp": 1}]}, "metric without timestamp": {"metrics": [{"key": "a", "value": 1}]}, "metric of text": {"metrics": "abc"}, "metric bad value": {"metrics": [{"key": "a", "value": "x", "timestamp": 1}]},
        "param long": {"params": [{"key": "long", "value": "v" * 6001}]}, "tag long": {"tags": [{"key": "long", "value": "v" * 8001}]}, "key long": {"tags": [{"key": "k" * 251, "value": "v"}]}, "param without value": {"params": [{"key": "a"}]}, "tag without key": {"tags": [{"value": "a"}]},
        "name tag": {"tags": [{"key": "mlflow.runName", "value": "renamed by batch"}]},
    }.items():
        h(f"batch {name}", "POST", f"{API}/runs/log-batch", {"run_id": scrap if name == "metric bad value" else run, **body})
    h("batch without run", "POST", f"{API}/runs/log-batch", {"metrics": []})
    h("name after batch", "GET", f"{API}/runs/get?run_id={run}", show=lambda b: [b["run"]["info"]["run_name"], len(b["run"]["data"]["metrics"])])


def searches(t, exp):
    h = t.http
    h("search runs empty", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "filter": "tags.none = 'x'"})
    h("search runs view", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "run_view_type": "DELETED_ONLY"})
    h("search runs bad view", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "run_view_type": "NOPE"}, show=lambda b: sorted(b))
    h("search runs bad max", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "max_results": "many"})
    h("search runs negative max", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "max_results": -1})
    h("search runs huge max", "POST", f"{API}/runs/search", {"experiment_ids": [exp], "max_results": 2**31})
    h("search runs id of number", "POST", f"{API}/runs/search", {"experiment_ids": [0]})
    h("search runs id not a list", "POST", f"{API}/runs/search", {"experiment_ids": "0"})
    h("search experiments get", "GET", f"{API}/experiments/search?max_results=1&order_by=name&filter=name%20%3D%20%27wire%27", show=lambda b: [[e["name"] for e in b["experiments"]]])
    h("search experiments without max", "POST", f"{API}/experiments/search", {}, show=lambda b: [sorted(b), len(b["experiments"]) > 2])
    h("search experiments view", "GET", f"{API}/experiments/search?max_results=5&view_type=ALL", show=lambda b: len(b["experiments"]))
    h("get by name", "GET", f"{API}/experiments/get-by-name?experiment_name=wire", show=lambda b: sorted(b["experiment"]))
    h("get by name missing", "GET", f"{API}/experiments/get-by-name")
    h("get by unknown name", "GET", f"{API}/experiments/get-by-name?experiment_name=nobody")


def bodies(t, exp, run, scrap):
    h = t.http
    raw = lambda name, data, type="application/json", path="runs/set-tag": h(name, "POST", f"{API}/{path}", None, data=data, headers={"Content-Type": type})
    good = json.dumps({"run_id": run, "key": "body", "value": "x"})
    raw("body plain text", good, "text/plain")
    raw("body form", good, "application/x-www-form-urlencoded")
    raw("body charset", good, "application/json; charset=utf-8")
    raw("body empty", "")
    raw("body not json", "{")
    raw("body list", "[]")
    raw("body text", '"x"')
    raw("body null", "null")
    raw("body garbage after", good + "x")
    raw("body twice", good + good)
    raw("body not utf-8", b'{"run_id":"\xff"}')
    raw("body deep", "[" * 2000 + "]" * 2000)
    raw("body duplicate key", '{"run_id":"x","run_id":"%s","key":"dup","value":"y"}' % scrap)


def artifacts(t, c, exp, run):
    h = t.http
    c.log_text(run, "<b>hi</b>", "page.html")
    c.log_text(run, "{}", "dir/data.json")
    keep = ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "X-Frame-Options")
    h("get artifact", "GET", f"/get-artifact?run_id={run}&path=page.html", keep_headers=keep)
    h("get artifact by uuid", "GET", f"/get-artifact?run_uuid={run}&path=dir/data.json", keep_headers=keep)
    h("get artifact absent", "GET", f"/get-artifact?run_id={run}&path=none.txt")
    h("get artifact of folder", "GET", f"/get-artifact?run_id={run}&path=dir")
    h("get artifact without path", "GET", f"/get-artifact?run_id={run}")
    h("get artifact of unknown run", "GET", f"/get-artifact?run_id={'0' * 32}&path=a")
    for path in ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%252e%252e%252fetc", "/etc/passwd", "/etc/passwd%00.txt", "file://a%23/..//tmp", "C:%5Cx", "%5C..%5C..%5Cx", "dir/../page.html", "./page.html"]:
        h(f"get artifact at {path}", "GET", f"/get-artifact?run_id={run}&path={path}")
        h(f"list at {path}", "GET", f"{API}/artifacts/list?run_id={run}&path={path}")
    h("list", "GET", f"{API}/artifacts/list?run_id={run}")
    h("list folder", "GET", f"{API}/artifacts/list?run_id={run}&path=dir")
    h("list absent", "GET", f"{API}/artifacts/list?run_id={run}&path=none")
    h("list unknown run", "GET", f"{API}/artifacts/list?run_id={'0' * 32}")
    if t.root != "mlflow-artifacts:":
        return
    base = "/api/2.0/mlflow-artifacts/artifacts"
    h("proxy put", "PUT", f"{base}/{exp}/own/x.txt", None, data=b"bytes", show=lambda b: b)
    h("proxy get", "GET", f"{base}/{exp}/own/x.txt", keep_headers=keep)
    h("proxy get, ajax", "GET", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{exp}/own/x.txt")
    h("proxy list", "GET", f"{base}?path={exp}/own")
    h("proxy list absent", "GET", f"{base}?path={exp}/none")
    h("proxy get absent", "GET", f"{base}/{exp}/own/none.txt")
    h("proxy delete", "DELETE", f"{base}/{exp}/own/x.txt")
    h("proxy get deleted", "GET", f"{base}/{exp}/own/x.txt")
    h("proxy delete again", "DELETE", f"{base}/{exp}/own/x.txt")
    for path in ["..%2f..%2fetc/passwd", "%2E%2E%2Fetc", "%252e%252e%252fetc", "%2fetc%2fpasswd", "a%00b", "a%5C..%5C..%5Cb"]:
        for verb in ("GET", "PUT", "DELETE"):
            h(f"proxy {verb} at {path}", verb, f"{base}/{path}", None, data=b"x" if verb == "PUT" else None)
        h(f"proxy list at {path}", "GET", f"{base}?path={path}")
    h("presigned", "GET", f"/api/2.0/mlflow-artifacts/presigned/{exp}/own/x.txt")
    h("multipart create", "POST", f"/api/2.0/mlflow-artifacts/mpu/create/{exp}/own", {"path": "big.bin", "num_parts": 2})
    h("upload", "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=up/loaded.txt", None, data=b"loaded", headers={"Content-Type": "application/octet-stream"})
    h("uploaded", "GET", f"/get-artifact?run_id={run}&path=up/loaded.txt")
    h("upload without path", "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}", None, data=b"x")


def traces(t, exp):
    h = t.http
    h("otlp without experiment", "POST", "/v1/traces", {"resourceSpans": []})
    h("otlp unknown type", "POST", "/v1/traces", None, data=b"x", headers={"Content-Type": "text/plain", "x-mlflow-experiment-id": exp})
    h("otlp garbage", "POST", "/v1/traces", None, data=b"\xff\xff\xff", headers={"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": exp})
    h("otlp bad gzip", "POST", "/v1/traces", None, data=b"xxxx", headers={"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "x-mlflow-experiment-id": exp})
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "from otel", "kind": 2, "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001500000000", "attributes": [{"key": "http.route", "value": {"stringValue": "/x"}}, {"key": "n", "value": {"intValue": "7"}}, {"key": "ok", "value": {"boolValue": True}}, {"key": "f", "value": {"doubleValue": 1.5}}], "status": {"code": 1}}
    child = {**span, "spanId": "b7ad6b7169203332", "parentSpanId": "b7ad6b7169203331", "name": "child of otel", "status": {"code": 2, "message": "broke"}}
    body = {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": [span, child]}]}]}
    t.name("0af7651916cd43dd8448eb211c80319c", "otel trace sent")
    h("otlp json", "POST", "/v1/traces", body, headers={"x-mlflow-experiment-id": exp})
    h("otlp json gzip", "POST", "/v1/traces", None, data=gzip.compress(json.dumps(body).encode()), headers={"Content-Type": "application/json", "Content-Encoding": "gzip", "x-mlflow-experiment-id": exp})
    h("otlp binary", "POST", "/v1/traces", None, data=_protobuf(), headers={"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": exp})
    id = "tr-0af7651916cd43dd8448eb211c80319c"
    h("otel trace", "GET", f"/api/3.0/mlflow/traces/{id}")
    h("otel spans", "GET", f"/api/3.0/mlflow/traces/batchGet?trace_ids={id}")
    h("otel spans by get", "GET", f"/api/3.0/mlflow/traces/get?trace_id={id}&allow_partial=true", show=lambda b: sorted(b))
    h("batch get infos", "POST", "/api/3.0/mlflow/traces/batchGetInfos", {"trace_ids": [id, "tr-none"]})
    h("search", "POST", "/api/3.0/mlflow/traces/search", {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": exp}}], "max_results": 5, "order_by": ["timestamp_ms ASC"]}, show=lambda b: [[x["trace_id"], x["state"], x.get("request_preview")] for x in b["traces"]])
    h("search without location", "POST", "/api/3.0/mlflow/traces/search", {})
    h("get unknown", "GET", "/api/3.0/mlflow/traces/tr-" + "0" * 32)
    h("tag without key", "PATCH", f"/api/3.0/mlflow/traces/{id}/tags", {"value": "x"})
    h("delete without experiment", "POST", "/api/3.0/mlflow/traces/delete-traces", {"request_ids": [id]})
    h("count metric", "POST", "/api/3.0/mlflow/traces/metrics", {"experiment_ids": [exp], "view_type": "TRACES", "metric_name": "trace_count", "aggregations": [{"aggregation_type": "COUNT"}]})


def _protobuf():
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    data = TracesData()
    span = data.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex("1af7651916cd43dd8448eb211c80319c"), bytes.fromhex("c7ad6b7169203331"), "binary"
    span.start_time_unix_nano, span.end_time_unix_nano = 1700000002000000000, 1700000003000000000
    return data.SerializeToString()


def graphql(t, exp, run):
    h = t.http
    query = """query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { apiError { code message } run {
        info { runUuid runName status startTime endTime userId experimentId artifactUri lifecycleStage } experiment { experimentId name tags { key value } artifactLocation }
        data { params { key value } tags { key value } metrics { key value step timestamp } } inputs { datasetInputs { dataset { name digest profile schema source sourceType } tags { key value } } modelInputs { modelId } }
        outputs { modelOutputs { modelId step } } modelVersions { name version status source } } } }"""
    show = lambda b: {"errors": bool(b.get("errors")), "data": _sorted(b.get("data"))}
    h("graphql GetRun", "POST", "/graphql", {"operationName": "GetRun", "query": query, "variables": {"data": {"runId": run}}}, show=show)
    h("graphql unknown run", "POST", "/graphql", {"operationName": "GetRun", "query": query, "variables": {"data": {"runId": "0" * 32}}}, show=lambda b: [((b["data"] or {}).get("mlflowGetRun") or {}).get("run"), (((b["data"] or {}).get("mlflowGetRun") or {}).get("apiError") or {}).get("code")])
    h("graphql experiment", "POST", "/graphql", {"operationName": "MlflowGetExperimentQuery", "query": "query MlflowGetExperimentQuery($input: MlflowGetExperimentInput!) { mlflowGetExperiment(input: $input) { apiError { code message } experiment { artifactLocation creationTime experimentId lastUpdateTime lifecycleStage name tags { key value } } } }", "variables": {"input": {"experimentId": exp}}}, show=show)
    h("graphql search", "POST", "/graphql", {"operationName": "SearchRuns", "query": "query SearchRuns($data: MlflowSearchRunsInput!) { mlflowSearchRuns(input: $data) { apiError { code message } runs { info { runUuid runName } } } }", "variables": {"data": {"experimentIds": [exp], "filter": "tags.mlflow.parentRunId = 'x'"}}}, show=show)
    h("graphql garbage", "POST", "/graphql", {"query": "query {"}, show=lambda b: bool(b.get("errors")))


def _sorted(v):
    if isinstance(v, dict):
        return {k: _sorted(x) for k, x in v.items()}
    if isinstance(v, list):
        return sorted((_sorted(x) for x in v), key=lambda x: json.dumps(x, sort_keys=True))
    return v


def models(t, exp, run):
    h = t.http
    answer = h("create model", "POST", f"{API}/logged-models", {"experiment_id": exp, "name": "bare", "params": [{"key": "a", "value": "b"}], "tags": [{"key": "c", "value": "d"}]}, show=lambda b: (t.name(b["model"]["info"]["model_id"], "model bare"), b)[1])
    id = next((k for k, v in t.names.items() if v == "<model bare>"), "m-none")
    assert answer
    h("get model", "GET", f"{API}/logged-models/{id}")
    h("model outputs", "POST", f"{API}/runs/outputs", {"run_id": run, "models": [{"model_id": id, "step": 2}]})
    h("model outputs without run", "POST", f"{API}/runs/outputs", {"models": []})
    h("finalize bogus", "PATCH", f"{API}/logged-models/{id}", {"status": "BOGUS"})
    h("finalize", "PATCH", f"{API}/logged-models/{id}", {"status": "LOGGED_MODEL_READY"}, show=lambda b: b["model"]["info"]["status"])
    h("model folders", "GET", f"{API}/logged-models/{id}/artifacts/directories")
    h("model tags", "PATCH", f"{API}/logged-models/{id}/tags", {"tags": [{"key": "e", "value": "f"}]})
    h("model tags empty", "PATCH", f"{API}/logged-models/{id}/tags", {})
    h("search models", "POST", f"{API}/logged-models/search", {"experiment_ids": [exp]}, show=lambda b: [m["info"]["name"] for m in b["models"]])
    h("search models nowhere", "POST", f"{API}/logged-models/search", {})
    h("delete model", "DELETE", f"{API}/logged-models/{id}")
    h("get deleted model", "GET", f"{API}/logged-models/{id}")
