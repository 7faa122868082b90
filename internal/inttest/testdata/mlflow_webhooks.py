"""Webhooks with the unmodified mlflow client, and a receiver that checks what
comes with upstream's own code.

    mlflow_webhooks.py URL RESULT

It makes webhooks on the server at URL, does everything that they are told of,
and writes one JSON object to RESULT: what the client got, and what the receiver
did. Ids and times are left out, so that two servers can be compared. It exits with
another status than 0 when a request is not as upstream's code would make it.
"""

import json
import os
import sys
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

import mlflow
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException
from mlflow.webhooks.constants import WEBHOOK_DELIVERY_ID_HEADER, WEBHOOK_SIGNATURE_HEADER, WEBHOOK_TIMESTAMP_HEADER
from mlflow.webhooks.delivery import _generate_hmac_signature
from mlflow.webhooks.types import EVENT_TO_PAYLOAD_CLASS

SECRET = "s3cret ünïcode"
EVENTS = sorted(f"{e.value}.{a.value}" for e, a in EVENT_TO_PAYLOAD_CLASS if e.value != "budget_policy")

TOLD = 17  # events of the session

lock = threading.Lock()
got = {}  # by path: what was delivered
refused = {}  # delivery ids that were answered with 503, by path
faults = []


def check(path, headers, raw):
    delivery, stamp = headers[WEBHOOK_DELIVERY_ID_HEADER], headers[WEBHOOK_TIMESTAMP_HEADER]
    want = _generate_hmac_signature(SECRET, delivery, stamp, raw.decode()) if path != "/plain" else None
    if headers[WEBHOOK_SIGNATURE_HEADER] != want:
        faults.append(f"{path}: signature {headers[WEBHOOK_SIGNATURE_HEADER]}, want {want}")
    if abs(time.time() - int(stamp)) > 60:
        faults.append(f"{path}: timestamp {stamp}")
    if headers["Content-Type"] != "application/json":
        faults.append(f"{path}: {headers['Content-Type']}")
    body = json.loads(raw)
    if set(body) != {"entity", "action", "timestamp", "data"}:
        faults.append(f"{path}: body has {sorted(body)}")
    if abs(datetime.fromisoformat(body["timestamp"]).timestamp() - time.time()) > 60:
        faults.append(f"{path}: timestamp {body['timestamp']}")
    event = WebhookEvent(body["entity"], body["action"])
    keys = set(EVENT_TO_PAYLOAD_CLASS[event.entity, event.action].__annotations__)
    if set(body["data"]) != keys:
        faults.append(f"{path}: {event} has {sorted(body['data'])}, want {sorted(keys)}")
    return delivery, str(event), body["data"]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            try:
                delivery, event, data = check(self.path, self.headers, raw)
                status = 200
                if self.path == "/flaky" and not refused.get(self.path):
                    refused[self.path] = delivery
                    status = 503
                elif self.path == "/flaky" and delivery != refused[self.path] and not got.get(self.path):
                    faults.append("/flaky: another id at the second attempt")
                if self.path == "/teapot":
                    status = 418
                if status == 200 and data.get("key") != "_mlflow_experiment_ids":  # set by a thread of the client's
                    got.setdefault(self.path, []).append([event, data])
            except Exception as e:
                faults.append(f"{self.path}: {e!r} in {raw!r}")
                status = 400
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


def shown(w):
    return {
        "name": w.name, "url": w.url.split("/", 3)[3], "description": w.description, "status": str(w.status), "secret": w.secret,
        "events": sorted(map(str, w.events)), "times": w.last_updated_timestamp >= w.creation_timestamp > 1.7e12,
    }


def tried(do):
    try:
        return do()
    except MlflowException as e:
        return {"error": e.error_code, "status": e.get_http_status_code()}


def result(r):
    return {"success": r.success, "status": r.response_status, "body": r.response_body, "failed": bool(r.error_message)}


def wait(path, n):
    end = time.time() + 60
    while time.time() < end:
        with lock:
            if len(got.get(path, [])) >= n:
                return
        time.sleep(0.02)
    with lock:
        sys.exit(f"{path} got {len(got.get(path, []))} events, want {n}: {got.get(path)}")


def main():
    mlflow.set_tracking_uri(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    to = f"http://127.0.0.1:{server.server_port}"
    c = MlflowClient()
    out = {}

    every = c.create_webhook("all", to + "/all", EVENTS, description="d ü", secret=SECRET)
    out["create"] = shown(every)
    plain = c.create_webhook("plain.x_y-1", to + "/plain", ["model_version_alias.created"])
    out["create plain"] = shown(plain)
    off = c.create_webhook("off", to + "/off", EVENTS, secret=SECRET, status=WebhookStatus.DISABLED)
    out["create off"] = shown(off)
    flaky = c.create_webhook("flaky", to + "/flaky", ["registered_model.created"], secret=SECRET)
    out["get"] = shown(c.get_webhook(every.webhook_id))
    out["get absent"] = tried(lambda: c.get_webhook("absent"))
    listed = c.list_webhooks(max_results=2)
    rest = c.list_webhooks(max_results=2, page_token=listed.token)
    out["list"] = [sorted(w.name for w in [*listed, *rest]), len(listed), bool(rest.token)]
    for name, bad in {
        "name": ("-x", to, ["prompt.created"], "s"), "long name": ("x" * 64, to, ["prompt.created"], "s"), "URL": ("x", "ftp://x", ["prompt.created"], "s"),
        "no host": ("x", "https://", ["prompt.created"], "s"), "unknown host": ("x", "https://x.invalid/", ["prompt.created"], "s"),
    }.items():
        if name != "unknown host":  # upstream is told to let private addresses through, and then does not look
            out["create with bad " + name] = tried(lambda: shown(c.create_webhook(*bad)))

    c.create_registered_model("fraud", tags={"a": "1", "b": "ü"}, description="what it is")
    c.create_model_version("fraud", "s3://bucket/model", tags={"t": "1"}, description="first")
    c.create_model_version("fraud", "s3://bucket/model2")
    c.set_registered_model_tag("fraud", "x", "1")
    c.delete_registered_model_tag("fraud", "x")
    c.set_model_version_tag("fraud", "1", "k", "v")
    c.delete_model_version_tag("fraud", "1", "k")
    c.set_registered_model_alias("fraud", "champion", "1")
    c.set_registered_model_alias("fraud", "champion", "2")
    c.delete_registered_model_alias("fraud", "champion")
    mlflow.genai.register_prompt("greet", "Hello {{name}}!", commit_message="first", tags={"author": "ann"})
    mlflow.genai.register_prompt("greet", "Bye {{name}}!")
    c.set_prompt_tag("greet", "team", "x")
    c.delete_prompt_tag("greet", "team")
    c.set_prompt_version_tag("greet", "1", "k", "v")
    c.delete_prompt_version_tag("greet", "1", "k")
    c.set_prompt_alias("greet", "prod", 1)
    c.delete_prompt_alias("greet", "prod")
    wait("/all", TOLD)
    wait("/plain", 2)
    wait("/flaky", 1)

    out["test"] = result(c.test_webhook(every.webhook_id))["success"]
    for e in EVENTS:
        out["test " + e] = result(c.test_webhook(every.webhook_id, e))
    with lock:
        examples = got["/all"][TOLD:]
        del got["/all"][TOLD:]
    out["examples"] = sorted({e for e, _ in examples})
    out["test off"] = result(c.test_webhook(off.webhook_id))
    with lock:
        del got["/off"]
    out["test absent"] = tried(lambda: result(c.test_webhook("absent")))
    out["update"] = shown(c.update_webhook(every.webhook_id, name="other", status="DISABLED", events=["prompt.created"], url=to + "/teapot"))
    out["test teapot"] = {k: v for k, v in result(c.test_webhook(every.webhook_id)).items() if k != "failed"}
    out["update description"] = shown(c.update_webhook(every.webhook_id, description=""))
    out["update absent"] = tried(lambda: shown(c.update_webhook("absent", name="x")))
    out["update bad"] = tried(lambda: shown(c.update_webhook(every.webhook_id, url="ftp://x")))
    c.delete_webhook(every.webhook_id)
    out["deleted"] = tried(lambda: shown(c.get_webhook(every.webhook_id)))
    out["delete again"] = tried(lambda: c.delete_webhook(every.webhook_id))
    with lock:
        out["got"] = {path: sorted(list_, key=json.dumps) for path, list_ in got.items()}
        if faults:
            sys.exit("\n".join(faults))
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        json.dump(out, f, indent=1, sort_keys=True, ensure_ascii=False)


if __name__ == "__main__":
    main()
