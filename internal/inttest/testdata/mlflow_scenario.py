"""A session with the unmodified mlflow client, written down for comparison.

    mlflow_scenario.py URL TRANSCRIPT [--root URI] [--steps NAME,…]

It does to the server at URL what data scientists do and appends one JSON line
for each step to TRANSCRIPT: the step's name and what the client got. Ids and
times are replaced by stable names, so that the transcripts of two servers can
be compared field by field. URI is the server's artifact root, where it is not
the proxy. It exits with 0 when the session came to its end, whatever was said.
"""

import argparse
import os
import sys

# A server that answers 5xx is not to hold the session up, and nothing is to be
# told to anyone but the server.
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] = "0"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "1"
os.environ["DO_NOT_TRACK"] = "true"
# Traces are flushed before they are read, so an absent one stays absent.
os.environ["MLFLOW_GET_TRACE_OTEL_RETRY_TIMEOUT_SECONDS"] = "0"
# Steps are run one after the other, so the session's own threads can be few.
os.environ["MLFLOW_ASYNC_TRACE_LOGGING_MAX_INTERVAL_MILLIS"] = "100"

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("transcript")
    parser.add_argument("--root", default="mlflow-artifacts:")
    parser.add_argument("--steps", default="")
    args = parser.parse_args()

    import mlflow

    from scenario import experiments, metrics, models, prompts, registry, registry_wire, runs, search, traces, wire
    from scenario.transcript import Transcript

    mlflow.set_tracking_uri(args.url)
    parts = {
        "experiments": experiments.play,
        "runs": runs.play,
        "metrics": metrics.play,
        "search": search.play,
        "models": models.play,
        "traces": traces.play,
        "wire": wire.play,
        "registry": registry.play,
        "prompts": prompts.play,
        "registrywire": registry_wire.play,
    }
    chosen = args.steps.split(",") if args.steps else list(parts)
    with open(args.transcript, "w", encoding="utf-8") as out:
        t = Transcript(out, args.url.rstrip("/"), args.root.rstrip("/"))
        for name in chosen:
            t.part(name)
            parts[name](t)


if __name__ == "__main__":
    main()
