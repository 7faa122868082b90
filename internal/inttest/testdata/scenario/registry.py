"""The model registry: register, tag, alias, stage, search, load, delete, rename."""

import os
import tempfile
import warnings

import mlflow
import mlflow.sklearn
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression

warnings.filterwarnings("ignore")
REQUIREMENTS = ["scikit-learn"]


def play(t):
    c = MlflowClient()
    t.name(mlflow.set_experiment("registry").experiment_id, "experiment registry")
    x, y = make_regression(n_samples=40, n_features=3, random_state=7)
    model = LinearRegression().fit(x, y)
    same = lambda loaded: bool(np.allclose(loaded.predict(x), model.predict(x)))
    with mlflow.start_run(run_name="makes models") as run:
        t.name(run.info.run_id, "run makes models")
        info = mlflow.sklearn.log_model(model, name="line", signature=infer_signature(x, model.predict(x)), input_example=x[:2], pip_requirements=REQUIREMENTS)
        t.name(info.model_id, "model line")
        with tempfile.TemporaryDirectory() as folder:
            mlflow.sklearn.save_model(model, os.path.join(folder, "saved"), pip_requirements=REQUIREMENTS)
            c.log_artifacts(run.info.run_id, os.path.join(folder, "saved"), "saved")
        c.log_text(run.info.run_id, "no model", "plain/note.txt")
    register(t, c, x, model, run.info.run_id, info.model_id)
    versions(t, c, run.info.run_id, info.model_id)
    aliases(t, c)
    load(t, c, same)
    stages(t, c)
    tags(t, c)
    search(t, c, run.info.run_id)
    deletions(t, c, same)


def register(t, c, x, model, run, logged):
    t.step("search at first", lambda: c.search_registered_models())
    t.step("get unknown", lambda: c.get_registered_model("line"))
    t.step("from folder of run", lambda: mlflow.register_model(f"runs:/{run}/saved", "line", tags={"from": "run"}))
    t.step("from model of run", lambda: mlflow.register_model(f"runs:/{run}/line", "line"))
    t.step("from logged model", lambda: mlflow.register_model(f"models:/{logged}", "line", tags={"from": "logged model"}))
    t.step("tags of logged model", lambda: c.get_logged_model(logged).tags["mlflow.modelVersions"])
    with mlflow.start_run(run_name="registers") as other:
        t.name(other.info.run_id, "run registers")
        info = mlflow.sklearn.log_model(model, name="at once", registered_model_name="at once", pip_requirements=REQUIREMENTS)
        t.name(info.model_id, "model at once")
    t.step("while logging", lambda: [info.registered_model_version, c.get_model_version("at once", "1")])
    t.step("copy", lambda: c.copy_model_version("models:/line/2", "copied"))
    t.step("copy again", lambda: c.copy_model_version("models:/line/1", "copied"))
    t.step("copy of copy", lambda: c.copy_model_version("models:/copied/1", "copied twice"))
    t.step("copy of unknown", lambda: c.copy_model_version("models:/line/99", "copied"))
    t.step("from unknown run", lambda: mlflow.register_model(f"runs:/{'0' * 32}/line", "lost"))
    t.step("from absent path", lambda: mlflow.register_model(f"runs:/{run}/absent", "lost"))
    t.step("from plain folder", lambda: mlflow.register_model(f"runs:/{run}/plain", "lost"))
    t.step("from unknown model", lambda: mlflow.register_model("models:/m-" + "0" * 32, "lost"))
    t.step("from local path", lambda: mlflow.register_model("/etc", "lost"))
    t.step("left by failures", lambda: c.get_registered_model("lost"))
    t.step("delete what failures left", lambda: c.delete_registered_model("lost"))
    t.step("get", lambda: c.get_registered_model("line"))
    t.step("page of run", lambda: [c.get_run(run).outputs, sorted(c.get_run(run).data.tags)])

    t.step("create", lambda: c.create_registered_model("empty", {"team": "a", "empty": ""}, "with nothing in it"))
    t.step("create again", lambda: c.create_registered_model("empty"))
    t.step("create without name", lambda: c.create_registered_model(""))
    t.step("create blank", lambda: c.create_registered_model("  "))
    for name in ["a/b", "a:b", "..", ".", "ünïcode ✓", "a.b-c_d e", "100% _done", "UPPER", "upper", "quo'ted", 'dou"ble', "m-name", "1", " space ", "a//b", "a\u202eb"]:
        t.step(f"named {name[:20]!r}", lambda: c.create_registered_model(name).name)
    # These names are gone before anything lists them, as not every server takes them.
    for name in ["n" * 255, "n" * 256, "back\\slash", "with\nbreak", "tab\tbed", "\u0000nul"]:
        t.step(f"oddly named {name[:20]!r} {len(name)}", lambda: c.create_registered_model(name).name == name)
        try:
            c.delete_registered_model(name)
        except MlflowException:
            pass
    t.step("get odd name", lambda: c.get_registered_model("ünïcode ✓"))
    t.step("description", lambda: c.update_registered_model("empty", "described ✓"))
    t.step("description taken away", lambda: c.update_registered_model("empty", ""))
    t.step("description of unknown", lambda: c.update_registered_model("nobody", "x"))
    t.step("rename", lambda: c.rename_registered_model("a.b-c_d e", "renamed"))
    t.step("renamed", lambda: c.get_registered_model("renamed"))
    t.step("old name", lambda: c.get_registered_model("a.b-c_d e"))
    t.step("rename to taken", lambda: c.rename_registered_model("renamed", "empty"))
    t.step("rename to itself", lambda: c.rename_registered_model("renamed", "renamed"))
    t.step("rename badly", lambda: c.rename_registered_model("renamed", "a/b"))
    t.step("rename to nothing", lambda: c.rename_registered_model("renamed", ""))
    t.step("rename unknown", lambda: c.rename_registered_model("nobody", "somebody"))
    t.step("rename with versions", lambda: c.rename_registered_model("copied", "copy"))
    t.step("its versions", lambda: [c.get_model_version("copy", v) for v in ("1", "2")])
    t.step("its source", lambda: c.get_model_version_download_uri("copied twice", "1"))


def versions(t, c, run, logged):
    where = c.get_run(run).info.artifact_uri
    t.step("version", lambda: c.create_model_version("empty", f"{where}/saved", run, tags={"a": "1", "b": ""}, run_link="https://example.org/run", description="first"))
    t.step("version got", lambda: c.get_model_version("empty", "1"))
    t.step("version by number", lambda: c.get_model_version("empty", 1).version)
    t.step("download uri", lambda: c.get_model_version_download_uri("empty", "1"))
    t.step("download uri of logged model", lambda: c.get_model_version_download_uri("line", "3"))
    t.step("download uri of unknown", lambda: c.get_model_version_download_uri("empty", "9"))
    t.step("version of unknown", lambda: c.create_model_version("nobody", f"{where}/saved", run))
    t.step("version without source", lambda: c.create_model_version("empty", "", run))
    t.step("version of other run", lambda: c.create_model_version("empty", f"{where}/saved", "0" * 32))
    t.step("version without run", lambda: c.create_model_version("empty", f"{where}/saved").version)
    t.step("version of runs uri", lambda: c.create_model_version("empty", f"runs:/{run}/saved", run).source)
    t.step("version of foreign runs uri", lambda: c.create_model_version("empty", f"runs:/{'1' * 32}/saved", run).source)
    t.step("version of model", lambda: c.create_model_version("empty", f"models:/{logged}", model_id=logged).model_id)
    t.step("version of model unsaid", lambda: c.create_model_version("empty", f"models:/{logged}").model_id)
    t.step("version of alias unknown", lambda: c.create_model_version("empty", "models:/line@nobody").source)
    t.step("version as prompt", lambda: c.create_model_version("empty", f"{where}/saved", run, tags={"mlflow.prompt.is_prompt": "true"}))
    t.step("version get unknown", lambda: c.get_model_version("empty", "99"))
    t.step("version get badly", lambda: c.get_model_version("empty", "one"))
    t.step("version get negative", lambda: c.get_model_version("empty", "-1"))
    t.step("version get huge", lambda: c.get_model_version("empty", "9" * 18))
    t.step("version description", lambda: c.update_model_version("empty", "1", "second ✓"))
    t.step("version description nothing", lambda: c.update_model_version("empty", "1", ""))
    t.step("version description unknown", lambda: c.update_model_version("empty", "99", "x"))
    t.step("model after versions", lambda: [len(c.get_registered_model("empty").latest_versions), c.get_registered_model("empty").description])


def aliases(t, c):
    t.step("alias", lambda: c.set_registered_model_alias("line", "champion", "1"))
    t.step("alias got", lambda: c.get_model_version_by_alias("line", "champion"))
    t.step("alias of model", lambda: c.get_registered_model("line").aliases)
    t.step("alias of version", lambda: [c.get_model_version("line", v).aliases for v in ("1", "2")])
    t.step("alias moved", lambda: c.set_registered_model_alias("line", "champion", "2"))
    t.step("alias moved to", lambda: c.get_model_version_by_alias("line", "champion").version)
    t.step("alias again", lambda: c.set_registered_model_alias("line", "champion", "2"))
    t.step("alias by number", lambda: c.set_registered_model_alias("line", "Challenger_2-x", 3))
    t.step("aliases of model", lambda: c.get_registered_model("line").aliases)
    for alias in ["latest", "Latest", "v1", "V12", "v1x", "1", "a b", "a.b", "a/b", "", "ünï", "x" * 255, "x" * 256, "production"]:
        t.step(f"alias named {alias[:20]!r} {len(alias)}", lambda: c.set_registered_model_alias("line", alias, "1"))
    t.step("alias to unknown version", lambda: c.set_registered_model_alias("line", "lost", "99"))
    t.step("alias to bad version", lambda: c.set_registered_model_alias("line", "lost", "one"))
    t.step("alias of unknown model", lambda: c.set_registered_model_alias("nobody", "lost", "1"))
    t.step("alias unknown", lambda: c.get_model_version_by_alias("line", "lost"))
    t.step("alias case", lambda: c.get_model_version_by_alias("line", "CHAMPION"))
    t.step("alias latest", lambda: c.get_model_version_by_alias("line", "latest").version)
    t.step("alias taken away", lambda: c.delete_registered_model_alias("line", "production"))
    t.step("alias taken away again", lambda: c.delete_registered_model_alias("line", "production"))
    t.step("alias taken away unknown", lambda: c.delete_registered_model_alias("nobody", "x"))
    t.step("alias taken away odd", lambda: [c.delete_registered_model_alias("line", a) for a in ("v1x", "1", "x" * 255)])
    try:  # not every server took it
        c.delete_registered_model_alias("line", "ünï")
    except MlflowException:
        pass
    t.step("aliases then", lambda: c.get_registered_model("line").aliases)


def load(t, c, same):
    t.step("load by alias", lambda: same(mlflow.sklearn.load_model("models:/line@champion")))
    t.step("load by version", lambda: [same(mlflow.sklearn.load_model(f"models:/line/{v}")) for v in (1, 2, 3)])
    t.step("load latest", lambda: same(mlflow.sklearn.load_model("models:/line/latest")))
    t.step("load as pyfunc", lambda: same(mlflow.pyfunc.load_model("models:/line@champion")))
    t.step("load copy", lambda: [same(mlflow.sklearn.load_model(u)) for u in ("models:/copy/1", "models:/copy/2", "models:/copied twice/1")])
    t.step("load logged at once", lambda: same(mlflow.sklearn.load_model("models:/at once/1")))
    t.step("load unknown alias", lambda: mlflow.sklearn.load_model("models:/line@nobody"))
    t.step("load unknown version", lambda: mlflow.sklearn.load_model("models:/line/77"))
    t.step("load unknown model", lambda: mlflow.sklearn.load_model("models:/nobody/1"))
    t.step("load latest of none", lambda: mlflow.sklearn.load_model("models:/UPPER/latest"))

    def info(uri):
        got = mlflow.models.get_model_info(uri)
        return [sorted(got.flavors), got.signature is not None and got.signature.to_dict(), bool(got.saved_input_example_info)]

    t.step("info by alias", lambda: info("models:/line@champion"))
    t.step("info of folder", lambda: info("models:/line/1"))

    def files(uri):
        with tempfile.TemporaryDirectory() as folder:
            mlflow.artifacts.download_artifacts(uri, dst_path=folder)
            return sorted(os.path.relpath(os.path.join(d, f), folder).split(os.sep)[-1] for d, _, fs in os.walk(folder) for f in fs)

    t.step("download", lambda: files("models:/line@champion"))
    t.step("download folder", lambda: files("models:/line/1"))
    t.step("list", lambda: sorted(f.path for f in mlflow.artifacts.list_artifacts("models:/line@champion")))


def stages(t, c):
    t.step("stage", lambda: c.transition_model_version_stage("line", "1", "Staging"))
    t.step("stage latest", lambda: c.get_latest_versions("line"))
    t.step("stage latest of one", lambda: [v.version for v in c.get_latest_versions("line", ["Staging"])])
    t.step("stage lower case", lambda: c.transition_model_version_stage("line", "2", "production").current_stage)
    t.step("stage archive others", lambda: c.transition_model_version_stage("line", "3", "Production", archive_existing_versions=True).current_stage)
    t.step("stage archived", lambda: [c.get_model_version("line", v).current_stage for v in ("1", "2", "3")])
    t.step("stage archive others of none", lambda: c.transition_model_version_stage("line", "3", "None", archive_existing_versions=True))
    t.step("stage unknown", lambda: c.transition_model_version_stage("line", "3", "Testing"))
    t.step("stage empty", lambda: c.transition_model_version_stage("line", "3", ""))
    t.step("stage of unknown", lambda: c.transition_model_version_stage("line", "99", "Staging"))
    t.step("stage of unknown model", lambda: c.transition_model_version_stage("nobody", "1", "Staging"))
    t.step("stage latest of several", lambda: sorted([v.version, v.current_stage] for v in c.get_latest_versions("line", ["Production", "archived"])))
    t.step("stage latest of bad", lambda: c.get_latest_versions("line", ["Testing"]))
    t.step("stage latest of unknown", lambda: c.get_latest_versions("nobody"))
    t.step("stage load", lambda: mlflow.pyfunc.load_model("models:/line/Production") is not None)
    t.step("stage load none", lambda: mlflow.pyfunc.load_model("models:/line/Staging") is not None)
    t.step("stage load empty", lambda: mlflow.pyfunc.load_model("models:/copy/Staging") is not None)
    t.step("stages", lambda: c.get_model_version_stages("line", "1"))
    t.step("stage back", lambda: c.transition_model_version_stage("line", "3", "None").current_stage)


def tags(t, c):
    t.step("tag", lambda: c.set_registered_model_tag("line", "team", "ünïcode ✓"))
    t.step("tag again", lambda: c.set_registered_model_tag("line", "team", "later"))
    t.step("tag number", lambda: c.set_registered_model_tag("line", "number", 5))
    t.step("tag empty", lambda: c.set_registered_model_tag("line", "empty", ""))
    for name, key, value in [("without key", "", "x"), ("key odd", "a b/c.d-e_f:g", "x"), ("key bad", "a$b", "x"), ("key up", "../x", "x"), ("key long", "k" * 251, "x"), ("value long", "long", "v" * 5001), ("value huge", "huge", "v" * 100_001)]:
        t.step(f"tag {name}", lambda: c.set_registered_model_tag("line", key, value))
        t.step(f"version tag {name}", lambda: c.set_model_version_tag("line", "1", key, value))
    t.step("tag of unknown", lambda: c.set_registered_model_tag("nobody", "a", "b"))
    t.step("tags", lambda: {k: v[:20] for k, v in c.get_registered_model("line").tags.items()})
    t.step("tag taken away", lambda: c.delete_registered_model_tag("line", "empty"))
    t.step("tag taken away again", lambda: c.delete_registered_model_tag("line", "empty"))
    t.step("tag taken away of unknown", lambda: c.delete_registered_model_tag("nobody", "empty"))
    t.step("version tag", lambda: c.set_model_version_tag("line", "1", "checked", "yes"))
    t.step("version tag by stage", lambda: c.set_model_version_tag("line", key="by stage", value="yes", stage="Archived"))
    t.step("version tag of unknown", lambda: c.set_model_version_tag("line", "99", "a", "b"))
    t.step("version tags", lambda: [{k: v[:20] for k, v in c.get_model_version("line", v).tags.items()} for v in ("1", "2")])
    t.step("version tag taken away", lambda: c.delete_model_version_tag("line", "1", "long"))
    t.step("version tag taken away again", lambda: c.delete_model_version_tag("line", "1", "long"))
    t.step("version tag taken away of unknown", lambda: c.delete_model_version_tag("line", "99", "a"))
    t.step("tags then", lambda: [sorted(c.get_registered_model("line").tags), sorted(c.get_model_version("line", "1").tags)])


def search(t, c, run):
    def models(f=None, **kw):
        page = c.search_registered_models(f, **kw)
        got = [m.name for m in page]
        return {"names": got if "order_by" in kw else sorted(got), "more": bool(page.token)}

    def versions(f=None, **kw):
        page = c.search_model_versions(f, **kw)
        got = [f"{v.name}/{v.version}" for v in page]
        return {"names": got if "order_by" in kw else sorted(got), "more": bool(page.token)}

    t.step("found model", lambda: [m for m in c.search_registered_models("name = 'line'")])
    t.step("found version", lambda: [v for v in c.search_model_versions("name = 'line' and version_number = 2")])
    for f in [
        "name = 'line'", "name != 'line'", "name LIKE 'l%'", "name ILIKE 'U%'", "name LIKE 'upper'", "name IN ('line', 'empty')", "name NOT IN ('line', 'empty')", "attribute.name = 'line'", "attributes.name = 'line'", "name = \"line\"", "name LIKE '100\\% \\_done'", "name LIKE '%e_'", "name = 'quo''ted'",
        "tags.team = 'later'", "tag.team = 'later'", "tags.team != 'later'", "tags.team LIKE '%a%'", "tags.team ILIKE 'LATER'", "tags.`team` = 'a'", "tags.\"team\" = 'a'", "tags.team = 'a' AND name LIKE 'e%'", "tags.team = 'later' AND tags.number = '5'", "tags.team IS NULL AND name ILIKE 'upper'", "tags.team IS NOT NULL", "tags.empty = ''", "tags.team > 'a'", "tags.team IN ('a')",
        "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'", "tags.`mlflow.prompt.is_prompt` = 'false'", "creation_timestamp > 0", "last_updated_timestamp > 0", "description = 'x'", "nope = 'x'", "name > 'a'", "name = line", "name", "name = 'x' OR name = 'line'", "NOT name = 'x'", "name = 'line' AND", "metrics.a > 1", "run_id = 'x'", "  ", "", "name = ''",
    ]:
        t.step(f"models {f}", lambda: models(f))
    for o in [["name"], ["name DESC"], ["name ASC"], ["creation_timestamp"], ["last_updated_timestamp DESC"], ["timestamp"], ["name", "name DESC"], ["last_updated_timestamp", "name"], ["nope"], ["name sideways"], ["tags.team"], ["attribute.name"], [""]]:
        # Times of creation are a thousandth apart or none, and only their kind counts here.
        t.step(f"models order {o}", lambda: models("name IN ('line', 'empty', 'UPPER', 'upper')", order_by=o))
    t.step("models first page", lambda: models(max_results=3, order_by=["name"]))
    t.step("models pages", lambda: pages(lambda token: c.search_registered_models(max_results=4, order_by=["name"], page_token=token)))
    t.step("models bad token", lambda: models(page_token="!!bad"))
    for n in (0, -1, 1000, 1001):
        t.step(f"models max {n}", lambda: len(models(max_results=n)["names"]) > 0)

    for f in [
        "name = 'line'", "name != 'line'", "name LIKE 'l%'", "name ILIKE 'LINE'", "name IN ('line', 'empty')", "name NOT IN ('line')", "version_number = 2", "version_number > 1", "version_number >= 2 AND name = 'line'", "version_number < 2", "version_number <= 1", "version_number != 1", "version_number = '2'", "version_number = 1.5", "version_number = 'x'", "version_number IN (1, 2)", "version_number LIKE '1'", "version_number > 99999999999999999999",
        f"run_id = '{run}'", f"run_id IN ('{run}', 'x')", f"run_id NOT IN ('{run}')", f"run_id != '{run}'", "run_id IN ()", "run_id = ''", "source_path LIKE '%saved'", "source_path LIKE 'models:/%'", "source_path != 'x'", "source_path IN ('x')", "source = 'x'", "attributes.name = 'line'", "attributes.version_number = 1",
        "tags.`from` = 'run'", "tags.checked = 'yes'", "tags.checked != 'yes'", "tags.a LIKE '1%'", "tags.a ILIKE '1'", "tags.a = '1' AND tags.b = ''", "tags.a IS NULL AND name = 'line'", "tags.`mlflow.prompt.is_prompt` = 'true'", "tags.`mlflow.prompt.is_prompt` != 'true'", "tags.`mlflow.prompt.is_prompt` = 'false'",
        "current_stage = 'Archived'", "status = 'READY'", "creation_timestamp > 0", "last_updated_timestamp > 0", "user_id = 'x'", "aliases = 'champion'", "nope = 'x'", "name", "name = 'line' OR name = 'empty'", "name = 'line' AND", "metrics.a > 1", "version = 1", "", "  ",
    ]:
        t.step(f"versions {f}", lambda: versions(f))
    for o in [["name", "version_number"], ["name DESC", "version_number DESC"], ["version_number DESC", "name"], ["creation_timestamp", "name", "version_number"], ["last_updated_timestamp DESC"], ["name", "name"], ["version"], ["run_id"], ["nope"], ["name up"], ["attributes.name"]]:
        t.step(f"versions order {o}", lambda: versions("name IN ('line', 'copy')", order_by=o))
    t.step("versions first page", lambda: versions(max_results=2, order_by=["name", "version_number"]))
    t.step("versions pages", lambda: pages(lambda token: c.search_model_versions(max_results=3, order_by=["name", "version_number DESC"], page_token=token)))
    t.step("versions bad token", lambda: versions(page_token="!!bad"))
    for n in (0, -1, 200_000, 200_001):
        t.step(f"versions max {n}", lambda: len(versions(max_results=n)["names"]) > 0)
    t.step("models by fluent", lambda: sorted(m.name for m in mlflow.search_registered_models(filter_string="name LIKE 'l%'")))
    t.step("versions by fluent", lambda: sorted(f"{v.name}/{v.version}" for v in mlflow.search_model_versions(filter_string="name LIKE 'l%'")))


def pages(fetch):
    got, token, n = [], None, 0
    while True:
        page = fetch(token)
        got += [m.name + (f"/{m.version}" if hasattr(m, "version") else "") for m in page]
        n, token = n + 1, page.token
        if not token:
            return {"names": got, "pages": n}


def deletions(t, c, same):
    t.step("delete version", lambda: c.delete_model_version("line", "2"))
    t.step("deleted version", lambda: c.get_model_version("line", "2"))
    t.step("deleted by alias", lambda: c.get_model_version_by_alias("line", "champion"))
    t.step("deleted aliases", lambda: c.get_registered_model("line").aliases)
    t.step("deleted download uri", lambda: c.get_model_version_download_uri("line", "2"))
    t.step("deleted in search", lambda: sorted(v.version for v in c.search_model_versions("name = 'line'")))
    t.step("delete version again", lambda: c.delete_model_version("line", "2"))
    t.step("delete version unknown", lambda: c.delete_model_version("line", "99"))
    t.step("delete version badly", lambda: c.delete_model_version("line", "one"))
    t.step("update deleted", lambda: c.update_model_version("line", "2", "x"))
    t.step("tag deleted", lambda: c.set_model_version_tag("line", "2", "a", "b"))
    t.step("alias deleted", lambda: c.set_registered_model_alias("line", "lost", "2"))
    t.step("stage deleted", lambda: c.transition_model_version_stage("line", "2", "Staging"))
    t.step("alias for the last", lambda: c.set_registered_model_alias("line", "last", "3"))
    t.step("delete last version", lambda: c.delete_model_version("line", "3"))
    t.step("number after", lambda: c.copy_model_version("models:/line/1", "line").version)
    t.step("load after", lambda: [same(mlflow.sklearn.load_model(u)) for u in ("models:/line/1", "models:/line/4", "models:/copy/1")])
    t.step("copy of deleted", lambda: c.get_model_version("copied twice", "1").source)
    t.step("delete model", lambda: c.delete_registered_model("line"))
    t.step("deleted model", lambda: c.get_registered_model("line"))
    t.step("deleted model's version", lambda: c.get_model_version("line", "1"))
    t.step("delete model again", lambda: c.delete_registered_model("line"))
    t.step("delete unknown model", lambda: c.delete_registered_model("nobody"))
    t.step("copies live", lambda: [same(mlflow.sklearn.load_model(u)) for u in ("models:/copy/1", "models:/copy/2")])
    t.step("name again", lambda: c.create_registered_model("line", {"second": "life"}))
    t.step("name again has", lambda: [c.get_registered_model("line"), [v.version for v in c.search_model_versions("name = 'line'")]])
