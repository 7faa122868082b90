"""Checkpoints, progress and a clean end for training programs (Python >= 3.8).

One file without dependencies: copy it beside the training script.

    import millwright_checkpoint as mw

    ck = mw.open()                      # everything comes from the environment
    found = ck.latest()                 # newest intact checkpoint, or None
    if found:
        model.load_state_dict(torch.load(found.path / "model.pt"))
    for step in range(found.step + 1 if found else 1, total + 1):
        loss = train_one_step()
        ck.report(step, total, loss=loss)
        if ck.due(step, every=500):     # also once after SIGTERM
            ck.save(step, lambda d: torch.save(model.state_dict(), d / "model.pt"))
        if ck.stopping:
            ck.exit()                   # exit status 143: to be resumed

The launcher sets MILLWRIGHT_CHECKPOINT_URI (a folder, or its file: URI),
MILLWRIGHT_CHECKPOINT_RESUME ("latest", "none" or a digest), MILLWRIGHT_ATTEMPT,
MILLWRIGHT_RESUMES, MILLWRIGHT_START, MILLWRIGHT_JOB_ID and MILLWRIGHT_GRACE_SECONDS. Under torchrun every process
calls the same functions: rank 0 writes and reports, the others go on, and there
is no barrier. All of them resume from the same checkpoint, because none looks at
those of the attempt that runs.

A checkpoint is a folder and, written last and in one step, a manifest with the
size and SHA-256 of each file. What a killed process leaves behind has no
manifest, and what was damaged later does not match it: neither is resumed from.

With MLFLOW_TRACKING_URI and MLFLOW_RUN_ID, metrics also go to that run, in the
background; training never waits for the server nor fails with it.
"""

import builtins
import datetime
import hashlib
import json
import math
import os
import pathlib
import shutil
import signal
import sys
import threading
import time
import urllib.parse
import urllib.request

FORMAT = 1
SUFFIX = ".manifest"
MAX_REPORT = 4096
MAX_MANIFEST = 16 << 20
OLD = 3600  # seconds after which what a killed process left behind is removed


class Damaged(Exception):
    """A checkpoint that is not what its manifest says; the text says why."""


class Found:
    """An intact checkpoint: its path (a folder), step, metrics and digest."""

    def __init__(self, manifest, digest, root):
        self.manifest = manifest
        self.step = manifest["step"]
        self.metrics = manifest.get("metrics") or {}
        self.attempt = manifest.get("attempt", 0)
        self.digest = digest
        self.path = root / manifest["folder"]

    def ref(self):
        """What is reported of it."""
        return {
            "step": self.step,
            "uri": self.path.absolute().as_uri(),
            "digest": self.digest,
            "time": self.manifest["time"],
        }


def open(uri=None, keep=3, env=None, out=None, report_every=1.0, on_signal=True):  # noqa: A001
    """Checkpoints by the environment.

    uri: where they lie. Default: MILLWRIGHT_CHECKPOINT_URI; without it nothing
        is kept and reports are printed all the same.
    keep: how many of the newest are kept beside the one that was resumed from;
        0 keeps all.
    report_every: the least seconds between two printed reports.
    on_signal: handle SIGTERM. Only the main thread can.
    """
    return Checkpoints(uri, keep, os.environ if env is None else env, out, report_every, on_signal)


class Checkpoints:
    def __init__(self, uri, keep, env, out, report_every, on_signal):
        uri = uri if uri is not None else env.get("MILLWRIGHT_CHECKPOINT_URI", "")
        self.root = _folder(uri) if uri else None
        self.keep = keep
        self.resume = env.get("MILLWRIGHT_CHECKPOINT_RESUME") or "latest"
        self.job = env.get("MILLWRIGHT_JOB_ID", "")
        self.attempt = _int(env.get("MILLWRIGHT_ATTEMPT")) + _int(env.get("MILLWRIGHT_RESUMES"))
        # Differs from start to start, where the attempt may be counted anew.
        self.start = env.get("MILLWRIGHT_START", "")
        self.node = _int(env.get("GROUP_RANK") or env.get("PET_NODE_RANK"))
        self._began = time.time()
        # torchrun restarts workers by itself, within one attempt.
        self.restart = _int(env.get("TORCHELASTIC_RESTART_COUNT"))
        self.rank = _int(env.get("RANK"))
        self.grace = float(env.get("MILLWRIGHT_GRACE_SECONDS") or 10)
        self.skipped = []  # (manifest's name, reason) of the last latest()
        self._out = out
        self._every = report_every
        self._printed = 0.0
        self._pending = None
        self._asked = None
        self._saved = None  # the last step that was saved
        self._from = None  # the manifest's name of what was resumed from
        self._metrics = _Tracking.from_env(env) if self.rank == 0 else None
        if self.root is not None and self.rank == 0:
            self.root.mkdir(parents=True, exist_ok=True)
            self._sweep()
        if on_signal and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_term)

    # -- the end

    def _on_term(self, *_):
        if self._asked is None:
            self._asked = time.monotonic()
            if self.rank != 0:
                threading.Thread(target=self._leave_with_rank0, daemon=True).start()

    @property
    def stopping(self):
        """Whether to save and exit. Only rank 0 is ever told: the others train
        on until it has saved, or it might wait for them in a collective."""
        return self._asked is not None and self.rank == 0

    def grace_left(self):
        """Seconds until SIGKILL, or infinity."""
        if self._asked is None:
            return math.inf
        return max(0.0, self.grace - (time.monotonic() - self._asked))

    def due(self, step, every):
        """Whether a checkpoint is due: every so many steps, and when stopping."""
        if step == self._saved:
            return False
        return self.stopping or (every > 0 and step % every == 0)

    def exit(self, code=143):
        """Ends the process after a SIGTERM with the status that says so."""
        self.close()
        marker = self._marker()
        if marker is not None and self.rank == 0:
            marker.touch()
        sys.exit(code)

    def _marker(self):
        if self.root is None or not self.job:
            return None
        return self.root / (".tmp-stopped-%s-%d-%d" % (self.job, self.attempt, self.restart))

    def _leave_with_rank0(self):
        marker = self._marker()
        while marker is not None and not _newer(marker, self._began):
            time.sleep(0.1)
        os._exit(143)

    # -- saving

    def save(self, step, write, metrics=None):
        """Calls write(folder) and makes what it wrote a checkpoint. Returns it as
        Found; None on all ranks but 0, and without a URI."""
        if self.rank != 0 or self.root is None:
            return None
        name = "step-%020d-a%d-%s" % (step, self.attempt, os.urandom(4).hex())
        temp = self.root / (".tmp-" + name)
        temp.mkdir()
        try:
            write(temp)
            files = _seal(temp)
            if not files:
                raise ValueError("checkpoint of step %d: nothing was written to its folder" % step)
            os.rename(str(temp), str(self.root / name))
        except BaseException:
            shutil.rmtree(str(temp), ignore_errors=True)
            raise
        _sync(self.root)
        manifest = {
            "format": FORMAT,
            "step": step,
            "attempt": self.attempt,
            "restart": self.restart,
            "job": self.job,
            "time": _now(),
            "folder": name,
            "files": files,
        }
        if self.start:
            manifest["start"] = self.start
        if metrics:
            manifest["metrics"] = _finite(metrics)
        text = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        digest = "sha256:" + hashlib.sha256(text).hexdigest()
        _write(self.root / (name + SUFFIX), text + b"\n" + digest.encode() + b"\n")
        found = Found(manifest, digest, self.root)
        self._saved = step
        self._print({"step": step, "metrics": _finite(metrics or {}), "checkpoint": found.ref()})
        self._trim()
        return found

    def _trim(self):
        if self.keep <= 0:
            return
        for path in self._manifests()[self.keep :]:
            if path.name == self._from:
                continue  # ranks that start late are yet to read it
            # The manifest first: what is half removed is no checkpoint.
            _remove(path)
            shutil.rmtree(str(path)[: -len(SUFFIX)], ignore_errors=True)

    def _sweep(self):
        """Removes what killed processes left behind."""
        for path in self.root.iterdir():
            partial = path.name.startswith(".tmp-")
            orphan = path.name.startswith("step-") and path.is_dir() and not path.with_name(path.name + SUFFIX).exists()
            try:
                old = time.time() - path.stat().st_mtime > OLD
            except OSError:
                continue
            if old and (partial or orphan):
                if path.is_dir():
                    shutil.rmtree(str(path), ignore_errors=True)
                else:
                    _remove(path)

    # -- resuming

    def _manifests(self):
        """The manifests' paths, newest first: by step, then attempt, then time."""
        paths = []
        for path in self.root.glob("step-*" + SUFFIX):
            parts = path.name[: -len(SUFFIX)].split("-")
            if len(parts) == 4 and parts[1].isdigit() and parts[2][1:].isdigit():
                try:
                    paths.append((int(parts[1]), int(parts[2][1:]), path.stat().st_mtime_ns, path))
                except OSError:
                    continue
        return [p[-1] for p in sorted(paths, reverse=True)]

    def latest(self):
        """The newest intact checkpoint that this attempt may resume from, or None.
        What was passed over is in skipped, and on standard error."""
        self.skipped = []
        if self.root is None or self.resume == "none" or not self.root.is_dir():
            return None
        for path in self._manifests():
            try:
                found = read_manifest(path)
                if self.resume != "latest" and found.digest != self.resume:
                    continue
                if self._running(found.manifest):
                    continue  # rank 0 may be faster than the others
                verify(found)
                self._from = path.name
                # By this the launcher knows what of an earlier attempt was of use,
                # also when all that it said is gone.
                self._print({"step": found.step, "checkpoint": found.ref()})
                return found
            except (Damaged, OSError) as err:
                self.skipped.append((path.name, str(err)))
                if self.rank == 0:
                    print("checkpoint %s is passed over: %s" % (path.name, err), file=sys.stderr)
        if self.resume != "latest":
            raise Damaged("there is no intact checkpoint %s in %s" % (self.resume, self.root))
        return None

    def _running(self, m):
        """Whether a checkpoint is of the attempt that runs."""
        if not self.job or m.get("job") != self.job or m.get("attempt", 0) < self.attempt:
            return False
        if not self.start or m.get("start", "") == self.start:
            return m.get("attempt", 0) > self.attempt or m.get("restart", 0) >= self.restart
        # Where a queue takes the machines back and gives others, the attempts may
        # be counted from the same number again. Rank 0 saves, so on its own machine
        # what another start saved is older; elsewhere it is if it was there before
        # this process, because the ranks of an attempt start together.
        return self.node != 0 and _seconds(m.get("time")) >= self._began

    # -- progress

    def report(self, step, total=0, **metrics):
        """Says how far the training is; metrics are numbers. Rank 0's counts."""
        if self.rank != 0:
            return
        values = _finite(metrics)
        if self._metrics is not None and values:
            self._metrics.add(step, values)
        self._pending = {"step": step, "total": total, "metrics": values}
        now = time.monotonic()
        if now - self._printed >= self._every or step == total:
            self._printed = now
            self._print(self._pending)

    def _print(self, report):
        if self.rank != 0:
            return
        self._pending = None
        line = "##millwright " + json.dumps({k: v for k, v in report.items() if v}, separators=(",", ":"))
        if len(line) >= MAX_REPORT and report.get("metrics"):
            self._print(dict(report, metrics={}))
            return
        out = self._out or sys.stdout
        out.write(line + "\n")
        out.flush()

    def close(self):
        """Prints the last report and sends the last metrics. Optional."""
        if self._pending is not None:
            self._print(self._pending)
        if self._metrics is not None:
            self._metrics.close(min(5.0, self.grace_left() / 2))


def read_manifest(path):
    """Reads a manifest and checks it against itself."""
    path = pathlib.Path(path)
    with builtins.open(str(path), "rb") as f:
        data = f.read(MAX_MANIFEST + 1)
    text, _, rest = data.partition(b"\n")
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    if len(data) > MAX_MANIFEST or rest != digest.encode() + b"\n":
        raise Damaged("its manifest is cut off or was changed")
    try:
        m = json.loads(text.decode())
        if m["format"] != FORMAT:
            raise Damaged("its manifest has format %s, this module knows %d" % (m["format"], FORMAT))
        if m["folder"] + SUFFIX != path.name or type(m["step"]) is not int or m["step"] < 0 or not m["files"]:
            raise Damaged("its manifest is incomplete")
        for f in m["files"]:
            parts = f["path"].split("/")
            if f["path"].startswith("/") or ".." in parts or "" in parts:
                raise Damaged("its manifest names a file outside its folder")
        return Found(m, digest, path.parent)
    except (KeyError, TypeError, AttributeError, ValueError) as err:
        raise Damaged("its manifest is no manifest: %s" % err)


def verify(found):
    """Raises Damaged unless all files are there with the right digests."""
    for f in found.manifest["files"]:
        path = found.path / f["path"]
        try:
            size = path.stat().st_size
        except OSError:
            raise Damaged("%s is missing" % f["path"])
        if size != f["size"]:
            raise Damaged("%s has %d bytes, not %d" % (f["path"], size, f["size"]))
        if _sha256(path) != f["sha256"]:
            raise Damaged("%s has another SHA-256 than its manifest says" % f["path"])


class _Tracking(threading.Thread):
    """Sends metrics to an MLflow server in the background."""

    LIMIT = 10000  # metrics that wait; older ones are dropped

    @staticmethod
    def from_env(env):
        url, run = env.get("MLFLOW_TRACKING_URI", ""), env.get("MLFLOW_RUN_ID", "")
        if not run or not url.startswith(("http://", "https://")):
            return None
        tracking = _Tracking(daemon=True)
        tracking.url = url.rstrip("/") + "/api/2.0/mlflow/runs/log-batch"
        tracking.run_id = run
        tracking.headers = {"Content-Type": "application/json"}
        if env.get("MLFLOW_TRACKING_TOKEN"):
            tracking.headers["Authorization"] = "Bearer " + env["MLFLOW_TRACKING_TOKEN"]
        elif env.get("MLFLOW_TRACKING_USERNAME"):
            import base64

            pair = env["MLFLOW_TRACKING_USERNAME"] + ":" + env.get("MLFLOW_TRACKING_PASSWORD", "")
            tracking.headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        tracking.queue, tracking.told = [], False
        tracking.wake, tracking.done = threading.Condition(), False
        tracking.start()
        return tracking

    def add(self, step, values):
        now = int(time.time() * 1000)
        with self.wake:
            for key, value in values.items():
                self.queue.append({"key": key, "value": value, "timestamp": now, "step": step})
            del self.queue[: -self.LIMIT]
            self.wake.notify()

    def run(self):
        while True:
            with self.wake:
                while not self.queue and not self.done:
                    self.wake.wait()
                if not self.queue:
                    return
                batch = self.queue[:1000]
                del self.queue[:1000]
            body = json.dumps({"run_id": self.run_id, "metrics": batch}).encode()
            try:
                request = urllib.request.Request(self.url, body, self.headers)
                with urllib.request.urlopen(request, timeout=10):
                    pass
                if not self.done:
                    time.sleep(1)  # so that metrics come in batches
            except Exception as err:  # noqa: BLE001 - training goes on whatever the server does
                if not self.told:
                    self.told = True
                    print("metrics do not reach %s: %s" % (self.url, err), file=sys.stderr)
                if self.done:
                    return
                with self.wake:
                    self.queue[:0] = batch
                    del self.queue[: -self.LIMIT]
                time.sleep(5)

    def close(self, seconds):
        with self.wake:
            self.done = True
            self.wake.notify()
        self.join(seconds)


def _folder(uri):
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file":
        return pathlib.Path(urllib.parse.unquote(parts.path))
    if parts.scheme and "://" in uri:
        raise ValueError(
            "checkpoint URI %r: this module writes to folders; mount the store (a volume, a FUSE file system)" % uri
        )
    return pathlib.Path(uri)


def _seal(folder):
    """Makes all files durable and returns their sizes and digests."""
    files = []
    for base, dirs, names in os.walk(str(folder)):
        dirs.sort()
        for name in sorted(names):
            path = pathlib.Path(base) / name
            _sync(path)
            files.append(
                {
                    "path": path.relative_to(folder).as_posix(),
                    "size": path.stat().st_size,
                    "sha256": _sha256(path),
                }
            )
        _sync(base)
    return files


def _sha256(path):
    h = hashlib.sha256()
    with builtins.open(str(path), "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            h.update(chunk)
    return h.hexdigest()


def _write(path, data):
    """Writes a file whole or not at all, durably."""
    temp = path.with_name(".tmp-" + path.name)
    with builtins.open(str(temp), "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    os.replace(str(temp), str(path))
    _sync(path.parent)


def _sync(path):
    fd = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path):
    try:
        path.unlink()
    except OSError:
        pass


def _finite(metrics):
    values = {}
    for key, value in metrics.items():
        value = float(value)
        if math.isfinite(value):
            values[key] = value
    return values


def _now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(text):
    """A manifest's time as time.time() counts it; now when it has none."""
    try:
        day = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
        return day.replace(tzinfo=datetime.timezone.utc).timestamp() + float("0" + text[19:].rstrip("Z"))
    except (TypeError, ValueError):
        return time.time()


def _newer(path, since):
    """Whether a file was touched since, give or take the clock of its disk."""
    try:
        return path.stat().st_mtime >= since - 1
    except OSError:
        return False


def _int(text):
    try:
        return max(0, int(text or 0))
    except ValueError:
        return 0
