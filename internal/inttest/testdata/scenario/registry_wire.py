"""The registry by bare requests, as other clients and the UI send them."""

import json

import mlflow
from mlflow import MlflowClient

from .wire import _sorted

API = "/api/2.0/mlflow"
AJAX = "/ajax-api/2.0/mlflow"
MODEL = f"{API}/registered-models"
VERSION = f"{API}/model-versions"
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "mlflow.prompt.text", "value": "Hello {{x}}"}]


def play(t):
    c = MlflowClient()
    exp = t.name(mlflow.set_experiment("registry wire").experiment_id, "experiment registry wire")
    run = t.name(c.create_run(exp, run_name="wire").info.run_id, "run wire")
    c.log_text(run, "<b>hi</b>", "m/page.html")
    c.log_text(run, "flavors: {}\n", "m/MLmodel")
    c.log_text(run, "secret of the run", "secret.txt")
    where = c.get_run(run).info.artifact_uri
    models(t)
    versions(t, run, where)
    aliases(t)
    stages(t)
    searches(t)
    files(t, where)
    graphql(t, run)
    prompts(t)
    deletions(t)


def models(t):
    h = t.http
    h("create", "POST", f"{MODEL}/create", {"name": "bare", "tags": [{"key": "a", "value": "1"}, {"key": "b"}], "description": "d"})
    h("create again", "POST", f"{MODEL}/create", {"name": "bare"})
    h("create, ajax", "POST", f"{AJAX}/registered-models/create", {"name": "by ajax"}, show=lambda b: sorted(b["registered_model"]))
    for name, body in {
        "nothing": {}, "null": {"name": None}, "number": {"name": 5}, "list": {"name": ["x"]}, "tags as text": {"name": "t1", "tags": "a"}, "tags as object": {"name": "t2", "tags": {"a": "b"}}, "tag without key": {"name": "t3", "tags": [{"value": "x"}]}, "tag number": {"name": "t4", "tags": [{"key": "a", "value": 1}]},
        "tag twice": {"name": "t5", "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, "unknown field": {"name": "t6", "nope": [1]}, "empty name": {"name": ""}, "blank name": {"name": " "}, "description number": {"name": "t7", "description": 7}, "job": {"name": "t8", "deployment_job_id": "j"},
    }.items():
        h(f"create {name}", "POST", f"{MODEL}/create", body, show=lambda b: [b["registered_model"]["name"], b["registered_model"].get("tags")])
    h("get", "GET", f"{MODEL}/get?name=bare")
    h("get by body", "GET", f"{MODEL}/get", {"name": "bare"}, show=lambda b: b["registered_model"]["name"])
    h("get nothing", "GET", f"{MODEL}/get")
    h("get empty", "GET", f"{MODEL}/get?name=")
    h("get unknown", "GET", f"{MODEL}/get?name=nobody")
    h("get by post", "POST", f"{MODEL}/get", {"name": "bare"})
    h("get twice", "GET", f"{MODEL}/get?name=bare&name=nobody", show=lambda b: b["registered_model"]["name"])
    h("update", "PATCH", f"{MODEL}/update", {"name": "bare", "description": "new"}, show=lambda b: b["registered_model"]["description"])
    h("update by post", "POST", f"{MODEL}/update", {"name": "bare", "description": "new"})
    h("update nothing", "PATCH", f"{MODEL}/update", {"name": "bare"}, show=lambda b: b["registered_model"].get("description"))
    h("update without name", "PATCH", f"{MODEL}/update", {"description": "x"})
    h("update unknown", "PATCH", f"{MODEL}/update", {"name": "nobody", "description": "x"})
    h("rename", "POST", f"{MODEL}/rename", {"name": "by ajax", "new_name": "renamed bare"})
    h("rename without new", "POST", f"{MODEL}/rename", {"name": "bare"})
    h("rename to taken", "POST", f"{MODEL}/rename", {"name": "renamed bare", "new_name": "bare"})
    h("rename to itself", "POST", f"{MODEL}/rename", {"name": "bare", "new_name": "bare"}, show=lambda b: b["registered_model"]["name"])
    h("set tag", "POST", f"{MODEL}/set-tag", {"name": "bare", "key": "c", "value": "3"})
    h("set tag without value", "POST", f"{MODEL}/set-tag", {"name": "bare", "key": "d"})
    h("set tag without key", "POST", f"{MODEL}/set-tag", {"name": "bare", "value": "3"})
    h("set tag of unknown", "POST", f"{MODEL}/set-tag", {"name": "nobody", "key": "c", "value": "3"})
    h("delete tag", "DELETE", f"{MODEL}/delete-tag", {"name": "bare", "key": "c"})
    h("delete tag without key", "DELETE", f"{MODEL}/delete-tag", {"name": "bare"})
    h("delete tag by query", "DELETE", f"{MODEL}/delete-tag?name=bare&key=d")
    h("tags then", "GET", f"{MODEL}/get?name=bare", show=lambda b: sorted((x["key"], x.get("value")) for x in b["registered_model"]["tags"]))


def versions(t, run, where):
    h = t.http
    h("version", "POST", f"{VERSION}/create", {"name": "bare", "source": f"{where}/m", "run_id": run, "tags": [{"key": "v", "value": "1"}, {"key": "w"}], "run_link": "https://example.org", "description": "d"})
    h("version, ajax", "POST", f"{AJAX}/model-versions/create", {"name": "bare", "source": f"{where}/m", "run_id": run}, show=lambda b: sorted(b["model_version"]))
    for name, body in {
        "nothing": {}, "without source": {"name": "bare"}, "without name": {"source": f"{where}/m"}, "source number": {"name": "bare", "source": 5}, "of unknown": {"name": "nobody", "source": f"{where}/m", "run_id": run}, "tags as text": {"name": "bare", "source": f"{where}/m", "run_id": run, "tags": "a"},
        "tag twice": {"name": "bare", "source": f"{where}/m", "run_id": run, "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, "absent files": {"name": "bare", "source": f"{where}/none", "run_id": run}, "whole run": {"name": "bare", "source": where, "run_id": run}, "run number": {"name": "bare", "source": f"{where}/m", "run_id": 5},
        "trailing slash": {"name": "bare", "source": f"{where}/m/", "run_id": run}, "empty run": {"name": "bare", "source": f"{where}/m", "run_id": ""},
    }.items():
        h(f"version {name}", "POST", f"{VERSION}/create", body, show=lambda b: [b["model_version"]["status"], b["model_version"].get("tags")])
    # Of a model that nothing below counts the versions of.
    for name, source in {"bucket": "s3://nobodys-bucket/model", "http": "http://127.0.0.1:9/model", "ftp": "ftp://127.0.0.1/model", "dbfs": "dbfs:/model", "hdfs": "hdfs://h/model", "made up scheme": "nope://h/model"}.items():
        h(f"version {name}", "POST", f"{VERSION}/create", {"name": "t6", "source": source, "run_id": run}, show=lambda b: [b["model_version"]["status"], b["model_version"]["source"]])
    h("version get", "GET", f"{VERSION}/get?name=bare&version=1")
    h("version get by body", "GET", f"{VERSION}/get", {"name": "bare", "version": "1"}, show=lambda b: b["model_version"]["version"])
    h("version get, ajax", "GET", f"{AJAX}/model-versions/get?name=bare&version=1", show=lambda b: b["model_version"]["version"])
    for name, query in {"nothing": "", "without version": "name=bare", "without name": "version=1", "word": "name=bare&version=one", "real": "name=bare&version=1.0", "signed": "name=bare&version=%2B1", "spaced": "name=bare&version=%201", "zeros": "name=bare&version=01", "zero": "name=bare&version=0", "negative": "name=bare&version=-1", "huge": "name=bare&version=99999999999999999999999", "underscore": "name=bare&version=1_0", "alias": "name=bare&version=@x", "unknown": "name=nobody&version=1"}.items():
        h(f"version get {name}", "GET", f"{VERSION}/get?{query}", show=lambda b: b["model_version"]["version"])
    h("version update", "PATCH", f"{VERSION}/update", {"name": "bare", "version": "1", "description": "new"}, show=lambda b: b["model_version"]["description"])
    h("version update nothing", "PATCH", f"{VERSION}/update", {"name": "bare", "version": "1"}, show=lambda b: b["model_version"].get("description"))
    h("version update number", "PATCH", f"{VERSION}/update", {"name": "bare", "version": 1, "description": "x"})
    h("version update without", "PATCH", f"{VERSION}/update", {"name": "bare"})
    h("version set tag", "POST", f"{VERSION}/set-tag", {"name": "bare", "version": "1", "key": "x", "value": "y"})
    h("version set tag without version", "POST", f"{VERSION}/set-tag", {"name": "bare", "key": "x", "value": "y"})
    h("version set tag without value", "POST", f"{VERSION}/set-tag", {"name": "bare", "version": "1", "key": "no value"})
    h("version delete tag", "DELETE", f"{VERSION}/delete-tag", {"name": "bare", "version": "1", "key": "x"})
    h("version delete tag without key", "DELETE", f"{VERSION}/delete-tag", {"name": "bare", "version": "1"})
    h("version download uri", "GET", f"{VERSION}/get-download-uri?name=bare&version=1")
    h("version download uri nothing", "GET", f"{VERSION}/get-download-uri")
    h("version download uri unknown", "GET", f"{VERSION}/get-download-uri?name=bare&version=99")
    h("version tags then", "GET", f"{VERSION}/get?name=bare&version=1", show=lambda b: sorted((x["key"], x.get("value")) for x in b["model_version"]["tags"]))


def aliases(t):
    h = t.http
    at = f"{MODEL}/alias"
    h("alias", "POST", at, {"name": "bare", "alias": "x", "version": "1"})
    h("alias by number", "POST", at, {"name": "bare", "alias": "y", "version": 1})
    h("alias get", "GET", f"{at}?name=bare&alias=x", show=lambda b: [b["model_version"]["version"], sorted(b["model_version"]["aliases"])])
    h("alias get, ajax", "GET", f"{AJAX}/registered-models/alias?name=bare&alias=x", show=lambda b: b["model_version"]["version"])
    h("alias in model", "GET", f"{MODEL}/get?name=bare", show=lambda b: sorted((a["alias"], a["version"]) for a in b["registered_model"]["aliases"]))
    for name, body in {"nothing": {}, "without version": {"name": "bare", "alias": "z"}, "without alias": {"name": "bare", "version": "1"}, "without name": {"alias": "z", "version": "1"}, "latest": {"name": "bare", "alias": "latest", "version": "1"}, "v1": {"name": "bare", "alias": "v1", "version": "1"}, "slash": {"name": "bare", "alias": "a/b", "version": "1"}, "at": {"name": "bare", "alias": "a@b", "version": "1"}, "break": {"name": "bare", "alias": "a\n", "version": "1"}, "long": {"name": "bare", "alias": "x" * 256, "version": "1"}, "unknown version": {"name": "bare", "alias": "z", "version": "99"}, "bad version": {"name": "bare", "alias": "z", "version": "one"}}.items():
        h(f"alias {name}", "POST", at, body)
    h("alias get nothing", "GET", at)
    h("alias get unknown", "GET", f"{at}?name=bare&alias=nobody")
    h("alias get of unknown", "GET", f"{at}?name=nobody&alias=x")
    h("alias delete", "DELETE", at, {"name": "bare", "alias": "y"})
    h("alias delete again", "DELETE", at, {"name": "bare", "alias": "y"})
    h("alias delete nothing", "DELETE", at, {})
    h("alias put", "PUT", at, {"name": "bare", "alias": "y", "version": "1"})


def stages(t):
    h = t.http
    at = f"{VERSION}/transition-stage"
    for name, body in {
        "": {"stage": "Staging", "archive_existing_versions": False}, "archive": {"stage": "staging", "archive_existing_versions": True}, "without stage": {"archive_existing_versions": False}, "without archive": {"stage": "Production"}, "archive as text": {"stage": "Production", "archive_existing_versions": "yes"}, "archive of archived": {"stage": "Archived", "archive_existing_versions": True},
        "bad": {"stage": "Testing", "archive_existing_versions": False}, "number": {"stage": 1, "archive_existing_versions": False}, "internal": {"stage": "Deleted_Internal", "archive_existing_versions": False}, "none": {"stage": "none", "archive_existing_versions": False},
    }.items():
        h(f"stage {name}", "POST", at, {"name": "bare", "version": "1", **body}, show=lambda b: b["model_version"]["current_stage"])
    h("stage of unknown", "POST", at, {"name": "bare", "version": "99", "stage": "Staging", "archive_existing_versions": False})
    shown = lambda b: sorted([v["version"], v["current_stage"]] for v in b.get("model_versions", []))
    h("latest", "POST", f"{MODEL}/get-latest-versions", {"name": "bare"}, show=shown)
    h("latest by get", "GET", f"{MODEL}/get-latest-versions?name=bare", show=shown)
    h("latest by get, stages", "GET", f"{MODEL}/get-latest-versions?name=bare&stages=None&stages=Production", show=shown)
    h("latest of stages", "POST", f"{MODEL}/get-latest-versions", {"name": "bare", "stages": ["production", "NONE"]}, show=shown)
    h("latest of text", "POST", f"{MODEL}/get-latest-versions", {"name": "bare", "stages": "None"})
    h("latest of nothing", "POST", f"{MODEL}/get-latest-versions", {})


def searches(t):
    h = t.http
    names = lambda b: [sorted(b), [m["name"] for m in b.get("registered_models", [])], bool(b.get("next_page_token"))]
    numbers = lambda b: [sorted(b), [v["name"] + "/" + v["version"] for v in b.get("model_versions", [])], bool(b.get("next_page_token"))]
    h("search models", "GET", f"{MODEL}/search?filter=name%20LIKE%20%27%25bare%27&order_by=name%20DESC&max_results=10", show=names)
    h("search models, ajax", "GET", f"{AJAX}/registered-models/search?filter=name%20%3D%20%27bare%27", show=names)
    h("search models by body", "GET", f"{MODEL}/search", {"filter": "name = 'bare'"}, show=names)
    h("search models by post", "POST", f"{MODEL}/search", {"filter": "name = 'bare'"})
    h("search models none", "GET", f"{MODEL}/search?filter=name%20%3D%20%27nobody%27", show=lambda b: b)
    h("search models page", "GET", f"{MODEL}/search?max_results=1&order_by=name", show=lambda b: [len(b["registered_models"]), bool(b["next_page_token"])])
    for name, query in {"max word": "max_results=many", "max real": "max_results=1.5", "max huge": "max_results=2147483648", "max negative": "max_results=-5", "max empty": "max_results=", "token bad": "page_token=%21", "order bad": "order_by=nope", "order twice": "order_by=name&order_by=timestamp", "filter bad": "filter=%27", "unknown": "nope=1"}.items():
        h(f"search models {name}", "GET", f"{MODEL}/search?{query}", show=lambda b: len(b["registered_models"]) > 0)
        h(f"search versions {name}", "GET", f"{VERSION}/search?{query}", show=lambda b: len(b["model_versions"]) > 0)
    h("search versions", "GET", f"{VERSION}/search?filter=name%20%3D%20%27bare%27%20and%20version_number%20%3C%203&order_by=version_number%20DESC", show=numbers)
    h("search versions, ajax", "GET", f"{AJAX}/model-versions/search?filter=name%20%3D%20%27bare%27%20and%20version_number%20%3D%201", show=lambda b: [{k: v for k, v in x.items() if k != "tags"} for x in b["model_versions"]])
    h("search versions none", "GET", f"{VERSION}/search?filter=name%20%3D%20%27nobody%27", show=lambda b: b)
    h("search versions by post", "POST", f"{VERSION}/search", {"filter": "name = 'bare'"})


def files(t, where):
    h = t.http
    keep = ("Content-Type", "Content-Disposition", "X-Content-Type-Options", "X-Frame-Options")
    at = "/model-versions/get-artifact"
    h("file", "GET", f"{at}?name=bare&version=1&path=page.html", keep_headers=keep)
    h("file MLmodel", "GET", f"{at}?name=bare&version=1&path=MLmodel", keep_headers=keep)
    h("file absent", "GET", f"{at}?name=bare&version=1&path=none")
    h("file without path", "GET", f"{at}?name=bare&version=1")
    h("file of folder", "GET", f"{at}?name=bare&version=1&path=.")
    h("file of unknown", "GET", f"{at}?name=bare&version=99&path=page.html")
    h("file of unknown model", "GET", f"{at}?name=nobody&version=1&path=page.html")
    h("file without model", "GET", f"{at}?version=1&path=page.html")
    h("file by post", "POST", f"{at}?name=bare&version=1&path=page.html", {})
    for path in ["../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%252e%252e%252fsecret.txt", "/etc/passwd", "/etc/passwd%00.txt", "C:%5Cx", "..%5Csecret.txt", "x%23y", "file:///etc/passwd", "file://a%23/..//tmp", "m/../../secret.txt", "./page.html"]:
        h(f"file at {path}", "GET", f"{at}?name=bare&version=1&path={path}")


def prompts(t):
    h = t.http
    h("prompt", "POST", f"{MODEL}/create", {"name": "ask", "tags": PROMPT[:1]})
    h("prompt over model", "POST", f"{MODEL}/create", {"name": "bare", "tags": PROMPT[:1]})
    h("model over prompt", "POST", f"{MODEL}/create", {"name": "ask"})
    h("prompt version", "POST", f"{VERSION}/create", {"name": "ask", "source": "prompt-template", "tags": PROMPT})
    h("prompt version dummy", "POST", f"{VERSION}/create", {"name": "ask", "source": "dummy-source", "tags": PROMPT}, show=lambda b: b["model_version"]["source"])
    h("prompt version false", "POST", f"{VERSION}/create", {"name": "ask", "source": "dummy-source", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "false"}]})
    h("prompt version untagged", "POST", f"{VERSION}/create", {"name": "ask", "source": "dummy-source"})
    h("prompt version of model", "POST", f"{VERSION}/create", {"name": "bare", "source": "dummy-source", "tags": PROMPT}, show=lambda b: b["model_version"]["source"])
    h("prompt get", "GET", f"{VERSION}/get?name=ask&version=1")
    h("prompt alias", "POST", f"{MODEL}/alias", {"name": "ask", "alias": "x", "version": "1"})
    h("prompt by alias", "GET", f"{MODEL}/alias?name=ask&alias=x", show=lambda b: b["model_version"]["version"])
    h("prompt download uri", "GET", f"{VERSION}/get-download-uri?name=ask&version=1")
    h("prompt file", "GET", "/model-versions/get-artifact?name=ask&version=1&path=x")
    h("prompt not in search", "GET", f"{MODEL}/search?filter=name%20%3D%20%27ask%27", show=lambda b: b)
    tag = "tags.%60mlflow.prompt.is_prompt%60"
    h("prompt in search", "GET", f"{MODEL}/search?filter=name%20%3D%20%27ask%27%20AND%20{tag}%20%3D%20%27true%27", show=lambda b: [m["name"] for m in b["registered_models"]])
    h("prompt versions in search", "GET", f"{VERSION}/search?filter=name%20%3D%20%27ask%27%20AND%20{tag}%20%3D%20%27true%27", show=lambda b: sorted(v["version"] for v in b["model_versions"]))
    h("prompt tag taken", "DELETE", f"{MODEL}/delete-tag", {"name": "ask", "key": "mlflow.prompt.is_prompt"})
    h("prompt tag given", "POST", f"{MODEL}/set-tag", {"name": "renamed bare", "key": "mlflow.prompt.is_prompt", "value": "true"})


def graphql(t, run):
    query = "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { modelVersions { name version status source } } } }"
    t.http("graphql versions of run", "POST", "/graphql", {"operationName": "GetRun", "query": query, "variables": {"data": {"runId": run}}}, show=lambda b: _sorted([v for v in b["data"]["mlflowGetRun"]["run"]["modelVersions"] if v["version"] == "1"]))
    query = "query GetModelVersions($data: MlflowSearchModelVersionsInput!) { mlflowSearchModelVersions(input: $data) { apiError { code message } modelVersions { name version status source } } }"
    t.http("graphql search versions", "POST", "/graphql", {"operationName": "GetModelVersions", "query": query, "variables": {"data": {"filter": "name = 'bare' and version_number = 1"}}}, show=_sorted)


def deletions(t):
    h = t.http
    h("delete version", "DELETE", f"{VERSION}/delete", {"name": "bare", "version": "1"})
    h("delete version number", "DELETE", f"{VERSION}/delete", {"name": "bare", "version": 2})
    h("delete version again", "DELETE", f"{VERSION}/delete", {"name": "bare", "version": "1"})
    h("delete version without", "DELETE", f"{VERSION}/delete", {"name": "bare"})
    h("delete version by post", "POST", f"{VERSION}/delete", {"name": "bare", "version": "1"})
    h("deleted version", "GET", f"{VERSION}/get?name=bare&version=1")
    h("deleted version's alias", "GET", f"{MODEL}/get?name=bare", show=lambda b: b["registered_model"].get("aliases"))
    h("deleted version's file", "GET", "/model-versions/get-artifact?name=bare&version=1&path=page.html")
    h("delete", "DELETE", f"{MODEL}/delete", {"name": "bare"})
    h("delete again", "DELETE", f"{MODEL}/delete", {"name": "bare"})
    h("delete nothing", "DELETE", f"{MODEL}/delete", {})
    h("delete by query", "DELETE", f"{MODEL}/delete?name=renamed%20bare")
    h("deleted", "GET", f"{MODEL}/get?name=bare")
    h("wrong verb", "GET", f"{MODEL}/create")
    h("unknown", "GET", f"{MODEL}/nothing")
    h("body not json", "POST", f"{MODEL}/create", None, data="{", headers={"Content-Type": "application/json"})
    h("body plain text", "POST", f"{MODEL}/create", None, data=json.dumps({"name": "as text"}), headers={"Content-Type": "text/plain"})
    h("body duplicate key", "POST", f"{MODEL}/create", None, data='{"name":"one","name":"two"}', headers={"Content-Type": "application/json"})
