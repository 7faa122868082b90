"""Prompts: registered, loaded by version and alias, tagged, searched, deleted."""

import threading

import mlflow
from mlflow import MlflowClient

VERSION = ("name", "version", "template", "commit_message", "tags", "aliases", "variables", "response_format", "model_config", "creation_timestamp", "last_updated_timestamp", "user_id", "is_text_prompt", "uri")


def play(t):
    c = MlflowClient()
    t.name(mlflow.set_experiment("prompts").experiment_id, "experiment prompts")
    step = lambda name, do: (t.step(name, do), settle())[0]
    register(step, c)
    load(step)
    tags(step, c)
    search(step, c)
    used(step, t, c)
    delete(step, c)


def settle():
    """The client links prompts to the experiment in threads of its own."""
    for thread in threading.enumerate():
        if thread.name.startswith(("link_prompt", "link_")):
            thread.join()


def shown(p):
    if p is None:
        return None
    from .transcript import plain

    got = {k: plain(getattr(p, k, None)) for k in VERSION}
    # The experiment's id, which is not the same on every server.
    return {k: {a: b for a, b in v.items() if a != "_mlflow_experiment_ids"} if k == "tags" and v else v for k, v in got.items()}


def fresh(uri, **kw):
    return mlflow.genai.load_prompt(uri, cache_ttl_seconds=0, **kw)


def register(step, c):
    g = mlflow.genai
    step("register", lambda: shown(g.register_prompt("greeting", "Hello {{name}}, it is {{ time }}.", commit_message="first", tags={"author": "ann"})))
    step("register second", lambda: shown(g.register_prompt("greeting", "Bye {{name}}.", tags={"author": "bob"})))
    step("register chat", lambda: shown(g.register_prompt("chat", [{"role": "system", "content": "You are {{style}}."}, {"role": "user", "content": "{{question}}"}], response_format={"type": "object", "properties": {"answer": {"type": "string"}}}, model_config={"model_name": "some-model", "temperature": 0.5})))
    step("register badly named", lambda: g.register_prompt("a/b", "x"))
    step("register with space", lambda: g.register_prompt("with space", "x"))
    step("register empty", lambda: shown(g.register_prompt("blank", "")))
    step("register ünïcode", lambda: shown(g.register_prompt("odd", "ünïcode ✓ \n'\"\\ {{ x }} %_")))
    step("register long", lambda: len(g.register_prompt("long", "x" * 100_000).template))
    step("register too long", lambda: g.register_prompt("too long", "x" * 100_001))
    step("too long left", lambda: shown(fresh("prompts:/too long/1", allow_missing=True)))
    step("model", lambda: c.create_registered_model("no prompt").name)
    step("register over model", lambda: g.register_prompt("no prompt", "x"))
    step("model over prompt", lambda: c.create_registered_model("greeting"))
    step("prompt as model", lambda: c.get_registered_model("greeting"))
    step("prompt's version as model", lambda: c.get_model_version("greeting", "1"))
    step("rename prompt", lambda: c.rename_registered_model("greeting", "hello"))
    step("model alias of prompt", lambda: c.set_registered_model_alias("greeting", "x", "1"))
    step("stage of prompt", lambda: c.transition_model_version_stage("greeting", "1", "Staging"))
    step("create", lambda: shown_prompt(c.create_prompt("made", "a description", {"a": "1"})))
    step("create version", lambda: shown(c.create_prompt_version("made", "made {{x}}", "why", {"b": "2"})))
    step("create again", lambda: c.create_prompt("made"))


def shown_prompt(p):
    return p and {"name": p.name, "description": p.description, "tags": {k: v for k, v in p.tags.items() if k != "_mlflow_experiment_ids"}}


def load(step):
    g = mlflow.genai
    step("load", lambda: shown(fresh("prompts:/greeting/1")))
    step("load by number", lambda: shown(fresh("greeting", version=2)))
    step("load newest", lambda: fresh("greeting").version)
    step("load latest", lambda: fresh("prompts:/greeting@latest").version)
    step("load chat", lambda: shown(fresh("prompts:/chat/1")))
    step("format", lambda: [fresh("prompts:/greeting/2").format(name="you"), fresh("prompts:/chat/1").format(style="kind", question="why?")])
    step("alias", lambda: g.set_prompt_alias("greeting", "production", 1))
    step("load by alias", lambda: shown(fresh("prompts:/greeting@production")))
    step("alias moved", lambda: g.set_prompt_alias("greeting", "production", 2))
    step("load by alias moved", lambda: fresh("prompts:/greeting@production").version)
    step("load unknown", lambda: fresh("prompts:/nobody/1"))
    step("load unknown version", lambda: fresh("prompts:/greeting/99"))
    step("load unknown alias", lambda: fresh("prompts:/greeting@nobody"))
    step("load unknown, allowed", lambda: [fresh("prompts:/nobody/1", allow_missing=True), fresh("prompts:/greeting/99", allow_missing=True), fresh("prompts:/greeting@nobody", allow_missing=True)])
    step("load model", lambda: fresh("prompts:/no prompt/1"))
    step("alias of unknown", lambda: g.set_prompt_alias("greeting", "x", 99))
    step("alias taken away", lambda: g.delete_prompt_alias("greeting", "production"))
    step("alias taken away again", lambda: g.delete_prompt_alias("greeting", "production"))
    step("load by lost alias", lambda: fresh("prompts:/greeting@production"))


def tags(step, c):
    g = mlflow.genai
    step("tag", lambda: g.set_prompt_tag("greeting", "team", "blue"))
    step("tags", lambda: {k: v for k, v in g.get_prompt_tags("greeting").items() if k != "_mlflow_experiment_ids"})
    step("tag taken away", lambda: g.delete_prompt_tag("greeting", "team"))
    step("tag of unknown", lambda: g.set_prompt_tag("nobody", "team", "blue"))
    step("version tag", lambda: g.set_prompt_version_tag("greeting", 1, "checked", "yes"))
    step("version tagged", lambda: shown(fresh("prompts:/greeting/1"))["tags"])
    step("version tag taken away", lambda: g.delete_prompt_version_tag("greeting", 1, "checked"))
    step("version tag of unknown", lambda: g.set_prompt_version_tag("greeting", 99, "a", "b"))
    step("model config", lambda: g.set_prompt_model_config("greeting", 1, {"model_name": "m", "max_tokens": 5}))
    step("model config got", lambda: shown(fresh("prompts:/greeting/1"))["model_config"])
    step("model config taken away", lambda: g.delete_prompt_model_config("greeting", 1))
    step("get", lambda: shown_prompt(c.get_prompt("greeting")))
    step("get unknown", lambda: shown_prompt(c.get_prompt("nobody")))
    step("get model", lambda: shown_prompt(c.get_prompt("no prompt")))
    step("get version", lambda: shown(c.get_prompt_version("greeting", 1)))
    step("get version unknown", lambda: shown(c.get_prompt_version("greeting", 99)))


def search(step, c):
    def names(f=None, **kw):
        page = mlflow.genai.search_prompts(f, **kw) if not kw else c.search_prompts(f, **kw)
        return {"names": sorted(p.name for p in page) if "order_by" not in kw else [p.name for p in page], "more": bool(getattr(page, "token", None))}

    for f in [None, "name = 'greeting'", "name LIKE 'gr%'", "name ILIKE '%HAT'", "name != 'greeting'", "tags.author = 'bob'", "tags.author = 'ann'", "tags.`a` = '1'", "nope = 'x'", "name = 'no prompt'"]:
        step(f"search {f}", lambda: names(f))
    # The id of the experiment is short, so that it would be compared as it is.
    exp = c.get_experiment_by_name("prompts").experiment_id
    step("search by experiment", lambda: names(f'experiment_id = "{exp}"'))
    step("search by unknown experiment", lambda: names('experiment_id = "424242"'))
    step("search ordered", lambda: names(order_by=["name DESC"]))
    step("search page", lambda: names(max_results=2, order_by=["name"]))
    step("search versions", lambda: [shown(p) for p in c.search_prompt_versions("greeting")])
    step("models without prompts", lambda: [m.name for m in c.search_registered_models("name IN ('greeting', 'chat', 'no prompt')")])
    step("versions without prompts", lambda: [v.name for v in c.search_model_versions("name IN ('greeting', 'chat')")])
    step("models that are prompts", lambda: sorted(m.name for m in c.search_registered_models("tags.`mlflow.prompt.is_prompt` = 'true' AND name LIKE '%t%'")))
    step("versions that are prompts", lambda: sorted(f"{v.name}/{v.version}" for v in c.search_model_versions("tags.`mlflow.prompt.is_prompt` = 'true' AND name LIKE '%t%'")))
    step("models not false", lambda: sorted(m.name for m in c.search_registered_models("tags.`mlflow.prompt.is_prompt` != 'false' AND name LIKE '%t%'")))
    step("models like true", lambda: sorted(m.name for m in c.search_registered_models("tags.`mlflow.prompt.is_prompt` LIKE 'true' AND name IN ('greeting', 'no prompt')")))


def used(step, t, c):
    with mlflow.start_run(run_name="uses prompt") as run:
        t.name(run.info.run_id, "run uses prompt")
        prompt = step("load in run", lambda: mlflow.genai.load_prompt("prompts:/greeting/1"))
    step("link to run", lambda: c.link_prompt_version_to_run(run.info.run_id, prompt))
    step("linked to run", lambda: c.get_run(run.info.run_id).data.tags.get("mlflow.linkedPrompts"))
    step("prompts of run", lambda: [shown(p) for p in c.list_logged_prompts(run.info.run_id)])
    model = t.name(c.create_logged_model(run.info.experiment_id, name="speaker").model_id, "model speaker")
    step("link to model", lambda: c.link_prompt_version_to_model("greeting", "1", model))
    step("linked to model", lambda: c.get_logged_model(model).tags)
    step("unlink from run", lambda: c.detach_prompt_from_run(run.info.run_id, "prompts:/greeting/1"))
    with mlflow.start_span("speaks") as span:
        span.set_inputs({"q": "x"})
    mlflow.flush_trace_async_logging()
    trace = t.name(mlflow.get_last_active_trace_id(), "trace speaks")
    step("link to trace", lambda: c.link_prompt_versions_to_trace([prompt], trace))
    step("linked to trace", lambda: mlflow.get_trace(trace).info.tags.get("mlflow.linkedPrompts"))


def delete(step, c):
    step("delete version", lambda: c.delete_prompt_version("greeting", "2"))
    step("deleted version", lambda: shown(fresh("prompts:/greeting/2")))
    step("newest after", lambda: fresh("greeting").version)
    step("delete with versions", lambda: c.delete_prompt("greeting"))
    step("register after", lambda: mlflow.genai.register_prompt("greeting", "again").version)
    step("delete by registry", lambda: c.delete_registered_model("made"))
    step("get deleted", lambda: shown_prompt(c.get_prompt("made")))
    step("delete last version", lambda: c.delete_prompt_version("chat", "1"))
    step("delete prompt", lambda: c.delete_prompt("chat"))
    step("deleted prompt", lambda: shown_prompt(c.get_prompt("chat")))
    step("delete unknown", lambda: c.delete_prompt("nobody"))
    step("search at last", lambda: sorted(p.name for p in c.search_prompts()))
