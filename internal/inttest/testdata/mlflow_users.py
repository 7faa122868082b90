"""A session about users and permissions, written down for comparison.

    mlflow_users.py URL TRANSCRIPT ADMIN PASSWORD

It manages users on the server at URL with the unmodified client that
mlflow.server.get_app_client("basic-auth", URL) returns, as its admin and as the
users that it makes, and appends one JSON line for each step to TRANSCRIPT.
"""

import contextlib
import os
import sys

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

ADMIN = (sys.argv[3], sys.argv[4])
ANN = ("ann", "ann's long password")
BOB = ("bob müller", "pässword of bob")
EVE = ("eve", "eve's long password")
NOBODY = ("nobody", "some long password")


@contextlib.contextmanager
def acting(who):
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = who
    yield
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = ADMIN


def user(u):
    return {"id": u.id, "username": u.username, "hash": u.password_hash, "admin": u.is_admin}


def main():
    url, path = sys.argv[1].rstrip("/"), sys.argv[2]

    import mlflow
    from mlflow.server import get_app_client
    from scenario.transcript import Transcript

    mlflow.set_tracking_uri(url)
    users, client = get_app_client("basic-auth", url), mlflow.MlflowClient(url)
    with open(path, "w", encoding="utf-8") as out, acting(ADMIN):
        t = Transcript(out, url, "mlflow-artifacts:")
        make(t, users)
        passwords(t, users)
        names(t, users)
        experiments(t, users, client)
        models(t, users, client)
        pages(t)
        end(t, users)


def make(t, users):
    t.part("make")
    t.step("admin", lambda: user(users.get_user(ADMIN[0])))
    for who in (ANN, BOB, EVE):
        t.step("create " + who[0], lambda: user(users.create_user(*who)))
        t.step("get " + who[0], lambda: user(users.get_user(who[0])))
    t.step("create again", lambda: user(users.create_user(*ANN)))
    t.step("create with short password", lambda: user(users.create_user("x", "too short")))
    t.step("get unknown", lambda: user(users.get_user("nobody")))
    for body in ({}, {"username": "x"}, {"password": NOBODY[1]}, {"username": "x", "password": 5}, []):
        t.http(f"create {body}", "POST", "/api/2.0/mlflow/users/create", body, auth=ADMIN)
    t.http("create as a form", "POST", "/api/2.0/mlflow/users/create", data={"username": "x", "password": NOBODY[1]}, auth=ADMIN)
    t.http("get without name", "GET", "/api/2.0/mlflow/users/get", auth=ADMIN)
    for who in (ANN, NOBODY, (ANN[0], "wrong password")):
        t.http(f"current of {who}", "GET", "/api/2.0/mlflow/users/current", auth=who)
    t.http("current of no one", "GET", "/ajax-api/2.0/mlflow/users/current", keep_headers=["WWW-Authenticate"])
    t.http("current", "GET", "/ajax-api/2.0/mlflow/users/current", auth=ADMIN)

    def listed(answer):
        return [{k: u[k] for k in ("id", "username", "is_admin")} for u in answer["users"]]

    t.http("list", "GET", "/api/2.0/mlflow/users/list", show=listed, auth=ADMIN)
    t.http("list in the web UI", "GET", "/ajax-api/2.0/mlflow/users/list", show=listed, auth=ADMIN)


def passwords(t, users):
    t.part("passwords")
    better = "another password"
    with acting(ANN):
        t.step("own without present one", lambda: users.update_user_password("ann", better))
        t.step("own with wrong one", lambda: users.update_user_password("ann", better, "wrong password"))
        t.step("own too short", lambda: users.update_user_password("ann", "short", ANN[1]))
        t.step("own the same", lambda: users.update_user_password("ann", ANN[1], ANN[1]))
        t.step("own", lambda: users.update_user_password("ann", better, ANN[1]))
        t.step("old one", lambda: user(users.get_user("ann")))
    with acting(("ann", better)):
        t.step("new one", lambda: user(users.get_user("ann")))
        t.step("of another", lambda: users.update_user_password("eve", better))
        t.step("of nobody", lambda: users.update_user_password("nobody", better))
    t.step("by admin", lambda: users.update_user_password(*ANN))
    t.step("by admin of nobody", lambda: users.update_user_password(*NOBODY))
    t.step("by admin too short", lambda: users.update_user_password("ann", "short"))
    with acting(ANN):
        t.step("reset one", lambda: user(users.get_user("ann")))


def names(t, users):
    """What users may do to and know of each other."""
    t.part("others")
    with acting(ANN):
        for name in ("ann", "eve", "nobody"):
            t.step("get " + name, lambda: user(users.get_user(name)))
            t.step("make admin of " + name, lambda: users.update_user_admin(name, True))
            t.step("permission of " + name, lambda: users.get_user_permission(name, "experiment", "0").to_json())
            t.step("delete " + name, lambda: users.delete_user(name))
            t.http("permissions of " + name, "GET", f"/ajax-api/3.0/mlflow/users/permissions/list?username={name}", auth=ANN)
        t.step("create", lambda: user(users.create_user(*NOBODY)))
        t.http("list", "GET", "/api/2.0/mlflow/users/list", auth=ANN, show=lambda answer: "users" in answer)
        t.http("list roles", "GET", "/api/3.0/mlflow/roles/list", auth=ANN)
    t.step("delete oneself", lambda: users.delete_user(ADMIN[0]))
    t.step("delete unknown", lambda: users.delete_user("nobody"))
    t.step("make admin", lambda: users.update_user_admin("eve", True))
    with acting(EVE):
        t.step("admin", lambda: user(users.get_user("ann")))
        t.step("unmake admin", lambda: users.update_user_admin("eve", False))
        t.step("admin no more", lambda: user(users.get_user("ann")))
    t.step("make admin unknown", lambda: users.update_user_admin("nobody", True))
    t.http("make admin without", "PATCH", "/api/2.0/mlflow/users/update-admin", {"username": "eve"}, auth=ADMIN)


def experiments(t, users, client):
    t.part("experiments")
    with acting(ANN):
        of_ann = t.name(t.step("create", lambda: client.create_experiment("of ann")), "of ann")
        run, spare = (client.create_run(of_ann).info.run_id for _ in range(2))
    with acting(EVE):
        of_eve = t.name(client.create_experiment("of eve"), "of eve")

    def tries(who, label):
        """What someone may do with the experiment of ann."""
        with acting(who):
            t.step(f"{label}: read", lambda: client.get_experiment(of_ann).name)
            t.step(f"{label}: search", lambda: sorted(e.name for e in client.search_experiments()))
            t.step(f"{label}: tag", lambda: client.set_experiment_tag(of_ann, "k", label))
            t.step(f"{label}: metric", lambda: client.log_metric(run, "m", 1))
            t.step(f"{label}: delete run", lambda: client.delete_run(spare))
            t.step(f"{label}: grant", lambda: users.grant_user_permission("eve", "experiment", of_ann, "READ"))
            t.step(f"{label}: revoke", lambda: users.revoke_user_permission("eve", "experiment", of_ann))
        t.step(f"{label}: has", lambda: users.get_user_permission(who[0], "experiment", of_ann).to_json())

    tries(ANN, "manager")
    tries(BOB, "nobody")
    with acting(ANN):
        for p in ("DENY", "READ", "EDIT", "MANAGE"):
            t.step("grant " + p, lambda: users.grant_user_permission("bob müller", "experiment", of_ann, p))
            t.step("grant again", lambda: users.grant_user_permission("bob müller", "experiment", of_ann, p))
            tries(BOB, p)
            t.http("permissions with " + p, "GET", "/ajax-api/3.0/mlflow/users/current/permissions", auth=tuple(s.encode() for s in BOB), show=without_roles)
            with acting(ANN):
                t.step("revoke " + p, lambda: users.revoke_user_permission("bob müller", "experiment", of_ann))
        with acting(ANN):
            t.step("grant USE", lambda: users.grant_user_permission("eve", "experiment", of_ann, "USE"))
            with acting(EVE):
                t.step("USE: has", lambda: users.get_user_permission("eve", "experiment", of_ann).to_json())
                t.step("USE: tag", lambda: client.set_experiment_tag(of_ann, "k", "v"))
        with acting(ANN):
            t.step("revoke USE", lambda: users.revoke_user_permission("eve", "experiment", of_ann))
            t.step("revoke none", lambda: users.revoke_user_permission("bob müller", "experiment", of_ann))
            t.step("grant to unknown", lambda: users.grant_user_permission("nobody", "experiment", of_ann, "READ"))
            t.step("grant on foreign", lambda: users.grant_user_permission("ann", "experiment", of_eve, "READ"))
            t.step("grant on unknown", lambda: users.grant_user_permission("ann", "experiment", "77", "READ"))
            t.step("grant on unknown model", lambda: users.grant_user_permission("ann", "registered_model", "no such", "READ"))
            t.step("grant on all", lambda: users.grant_user_permission("ann", "experiment", "*", "READ"))
            for p in ("ALL", "NO_PERMISSIONS", "read", ""):
                t.step(f"grant {p!r}", lambda: users.grant_user_permission("bob müller", "experiment", of_ann, p))
            t.step("grant on a thing", lambda: users.grant_user_permission("bob müller", "thing", of_ann, "READ"))
            t.step("revoke on a thing", lambda: users.revoke_user_permission("bob müller", "thing", of_ann))
    t.step("admin grants", lambda: users.grant_user_permission("eve", "experiment", of_ann, "EDIT"))
    t.step("admin asks", lambda: users.get_user_permission("eve", "experiment", of_ann).to_json())
    t.step("admin asks of admin", lambda: users.get_user_permission(ADMIN[0], "experiment", of_ann).to_json())
    t.step("admin asks of unknown", lambda: users.get_user_permission("nobody", "experiment", of_ann).to_json())
    t.step("admin asks of a thing", lambda: users.get_user_permission("eve", "thing", of_ann).to_json())
    t.http("permissions of eve", "GET", "/ajax-api/3.0/mlflow/users/permissions/list?username=eve", auth=ADMIN, show=without_roles)
    t.http("permissions of unknown", "GET", "/ajax-api/3.0/mlflow/users/permissions/list?username=nobody", auth=ADMIN)
    for missing in ("username", "resource_type", "resource_id", "permission"):
        body = {"username": "eve", "resource_type": "experiment", "resource_id": of_ann, "permission": "READ"}
        del body[missing]
        t.http("grant without " + missing, "POST", "/api/3.0/mlflow/users/permissions/grant", body, auth=ADMIN)
    with acting(ANN):
        t.step("delete", lambda: client.delete_experiment(of_ann))
        t.step("restore", lambda: client.restore_experiment(of_ann))
    t.step("after restore", lambda: users.get_user_permission("eve", "experiment", of_ann).to_json())


def models(t, users, client):
    t.part("models")
    with acting(ANN):
        t.step("create", lambda: client.create_registered_model("churn").name)
    with acting(EVE):
        t.step("create taken", lambda: client.create_registered_model("churn").name)
        client.create_registered_model("of eve")

    def tries(who, label, name):
        with acting(who):
            t.step(f"{label}: read", lambda: client.get_registered_model(name).name)
            t.step(f"{label}: search", lambda: sorted(m.name for m in client.search_registered_models()))
            t.step(f"{label}: tag", lambda: client.set_registered_model_tag(name, "k", label))
            t.step(f"{label}: tag the unknown", lambda: client.set_registered_model_tag("no such", "k", label))
            t.step(f"{label}: grant", lambda: users.grant_user_permission("eve", "registered_model", name, "READ"))
            t.step(f"{label}: revoke", lambda: users.revoke_user_permission("eve", "registered_model", name))
            if label not in ("MANAGE", "manager"):
                t.step(f"{label}: delete", lambda: client.delete_registered_model(name))
                t.step(f"{label}: rename", lambda: client.rename_registered_model(name, "stolen")) if label != "EDIT" else None

    tries(ANN, "manager", "churn")
    tries(BOB, "nobody", "churn")
    for p in ("DENY", "READ", "EDIT", "MANAGE"):
        with acting(ANN):
            t.step("grant " + p, lambda: users.grant_user_permission("bob müller", "registered_model", "churn", p))
        tries(BOB, p, "churn")
        if p != "MANAGE":
            with acting(ANN):
                t.step("revoke " + p, lambda: users.revoke_user_permission("bob müller", "registered_model", "churn"))
    with acting(ANN):
        t.step("rename", lambda: client.rename_registered_model("churn", "leavers").name)
        t.step("manages the new name", lambda: client.set_registered_model_tag("leavers", "k", "v"))
    tries(BOB, "MANAGE", "leavers")
    with acting(EVE):
        t.step("create of the old name", lambda: client.create_registered_model("churn").name)
        t.step("tag the renamed", lambda: client.set_registered_model_tag("leavers", "k", "v"))
    with acting(ANN):
        t.step("tag the new one of the old name", lambda: client.set_registered_model_tag("churn", "k", "v"))
        t.step("delete", lambda: client.delete_registered_model("leavers"))
        t.step("create of the deleted name", lambda: client.create_registered_model("leavers").name)
    with acting(BOB):
        t.step("tag the new one of the deleted name", lambda: client.set_registered_model_tag("leavers", "k", "v"))
    t.http("permissions of bob", "GET", "/ajax-api/3.0/mlflow/users/permissions/list?username=bob+m%C3%BCller", auth=ADMIN, show=without_roles)
    t.http("permissions of ann", "GET", "/ajax-api/3.0/mlflow/users/permissions/list?username=ann", auth=ADMIN, show=without_roles)


def without_roles(answer):
    """The ids of roles and the order are the server's own business."""
    for p in answer["permissions"]:
        del p["role_id"]
    answer["permissions"].sort(key=lambda p: (p["resource_type"], p["resource_pattern"]))
    return answer


def pages(t):
    """What the web UI asks, with other ways to the same routes."""
    t.part("wire")
    for path in ("users/list", "users/get?username=ann", "users/current"):
        for method in ("HEAD", "POST", "PUT"):
            r = {"status": t_request(t, method, "/api/2.0/mlflow/" + path, ADMIN)}
            t.step(f"{method} {path}", lambda: r)
    for path in ("2.0/mlflow/users/list/", "2.0//mlflow/users/list"):
        r = {"status below 400": t_request(t, "GET", "/api/" + path, ANN) < 400}
        t.step("by another path " + path, lambda: r)


def t_request(t, method, path, who):
    import requests

    return requests.request(method, t.url + path, auth=who, timeout=60).status_code


def end(t, users):
    t.part("end")
    t.step("delete", lambda: users.delete_user("eve"))
    t.step("get", lambda: user(users.get_user("eve")))
    with acting(EVE):
        t.step("speak", lambda: user(users.get_user("eve")))
    t.step("create again", lambda: users.create_user(*EVE).username)
    with acting(EVE):
        t.step("has no permissions", lambda: users.get_user_permission("eve", "experiment", "0").to_json())
    t.http("holds nothing", "GET", "/ajax-api/3.0/mlflow/users/permissions/list?username=eve", auth=ADMIN)


if __name__ == "__main__":
    main()
