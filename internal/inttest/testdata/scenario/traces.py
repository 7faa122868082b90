"""Tracing: spans, search_traces, tags, assessments, links, deletion."""

import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import AssessmentSource, Expectation, Feedback, SpanEvent, SpanType


def play(t):
    c = MlflowClient()
    exp = mlflow.set_experiment("traces").experiment_id
    t.name(exp, "experiment traces")

    @mlflow.trace(span_type=SpanType.TOOL, attributes={"unit": "C"})
    def weather(city):
        return {"city": city, "degrees": 21.5}

    @mlflow.trace(name="agent", span_type=SpanType.AGENT)
    def agent(question):
        with mlflow.start_span("think", span_type=SpanType.CHAIN) as span:
            span.set_inputs({"question": question})
            span.add_event(SpanEvent("thought", attributes={"n": 1}))
            span.set_outputs("ask the tool")
        return weather("Łódź")["degrees"]

    @mlflow.trace
    def breaks(n):
        raise ValueError("on purpose")

    def call(name, f, *args):
        try:
            f(*args)
        except ValueError:
            pass
        id = mlflow.get_last_active_trace_id()
        mlflow.flush_trace_async_logging()
        t.name(id, f"trace {name}")
        t.name(id.removeprefix("tr-"), f"otel trace {name}")
        for s in mlflow.get_trace(id).data.spans:
            t.name(s.span_id, f"span {name}.{s.name}")
        return id

    ok = call("ok", agent, "How warm?")
    bad = call("bad", breaks, 7)
    t.step("trace", lambda: mlflow.get_trace(ok))
    t.step("trace of error", lambda: mlflow.get_trace(bad).info)
    t.step("spans of error", lambda: [[s.name, s.status.status_code.name, s.status.description, [e.name for e in s.events]] for s in mlflow.get_trace(bad).data.spans])
    t.step("get unknown", lambda: mlflow.get_trace("tr-" + "0" * 32))
    t.step("client get unknown", lambda: c.get_trace("tr-" + "0" * 32))

    with mlflow.start_run(run_name="traced") as run:
        t.name(run.info.run_id, "run traced")
        in_run = call("in run", weather, "Oslo")
    t.step("trace in run", lambda: mlflow.get_trace(in_run).info)

    @mlflow.trace(name="tagged")
    def tagged(x):
        mlflow.update_current_trace(tags={"env": "prod", "k.with.dot": "1"}, metadata={"mlflow.trace.session": "s-1", "mlflow.trace.user": "ann"}, client_request_id="req-77")
        return x * 2

    with_tags = call("tagged", tagged, 21)
    t.step("tagged", lambda: mlflow.get_trace(with_tags).info)

    def imperative():
        root = c.start_trace("imperative", inputs={"a": 1}, tags={"how": "by hand"}, experiment_id=exp)
        child = c.start_span("child", trace_id=root.trace_id, parent_id=root.span_id, span_type="LLM", inputs=["x"], attributes={"model": "none"})
        c.end_span(root.trace_id, child.span_id, outputs="y", status="OK")
        c.end_trace(root.trace_id, outputs={"b": 2}, status="OK")
        mlflow.flush_trace_async_logging()
        t.name(root.trace_id, "trace imperative")
        t.name(root.trace_id.removeprefix("tr-"), "otel trace imperative")
        return root.trace_id

    by_hand = imperative()
    t.step("imperative", lambda: mlflow.get_trace(by_hand))

    tags(t, c, ok)
    assessments(t, c, ok)
    search(t, c, exp, run.info.run_id, ok)
    links(t, c, exp, ok)
    deletion(t, c, exp, call, weather)


def tags(t, c, id):
    t.step("set tag", lambda: mlflow.set_trace_tag(id, "reviewed", "yes"))
    t.step("set tag again", lambda: c.set_trace_tag(id, "reviewed", "no"))
    t.step("tags", lambda: mlflow.get_trace(id).info.tags)
    t.step("delete tag", lambda: mlflow.delete_trace_tag(id, "reviewed"))
    t.step("delete tag again", lambda: mlflow.delete_trace_tag(id, "reviewed"))
    t.step("tags then", lambda: mlflow.get_trace(id).info.tags)
    t.step("tag of unknown", lambda: c.set_trace_tag("tr-" + "0" * 32, "a", "b"))
    t.step("long tag", lambda: c.set_trace_tag(id, "long", "v" * 9000))


def assessments(t, c, id):
    human, judge = AssessmentSource("HUMAN", "ann@example.org"), AssessmentSource("LLM_JUDGE", "judge-1")
    fb = t.step("feedback", lambda: mlflow.log_feedback(trace_id=id, name="correct", value=True, source=human, rationale="seen", metadata={"k": "v"}))
    t.name(fb.assessment_id, "assessment correct")
    for name, value in {"tone": "good", "grade": 0.5, "list": ["a", 1], "map": {"a": 1}}.items():
        a = mlflow.log_feedback(trace_id=id, name=name, value=value, source=judge)
        t.name(a.assessment_id, f"assessment {name}")
    t.step("feedback error", lambda: t.name(mlflow.log_feedback(trace_id=id, name="failed", error=ValueError("no judge"), source=judge).assessment_id, "assessment failed") and None)
    ex = t.step("expectation", lambda: mlflow.log_expectation(trace_id=id, name="answer", value={"degrees": 21}, source=human))
    t.name(ex.assessment_id, "assessment answer")
    t.step("get feedback", lambda: mlflow.get_assessment(id, fb.assessment_id))
    t.step("get expectation", lambda: mlflow.get_assessment(id, ex.assessment_id))
    t.step("all", lambda: sorted([a.name, type(a).__name__, a.valid, str(a.value), a.error.error_message if a.error else None] for a in mlflow.get_trace(id).info.assessments))
    t.step("update feedback", lambda: mlflow.update_assessment(id, fb.assessment_id, Feedback(name="correct", value=False, source=human, rationale="seen again")))
    t.step("update expectation", lambda: mlflow.update_assessment(id, ex.assessment_id, Expectation(name="answer", value="22", source=human)))
    over = t.step("override", lambda: mlflow.override_feedback(trace_id=id, assessment_id=fb.assessment_id, value="maybe", source=judge))
    t.name(over.assessment_id, "assessment override")
    t.step("overridden", lambda: mlflow.get_assessment(id, fb.assessment_id).valid)
    t.step("override itself", lambda: mlflow.get_assessment(id, over.assessment_id))
    t.step("delete override", lambda: mlflow.delete_assessment(id, over.assessment_id))
    t.step("valid again", lambda: mlflow.get_assessment(id, fb.assessment_id).valid)
    t.step("delete expectation", lambda: mlflow.delete_assessment(id, ex.assessment_id))
    t.step("get deleted", lambda: mlflow.get_assessment(id, ex.assessment_id))
    t.step("delete deleted", lambda: mlflow.delete_assessment(id, ex.assessment_id))
    t.step("get unknown", lambda: mlflow.get_assessment(id, "a-" + "0" * 32))
    t.step("feedback to unknown", lambda: mlflow.log_feedback(trace_id="tr-" + "0" * 32, name="x", value=1, source=human))


def search(t, c, exp, run, ok):
    def names(f=None, **kw):
        page = c.search_traces(locations=[exp], filter_string=f, include_spans=False, **kw)
        got = [x.info.tags.get("mlflow.traceName") for x in page]
        return {"names": got if "order_by" in kw else sorted(got), "more": bool(page.token)}

    for f in [
        None, "attributes.status = 'OK'", "trace.status = 'ERROR'", "status = 'OK'", "status != 'OK'", "attributes.name = 'agent'", "trace.name LIKE '%ag%'", "name ILIKE 'AGENT'", "name = 'nobody'", "attributes.timestamp > 0", "timestamp_ms > 0", "trace.timestamp_ms < 5", "execution_time >= 0", "trace.execution_time_ms > 1000000", "trace.end_time > 0",
        f"request_id = '{ok}'", f"trace.request_id IN ('{ok}')", "client_request_id = 'req-77'", "trace.client_request_id LIKE 'req%'", f"attributes.run_id = '{run}'", f"run_id = '{run}'", "tags.env = 'prod'", "tag.env = 'prod'", "tag.`k.with.dot` = '1'", "tags.env != 'prod'", "tags.env IS NULL", "tags.env IS NOT NULL", "tag.env LIKE 'pr%'", "tag.env RLIKE '^p.o'",
        "metadata.`mlflow.trace.session` = 's-1'", "request_metadata.`mlflow.trace.user` = 'ann'", "metadata.mlflow.trace.user LIKE 'a%'", "span.name = 'weather'", "span.type = 'TOOL'", "span.status = 'ERROR'", "span.name LIKE '%eak%'", "span.content LIKE '%Oslo%'", "span.attributes.unit = 'C'", "span.attributes.unit LIKE '%C%'", "span.attributes.model LIKE '%none%'", "span.type IN ('AGENT', 'LLM')", "trace.text LIKE '%Oslo%'", "text LIKE '%purpose%'",
        "feedback.correct = 'false'", "feedback.tone = 'good'", "feedback.grade = 0.5", "feedback.tone LIKE 'go%'", "feedback.nothing = 'x'", "feedback.tone IS NOT NULL", "feedback.correct IS NULL", "expectation.answer = '22'", "status = 'OK' AND name = 'agent'", "status = 'OK' OR name = 'agent'", "nope = 'x'", "tags.env > 'a'", "timestamp = 'x'", "name", "span.nope = 'x'", "name RLIKE 'age.t'", "name RLIKE '('",
    ]:
        t.step(f"filter {f}", lambda: names(f))
    for o in [["timestamp_ms ASC"], ["timestamp_ms DESC"], ["timestamp"], ["attributes.name"], ["name DESC"], ["status", "name"], ["tags.env", "name"], ["nope"], ["execution_time"][:0]]:
        t.step(f"order {o}", lambda: names(order_by=o))
    t.step("page", lambda: names(max_results=2, order_by=["timestamp_ms ASC"]))

    def paged():
        got, token = [], None
        while True:
            page = c.search_traces(locations=[exp], max_results=2, order_by=["timestamp_ms ASC"], page_token=token)
            got += [x.info.tags.get("mlflow.traceName") for x in page]
            token = page.token
            if not token:
                return got

    t.step("pages", paged)
    t.step("page too large", lambda: names(max_results=501))
    t.step("page of 0", lambda: names(max_results=0))
    t.step("bad token", lambda: names(page_token="bad"))
    t.step("unknown experiment", lambda: len(c.search_traces(locations=["424242"])))
    t.step("with spans", lambda: sorted(len(x.data.spans) for x in c.search_traces(locations=[exp])))
    t.step("frame", lambda: [list(mlflow.search_traces(locations=[exp]).columns), len(mlflow.search_traces(locations=[exp]))])
    t.step("by run", lambda: [x.info.tags.get("mlflow.traceName") for x in mlflow.search_traces(locations=[exp], run_id=run, return_type="list")])


def links(t, c, exp, ok):
    other = c.create_run(exp, run_name="linked").info.run_id
    t.name(other, "run linked")
    t.step("link", lambda: c.link_traces_to_run([ok], other))
    t.step("link again", lambda: c.link_traces_to_run([ok], other))
    t.step("linked", lambda: [x.info.trace_id for x in mlflow.search_traces(locations=[exp], run_id=other, return_type="list")])
    t.step("link to unknown", lambda: c.link_traces_to_run([ok], "0" * 32))
    t.step("link too many", lambda: c.link_traces_to_run([f"tr-{i:032x}" for i in range(101)], other))


def deletion(t, c, exp, call, weather):
    doomed = [call(f"doomed {i}", weather, f"town {i}") for i in range(3)]
    t.step("delete by id", lambda: c.delete_traces(exp, trace_ids=doomed[:1]))
    t.step("deleted", lambda: mlflow.get_trace(doomed[0]))
    t.step("delete again", lambda: c.delete_traces(exp, trace_ids=doomed[:1]))
    t.step("delete nothing named", lambda: c.delete_traces(exp))
    t.step("delete both named", lambda: c.delete_traces(exp, max_timestamp_millis=1, trace_ids=doomed))
    t.step("delete before 1970", lambda: c.delete_traces(exp, max_timestamp_millis=1))
    t.step("delete two oldest", lambda: c.delete_traces(exp, max_timestamp_millis=int(time.time() * 1000) + 1000, max_traces=2))
    t.step("delete all", lambda: c.delete_traces(exp, max_timestamp_millis=int(time.time() * 1000) + 1000))
    t.step("none is left", lambda: len(c.search_traces(locations=[exp])))
