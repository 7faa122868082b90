"""Logged models: sklearn log_model and load_model, autolog, their search."""

import warnings

import mlflow
import mlflow.sklearn
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric
from mlflow.models import infer_signature
from sklearn.datasets import make_regression
from sklearn.linear_model import LinearRegression

warnings.filterwarnings("ignore")
REQUIREMENTS = ["scikit-learn"]


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("models").experiment_id
    t.name(exp, "experiment models")
    x, y = make_regression(n_samples=40, n_features=3, random_state=7)
    model = LinearRegression().fit(x, y)
    with mlflow.start_run(run_name="sklearn") as run:
        t.name(run.info.run_id, "run sklearn")
        info = mlflow.sklearn.log_model(model, name="line", signature=infer_signature(x, model.predict(x)), input_example=x[:2], pip_requirements=REQUIREMENTS, params={"alpha": "1"}, model_type="regressor")
        id = t.name(info.model_id, "model line")
        t.name(info.model_uuid, "uuid of line")
        t.name(info.artifact_path.rstrip("/"), "location of line")
        mlflow.log_metric("rmse", 0.25, step=3, timestamp=1700000000000, model_id=id)
        data = mlflow.data.from_numpy(x, name="numbers", source="https://example.org/numbers.npy")
        t.name(data.digest, "digest of numbers")
        mlflow.log_metric("mae", 0.125, step=4, timestamp=1700000000000, model_id=id, dataset=data)
    t.step("logged", lambda: [info.model_uri == f"models:/{id}", info.flavors["python_function"]["loader_module"], info.signature is not None])
    t.step("get", lambda: c.get_logged_model(id))
    t.step("run of model", lambda: [c.get_run(run.info.run_id).outputs, c.get_run(run.info.run_id).data.metrics])
    t.step("load by model", lambda: np.allclose(mlflow.sklearn.load_model(f"models:/{id}").predict(x), model.predict(x)))
    t.step("load by run", lambda: np.allclose(mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/line").predict(x), model.predict(x)))
    t.step("load as pyfunc", lambda: np.allclose(mlflow.pyfunc.load_model(info.model_uri).predict(x), model.predict(x)))
    t.step("files", lambda: sorted(f.path for f in c.list_logged_model_artifacts(id)))
    t.step("files of run", lambda: sorted(f.path for f in c.list_artifacts(run.info.run_id)))
    t.step("files of run's model", lambda: sorted(f.path for f in c.list_artifacts(run.info.run_id, "line")))
    t.step("model info", lambda: mlflow.models.get_model_info(info.model_uri).model_id == id)
    with mlflow.start_run(run_name="user of model") as user:
        t.name(user.info.run_id, "run user of model")
        t.step("input of a run", lambda: mlflow.log_input(model=mlflow.entities.LoggedModelInput(id)))
    t.step("inputs", lambda: c.get_run(user.info.run_id).inputs.model_inputs)

    own = t.step("create", lambda: c.create_logged_model(exp, name="own", source_run_id=run.info.run_id, tags={"a": "1"}, params={"p": "q"}, model_type="agent"))
    own = t.name(own.model_id, "model own")
    t.step("created", lambda: c.get_logged_model(own))

    # Its name is random, so that it may not be among those that are ordered.
    elsewhere = t.name(c.create_experiment("unnamed models"), "experiment unnamed models")

    def unnamed():
        m = c.create_logged_model(elsewhere)
        t.name(m.model_id, "model unnamed")
        t.name(m.name, "random model name")
        return m

    t.step("create unnamed", unnamed)
    t.step("create badly named", lambda: c.create_logged_model(exp, name="a/b"))
    t.step("create in unknown", lambda: c.create_logged_model("424242", name="x"))
    t.step("set tags", lambda: c.set_logged_model_tags(own, {"a": "2", "b": "3"}))
    t.step("delete tag", lambda: c.delete_logged_model_tag(own, "b"))
    t.step("delete tag again", lambda: c.delete_logged_model_tag(own, "b"))
    t.step("params", lambda: c.log_model_params(own, {"r": "s", "t": "u"}))
    t.step("params again", lambda: c.log_model_params(own, {"r": "s"}))
    t.step("params other", lambda: c.log_model_params(own, {"r": "other"}))
    t.step("log artifact", lambda: c.log_model_artifact(own, __file__))
    t.step("list artifact", lambda: [f.path for f in c.list_logged_model_artifacts(own)])
    t.step("finalize", lambda: c.finalize_logged_model(own, LoggedModelStatus.READY))
    t.step("finalized", lambda: c.get_logged_model(own))
    t.step("finalize failed", lambda: c.finalize_logged_model(own, LoggedModelStatus.FAILED).status)
    t.step("get unknown", lambda: c.get_logged_model("m-" + "0" * 32))
    t.step("finalize unknown", lambda: c.finalize_logged_model("m-" + "0" * 32, LoggedModelStatus.READY))
    t.step("external model", lambda: t.name(mlflow.create_external_model(name="outside", experiment_id=exp).model_id, "model outside") and None)
    t.step("log metrics to model", lambda: mlflow.log_metrics({"own_acc": 0.5, "own_f1": 0.25}, model_id=own, run_id=run.info.run_id, timestamp=1700000000000))

    failing(t, c, exp)
    search(t, c, exp, run.info.run_id, own, data.digest)
    autolog(t, c, x, y)


def failing(t, c, exp):
    """A model whose files cannot be written is FAILED, not left PENDING."""

    class Unpicklable:
        def __reduce__(self):
            raise RuntimeError("on purpose")

    m = LinearRegression()
    m.bad = Unpicklable()
    with mlflow.start_run(run_name="failing model") as run:
        t.name(run.info.run_id, "run failing model")

        def log():
            try:
                mlflow.sklearn.log_model(m, name="broken", pip_requirements=REQUIREMENTS, serialization_format="cloudpickle")
            except Exception:
                return "raised"

        t.step("broken model", log)
    t.step("broken is failed", lambda: [m.status.name for m in c.search_logged_models([exp], "name = 'broken'")])


def search(t, c, exp, run, own, digest):
    def names(f=None, **kw):
        page = c.search_logged_models([exp], f, **kw)
        return {"names": sorted(m.name for m in page) if "order_by" not in kw else [m.name for m in page], "more": bool(page.token)}

    for f in [
        "name = 'line'", "attributes.name = 'line'", "name != 'line'", "name LIKE 'l%'", "name ILIKE 'L%'", "name IN ('line', 'own')", "name NOT IN ('line', 'own')", f"source_run_id = '{run}'", f"model_id = '{own}'", "status = 'READY'", "attributes.status = 'FAILED'", "status != 'READY'",
        "model_type = 'agent'", "attributes.model_type = 'regressor'", "params.alpha = '1'", "params.p = 'q'", "params.p != 'q'", "tags.a = '2'", "tags.a LIKE '%'", "metrics.rmse > 0.1", "metrics.rmse < 0.1", "metrics.mae = 0.125", "metrics.own_acc >= 0.5",
        "metrics.rmse > 0.1 AND name = 'line'", "creation_timestamp > 0", "last_updated_timestamp > 0", "creation_time > 0", "nope = 'x'", "attributes.nope = 'x'", "metrics.rmse LIKE 'x'", "tag.a = '2'", "name = 'line' OR name = 'own'", "name", "params.p > 'a'",
    ]:
        t.step(f"filter {f}", lambda: names(f))
    for datasets in [[{"dataset_name": "numbers"}], [{"dataset_name": "numbers", "dataset_digest": digest}], [{"dataset_name": "numbers", "dataset_digest": "other"}], [{"dataset_name": "absent"}]]:
        t.step(f"datasets {[sorted(d) for d in datasets]} {datasets[0]['dataset_name']} {datasets[0].get('dataset_digest', '') == 'other'}", lambda: names("metrics.mae > 0.1", datasets=datasets))
    for o in [
        [{"field_name": "name", "ascending": True}], [{"field_name": "name", "ascending": False}], [{"field_name": "metrics.rmse"}], [{"field_name": "metrics.mae", "ascending": False, "dataset_name": "numbers"}], [{"field_name": "creation_timestamp"}],
        [{"field_name": "creation_timestamp", "ascending": False}], [{"field_name": "nope"}], [{"ascending": True}], [{"field_name": "name", "dataset_name": "numbers"}], [{"field_name": "params.alpha"}],
    ]:
        t.step(f"order {o}", lambda: names(order_by=o))
    t.step("page", lambda: names(max_results=2, order_by=[{"field_name": "name"}]))

    def paged():
        got, token = [], None
        while True:
            page = c.search_logged_models([exp], max_results=2, order_by=[{"field_name": "name"}, {"field_name": "creation_timestamp"}], page_token=token)
            got += [m.name for m in page]
            token = page.token
            if not token:
                return got

    t.step("pages", paged)

    def foreign_token():
        token = c.search_logged_models([exp], max_results=1).token
        return len(c.search_logged_models([exp], "name = 'line'", max_results=1, page_token=token))

    t.step("token of another query", foreign_token)
    t.step("bad token", lambda: names(page_token="bad"))
    t.step("frame", lambda: sorted(mlflow.search_logged_models([exp]).columns))
    t.step("metrics of found", lambda: c.search_logged_models([exp], "name = 'line'")[0])
    t.step("delete", lambda: c.delete_logged_model(own))
    t.step("deleted", lambda: c.get_logged_model(own))
    t.step("delete again", lambda: c.delete_logged_model(own))
    t.step("search without deleted", lambda: names("name = 'own'"))


def autolog(t, c, x, y):
    mlflow.set_experiment("autolog")
    t.name(c.get_experiment_by_name("autolog").experiment_id, "experiment autolog")
    mlflow.sklearn.autolog(log_input_examples=True, silent=True)
    try:
        with mlflow.start_run(run_name="auto") as run:
            id = t.name(run.info.run_id, "run auto")
            fitted = LinearRegression().fit(x, y)
            fitted.score(x, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    got = c.get_run(id)
    for m in got.outputs.model_outputs:
        t.name(m.model_id, "model auto")
    t.step("params", lambda: got.data.params)
    t.step("metrics", lambda: {k: round(v, 6) for k, v in got.data.metrics.items()})
    t.step("tags", lambda: got.data.tags)
    t.step("inputs", lambda: [[i.dataset.name, i.dataset.digest, i.dataset.source_type, i.dataset.schema, i.dataset.profile, [[g.key, g.value] for g in i.tags]] for i in got.inputs.dataset_inputs])
    t.step("outputs", lambda: len(got.outputs.model_outputs))
    t.step("files", lambda: sorted(f.path for f in c.list_artifacts(id)))
    model = got.outputs.model_outputs[0].model_id
    t.step("model", lambda: [c.get_logged_model(model).name, c.get_logged_model(model).status.name, c.get_logged_model(model).params, sorted(m.key for m in c.get_logged_model(model).metrics)])
    t.step("load", lambda: np.allclose(mlflow.pyfunc.load_model(f"models:/{model}").predict(x), fitted.predict(x)))
