"""How a step's result becomes a line that two servers' answers agree on."""

import dataclasses
import enum
import json
import math
import re
import sys
import time
import traceback

import requests
from mlflow.entities._mlflow_object import _MlflowObject
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.entities.paged_list import PagedList

# What MLflow's own tests and users look for in messages. The rest of a message
# is the server's own wording.
SAYINGS = [
    r"Missing value for required parameter '[^']*'",
    r"Invalid value .{0,200}? for parameter '[^']*' supplied",
    r"Invalid path",
    r"Changing param values is not allowed",
    r"already exists",
    r"Invalid clause\(s\) in filter string",
    r"must be in the 'active' state",
]

# Fields that are measured or counted in bytes of something that differs from
# session to session.
MEASURED = re.compile(
    r"^(mlflow\.trace\.size(Bytes|Stats)|mlflow\.traceSize|execution_duration(_ms)?|duration(_ms)?"
    r"|start_time_unix_nano|end_time_unix_nano|start_time_ns|end_time_ns|time_unix_nano|model_size_bytes)$"
)
# Times written as text.
WRITTEN_TIME = re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d)?")
DURATION = re.compile(r"^\d+(\.\d+)?s$")
# Ids that nothing named: what is left of them is their shape.
HEX = re.compile(r"\b(m-|tr-|a-|d-)?[0-9a-f]{32}\b")
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


class Transcript:
    def __init__(self, out, url, root):
        self.out, self.url, self.root = out, url, root
        self.prefix = ""
        self.names = {}  # an id or path of this session → its stable name
        self.seen = {}
        self.began = time.time()

    def part(self, name):
        self.prefix = name
        print(f"{time.time() - self.began:6.1f} s  {name}", file=sys.stderr)

    def name(self, value, stable):
        """From now on, value is written as <stable>."""
        if value not in (None, ""):
            self.names[str(value)] = f"<{stable}>"
        return value

    def step(self, name, do):
        """Runs do, writes down what it returns or raises, and returns it."""
        value = None
        try:
            value = do()
            result = plain(value)
        except MlflowException as e:
            result = {"error_code": e.error_code, "says": says(e.message), "told": bool(e.message)}
            if isinstance(e, RestException):
                result["status"] = e.get_http_status_code()
            else:
                result["raised_by"] = "the client"
        except Exception as e:  # the client's own failure is an outcome like any other
            traceback.print_exc(file=sys.stderr)
            result = {"exception": type(e).__name__, "says": says(str(e))}
        label = self.normal(f"{self.prefix}/{name}")
        self.seen[label] = self.seen.get(label, 0) + 1
        if self.seen[label] > 1:
            label += f" ({self.seen[label]})"
        # Short ids, those of experiments, are ids only where one is wanted.
        field = "experiment" if "create" in name else "result"
        line = {"step": label, "result": self.normal(result, field)}
        self.out.write(json.dumps(line, sort_keys=True) + "\n")
        self.out.flush()
        return value

    def http(self, name, method, path, body=None, show=None, keep_headers=(), **kwargs):
        """One bare request, and its status, body and chosen headers."""

        def do():
            if body is not None:
                kwargs["json"] = body
            r = requests.request(method, self.url + path, timeout=60, **kwargs)
            answer = {"status": r.status_code}
            for h in keep_headers:
                answer[h] = r.headers.get(h)
            try:
                got = r.json()
            except ValueError:
                answer["text"] = r.text[:500] if r.status_code < 400 else bool(r.text)
                return answer
            if r.status_code >= 400 and isinstance(got, dict) and "error_code" in got:
                answer["error_code"] = got["error_code"]
                answer["told"] = bool(got.get("message"))
                answer["says"] = says(got.get("message", ""))
            else:
                answer["body"] = show(got) if show else got
            return answer

        return self.step(name, do)

    def normal(self, v, field=""):
        if isinstance(v, dict):
            return {self.text(k) if len(k) >= 8 else k: self.normal(x, k) for k, x in v.items()}
        if isinstance(v, list):
            return [self.normal(x, field) for x in v]
        if field.startswith("mlflow.source.git."):
            return "<git>"
        if MEASURED.match(field):
            return "<measured>"
        if isinstance(v, bool) or v is None:
            return v
        if isinstance(v, int):
            return self.number(v)
        if isinstance(v, str):
            if len(v) < 8 and "experiment" not in field.lower():
                return v
            return self.text(v)
        return v

    def number(self, v):
        now = time.time()
        for unit in (1, 1e3, 1e6, 1e9):
            if abs(v / unit - now) < 86400:
                return "<time>"
        return self.names.get(str(v), v) if v > 10**15 else v

    def text(self, s):
        if s in self.names:
            return self.names[s]
        if s.isdigit() and len(s) >= 10:
            return str(self.number(int(s)))
        if DURATION.match(s):
            return "<measured>"
        if s[:1] in "{[":
            try:  # JSON in a text, such as the history of logged models
                return "json:" + json.dumps(self.normal(plain(json.loads(s))), sort_keys=True)
            except ValueError:
                pass
        s = s.replace(self.url, "<server>").replace(self.root + "/", "<root>/")
        for value in sorted((n for n in self.names if len(n) > 8), key=len, reverse=True):
            s = s.replace(value, self.names[value])
        # Short ids, of experiments, only as parts of paths.
        parts = s.split("/")
        if len(parts) > 1 and parts[0].startswith("<root>"):
            s = "/".join(self.names.get(p, p) for p in parts)
        s = WRITTEN_TIME.sub("<time>", s)
        return UUID.sub("<uuid>", HEX.sub(lambda m: f"<{m[1] or ''}id>", s))


def says(message):
    found = []
    for pattern in SAYINGS:
        if m := re.search(pattern, message, re.DOTALL):
            found.append(m[0])
    return found


def plain(v):
    """The value as JSON knows it, with what a float can be and JSON cannot."""
    if isinstance(v, enum.Enum):
        return v.name
    if v is None or isinstance(v, (bool, int, str)):
        return v
    if isinstance(v, float):
        return v if math.isfinite(v) else repr(v)
    if isinstance(v, PagedList):
        return {"items": [plain(x) for x in v], "more": bool(v.token)}
    if isinstance(v, dict):
        return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, (set, frozenset)):
        return sorted(plain(x) for x in v)
    if hasattr(v, "to_proto") and type(v).__name__ == "Trace":
        return {"info": plain(v.info), "spans": [plain(s) for s in v.data.spans]}
    if type(v).__name__ in ("Span", "LiveSpan"):
        return {
            "name": v.name, "type": v.span_type, "status": plain(v.status), "parent": bool(v.parent_id),
            "inputs": plain(v.inputs), "outputs": plain(v.outputs), "attributes": plain(v.attributes),
            "events": [{"name": e.name} for e in v.events], "ended": v.end_time_ns is not None,
        }
    if dataclasses.is_dataclass(v) and not isinstance(v, type):
        return {f.name: plain(getattr(v, f.name)) for f in dataclasses.fields(v)}
    if isinstance(v, _MlflowObject):
        # A logged model's metrics have no order.
        by_key = lambda metrics: sorted(metrics, key=lambda m: (m.key, m.dataset_name or ""))
        named = type(v).__name__ == "LoggedModel"
        got = {k: plain(by_key(x) if named and k == "metrics" and x else x) for k, x in v}
        if type(v).__name__ == "RegisteredModel":  # nor its latest versions
            got["latest_versions"].sort(key=lambda version: int(version["version"]))
        return got
    if type(v).__name__ == "RepeatedScalarContainer":  # of protobuf: the aliases of a version
        return sorted(v)
    if hasattr(v, "item"):  # numpy's numbers
        return plain(v.item())
    if hasattr(v, "isoformat"):
        return "NaT" if str(v) == "NaT" else v.isoformat()
    return f"{type(v).__name__}"
