"""Experiments: create, tags, rename, search, delete, restore."""

from mlflow import MlflowClient
from mlflow.entities import ViewType


def play(t):
    c = MlflowClient()
    t.step("default experiment", lambda: c.get_experiment("0"))
    t.step("search at first", lambda: c.search_experiments())
    ids = {}
    for name, tags in [("alpha", {"team": "a", "empty": ""}), ("beta", {"team": "b"}), ("Alpha two", None), ("100% _done", {"team": "a"})]:
        ids[name] = t.step(f"create {name}", lambda: t.name(c.create_experiment(name, tags=tags), f"experiment {name}"))
    alpha = ids["alpha"]
    t.step("get", lambda: c.get_experiment(alpha))
    t.step("get by name", lambda: c.get_experiment_by_name("beta"))
    t.step("get by unknown name", lambda: c.get_experiment_by_name("nobody"))
    t.step("get unknown", lambda: c.get_experiment("424242"))
    t.step("create again", lambda: c.create_experiment("alpha"))
    t.step("create without name", lambda: c.create_experiment(""))
    t.step("create with own location", lambda: t.name(c.create_experiment("located", artifact_location="s3://bucket/some/where"), "experiment located"))
    t.step("get with own location", lambda: c.get_experiment_by_name("located"))
    t.step("set tag", lambda: c.set_experiment_tag(alpha, "stage", "ünïcode ✓"))
    t.step("set tag again", lambda: c.set_experiment_tag(alpha, "stage", "later"))
    t.step("delete tag", lambda: c.delete_experiment_tag(alpha, "empty"))
    t.step("delete absent tag", lambda: c.delete_experiment_tag(alpha, "empty"))
    t.step("tags", lambda: c.get_experiment(alpha).tags)
    t.step("set tag of unknown", lambda: c.set_experiment_tag("424242", "a", "b"))
    t.step("rename", lambda: c.rename_experiment(ids["beta"], "gamma"))
    t.step("renamed", lambda: c.get_experiment(ids["beta"]).name)
    t.step("rename to taken", lambda: c.rename_experiment(ids["beta"], "alpha"))

    def names(**kw):
        page = c.search_experiments(**kw)
        return {"names": [e.name for e in page], "more": bool(page.token)}

    for f in [
        "name = 'alpha'", "name != 'alpha'", "name LIKE 'alpha%'", "name LIKE '%a'", "name ILIKE 'ALPHA%'", "name ILIKE '%A%'",
        "attribute.name = 'gamma'", "attributes.name LIKE 'gam_a'", "tags.team = 'a'", "tags.team != 'a'", "tag.team = 'a'",
        "tags.`team` = \"b\"", "tags.team LIKE '%a%'", "tags.team ILIKE 'A'", "tags.stage IS NULL", "tags.stage IS NOT NULL",
        "tags.team = 'a' AND name LIKE 'a%'", "creation_time > 0", "last_update_time >= 1700000000000", "creation_time < 5",
        "name LIKE '100\\% \\_done'", "name LIKE '100% %'", "name = 'x' OR name = 'y'", "name", "nope = 'a'", "name > 'a'", "creation_time = 'a'",
        "tags.team > 'a'", "name = alpha", "metrics.a > 1", "name = 'it''s'",
    ]:
        t.step(f"filter {f}", lambda: names(filter_string=f, order_by=["name"]))
    for o in [["name"], ["name DESC"], ["name ASC"], ["creation_time ASC"], ["last_update_time DESC"], ["experiment_id"], ["experiment_id DESC"], ["nope"], ["name sideways"], ["name", "name DESC"], ["attribute.name"]]:
        t.step(f"order {o}", lambda: names(order_by=o))
    t.step("first page", lambda: names(max_results=2, order_by=["name"]))

    def paged():
        got, token, pages = [], None, 0
        while True:
            page = c.search_experiments(max_results=2, order_by=["name"], page_token=token)
            got += [e.name for e in page]
            pages, token = pages + 1, page.token
            if not token:
                return {"names": got, "pages": pages}

    t.step("all pages", paged)
    t.step("bad token", lambda: names(max_results=2, page_token="!!bad"))
    t.step("max 0", lambda: names(max_results=0))
    t.step("max too many", lambda: names(max_results=50001))

    run = c.create_run(ids["Alpha two"], run_name="of a deleted experiment")
    t.name(run.info.run_id, "run of Alpha two")
    earlier = c.create_run(ids["Alpha two"], run_name="deleted before")
    t.name(earlier.info.run_id, "run deleted before")
    c.delete_run(earlier.info.run_id)
    t.step("delete", lambda: c.delete_experiment(ids["Alpha two"]))
    t.step("deleted", lambda: c.get_experiment(ids["Alpha two"]).lifecycle_stage)
    t.step("deleted by name", lambda: c.get_experiment_by_name("Alpha two"))
    t.step("its run", lambda: c.get_run(run.info.run_id).info.lifecycle_stage)
    t.step("delete again", lambda: c.delete_experiment(ids["Alpha two"]))
    t.step("name of deleted", lambda: c.create_experiment("Alpha two"))
    t.step("set tag of deleted", lambda: c.set_experiment_tag(ids["Alpha two"], "a", "b"))
    t.step("rename deleted", lambda: c.rename_experiment(ids["Alpha two"], "other"))
    t.step("run in deleted", lambda: c.create_run(ids["Alpha two"]))
    t.step("log to its run", lambda: c.log_metric(run.info.run_id, "a", 1.0))
    t.step("search deleted", lambda: names(view_type=ViewType.DELETED_ONLY))
    t.step("search all", lambda: names(view_type=ViewType.ALL, order_by=["name"]))
    t.step("restore", lambda: c.restore_experiment(ids["Alpha two"]))
    t.step("restore again", lambda: c.restore_experiment(ids["Alpha two"]))
    t.step("restored", lambda: c.get_experiment(ids["Alpha two"]).lifecycle_stage)
    t.step("its run restored", lambda: c.get_run(run.info.run_id).info.lifecycle_stage)
    t.step("run deleted before", lambda: c.get_run(earlier.info.run_id).info.lifecycle_stage)
    t.step("delete unknown", lambda: c.delete_experiment("424242"))
    t.step("restore unknown", lambda: c.restore_experiment("424242"))
