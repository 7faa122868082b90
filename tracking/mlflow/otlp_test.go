package mlflow_test

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/mlflow"
)

// otlpJSON is a request in OTLP/JSON with every kind of value.
const otlpJSON = `{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]},
 "scopeSpans": [{"spans": [
 {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "GET /x", "kind": 2,
  "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000",
  "attributes": [
   {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "3"}}, {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 4}},
   {"key": "input.value", "value": {"stringValue": "hello"}}, {"key": "output.value", "value": {"stringValue": "{\"a\": 1}"}},
   {"key": "session.id", "value": {"stringValue": "S1"}}, {"key": "user.id", "value": {"stringValue": "U1"}},
   {"key": "openinference.span.kind", "value": {"stringValue": "LLM"}}, {"key": "d", "value": {"doubleValue": 1.5}},
   {"key": "b", "value": {"boolValue": true}},
   {"key": "arr", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": 2}]}}}],
  "events": [{"name": "ev", "timeUnixNano": "1700000000500000000", "attributes": [{"key": "e", "value": {"intValue": 7}}]}],
  "links": [{"traceId": "5b8efff798038103d269b633813fc60d", "spanId": "eee19b7ec3c1b175", "attributes": []}],
  "status": {"code": 1}},
 {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b176", "parentSpanId": "eee19b7ec3c1b174", "name": "child",
  "startTimeUnixNano": "1700000000100000000", "endTimeUnixNano": "1700000000200000000", "status": {"code": 2, "message": "bad"}}
]}]}]}`

// rootContent is how MLflow's server keeps the first of these spans, save for
// the link: it reads its ids as base64.
const rootContent = `{"trace_id": "W47/95gDgQPSabYzgT/GDA==", "span_id": "7uGbfsPBsXQ=", "parent_span_id": null, "name": "GET /x", "start_time_unix_nano": 1700000000000000000, "end_time_unix_nano": 1700000001000000000, "events": [{"name": "ev", "time_unix_nano": 1700000000500000000, "attributes": {"e": 7}}], "status": {"code": "STATUS_CODE_OK", "message": ""}, "attributes": {"gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "4", "input.value": "\"hello\"", "output.value": "{\"a\": 1}", "session.id": "\"S1\"", "user.id": "\"U1\"", "openinference.span.kind": "\"LLM\"", "d": "1.5", "b": "true", "arr": "[\"x\", 2]", "mlflow.traceRequestId": "\"tr-5b8efff798038103d269b633813fc60c\"", "mlflow.spanType": "\"LLM\"", "mlflow.spanInputs": "\"hello\"", "mlflow.spanOutputs": "{\"a\": 1}", "mlflow.chat.tokenUsage": "{\"input_tokens\": 3, \"output_tokens\": 4, \"total_tokens\": 7}"}, "links": [{"trace_id": "tr-5b8efff798038103d269b633813fc60d", "span_id": "eee19b7ec3c1b175", "attributes": null}]}`

// rootWire is how MLflow's server sends it, with the link, which it drops.
const rootWire = `{"trace_id":"W47/95gDgQPSabYzgT/GDA==","span_id":"7uGbfsPBsXQ=","name":"GET /x","start_time_unix_nano":1700000000000000000,"end_time_unix_nano":1700000001000000000,"attributes":[{"key":"gen_ai.usage.input_tokens","value":{"int_value":3}},{"key":"gen_ai.usage.output_tokens","value":{"int_value":4}},{"key":"input.value","value":{"string_value":"hello"}},{"key":"output.value","value":{"kvlist_value":{"values":[{"key":"a","value":{"int_value":1}}]}}},{"key":"session.id","value":{"string_value":"S1"}},{"key":"user.id","value":{"string_value":"U1"}},{"key":"openinference.span.kind","value":{"string_value":"LLM"}},{"key":"d","value":{"double_value":1.5}},{"key":"b","value":{"bool_value":true}},{"key":"arr","value":{"array_value":{"values":[{"string_value":"x"},{"int_value":2}]}}},{"key":"mlflow.traceRequestId","value":{"string_value":"tr-5b8efff798038103d269b633813fc60c"}},{"key":"mlflow.spanType","value":{"string_value":"LLM"}},{"key":"mlflow.spanInputs","value":{"string_value":"hello"}},{"key":"mlflow.spanOutputs","value":{"kvlist_value":{"values":[{"key":"a","value":{"int_value":1}}]}}},{"key":"mlflow.chat.tokenUsage","value":{"kvlist_value":{"values":[{"key":"input_tokens","value":{"int_value":3}},{"key":"output_tokens","value":{"int_value":4}},{"key":"total_tokens","value":{"int_value":7}}]}}}],"events":[{"time_unix_nano":1700000000500000000,"name":"ev","attributes":[{"key":"e","value":{"int_value":7}}]}],"links":[{"trace_id":"W47/95gDgQPSabYzgT/GDQ==","span_id":"7uGbfsPBsXU="}],"status":{"code":"STATUS_CODE_OK"}}`

func receiveJSON(t testing.TB, body string) []tracking.Span {
	t.Helper()
	data, err := mlflow.ParseOTLP([]byte(body), "application/json")
	require.NoError(t, err)
	spans, err := mlflow.ReceiveSpans(data)
	require.NoError(t, err)
	return spans
}

func TestSpanIsStoredAsMLflowDoes(t *testing.T) {
	t.Parallel()
	spans := receiveJSON(t, otlpJSON)
	require.Len(t, spans, 2)
	root, child := spans[0], spans[1]
	require.Equal(t, rootContent, string(root.Content))
	require.Equal(t, tracking.TraceID("tr-5b8efff798038103d269b633813fc60c"), root.Trace)
	require.Equal(t, "eee19b7ec3c1b174", root.ID)
	require.Empty(t, root.Parent)
	require.Equal(t, "LLM", root.Type)
	require.Equal(t, tracking.TraceOK, root.Status)
	require.EqualValues(t, 1700000000000000000, root.Start)
	require.EqualValues(t, 1700000001000000000, root.End)
	require.Equal(t, root.ID, child.Parent)
	require.Equal(t, "UNKNOWN", child.Type)
	require.Equal(t, tracking.TraceError, child.Status)
	require.Contains(t, string(child.Content), `"status": {"code": "STATUS_CODE_ERROR", "message": "bad"}`)

	wire, err := mlflow.WireSpan(root.Content)
	require.NoError(t, err)
	require.Equal(t, rootWire, string(wire))

	// What a server sent becomes what it keeps, and can be sent again.
	back, err := mlflow.SpanFromWire(wire)
	require.NoError(t, err)
	require.Equal(t, root, back)
	message, err := mlflow.SpanProto(root)
	require.NoError(t, err)
	require.Equal(t, "5b8efff798038103d269b633813fc60c", hex.EncodeToString(message.GetTraceId()))
	require.Len(t, message.GetAttributes(), 15)
}

func TestProtobufAndJSONAreOne(t *testing.T) {
	t.Parallel()
	data, err := mlflow.ParseOTLP([]byte(otlpJSON), "application/json")
	require.NoError(t, err)
	body, err := proto.Marshal(data)
	require.NoError(t, err)
	again, err := mlflow.ParseOTLP(body, "application/x-protobuf")
	require.NoError(t, err)
	spans, err := mlflow.ReceiveSpans(again)
	require.NoError(t, err)
	require.Equal(t, receiveJSON(t, otlpJSON), spans)
}

func attr(key string, v *commonpb.AnyValue) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: v}
}

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func double(v float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
}

func integer(v int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v}}
}

// span returns a span with attributes, as the only one of its trace.
func span(attrs ...*commonpb.KeyValue) *tracepb.Span {
	return &tracepb.Span{TraceId: []byte(strings.Repeat("t", 16)), SpanId: []byte("spanspan"), Name: "s", StartTimeUnixNano: 1, EndTimeUnixNano: 2, Attributes: attrs}
}

func request(spans ...*tracepb.Span) *tracepb.TracesData {
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}}}}
}

// stored returns the attributes of a span as they are stored.
func stored(t testing.TB, s *tracepb.Span) map[string]string {
	t.Helper()
	spans, err := mlflow.ReceiveSpans(request(s))
	require.NoError(t, err)
	var content struct {
		Attributes map[string]string `json:"attributes"`
	}
	require.NoError(t, json.Unmarshal(spans[0].Content, &content), "%s", spans[0].Content)
	return content.Attributes
}

func TestAttributesAreJSONAsPythonWritesIt(t *testing.T) {
	t.Parallel()
	list := &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{
		integer(1), double(1), nil, str("ü\"\\\n\x01"), double(math.NaN()), double(math.Inf(-1)), double(1e16), double(1e-5), double(0.1),
	}}}}
	object := &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{
		attr("k", integer(1)), attr("l", &commonpb.AnyValue{}), attr("k", integer(2)),
	}}}}
	got := stored(t, span(attr("list", list), attr("object", object), attr("bytes", &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{1}}}),
		attr("once", str("1")), attr("twice", str(`"x"`)), attr("dumped", str(`[1, NaN]`)), attr("broken", str(`[1`)), attr("list", str("later"))))
	require.Equal(t, map[string]string{
		"object": `{"k": 2, "l": null}`, "bytes": `"AQ=="`, "once": `"1"`, "twice": `"x"`, "dumped": `[1, NaN]`, "broken": `"[1"`, "list": `"later"`,
		"mlflow.traceRequestId": `"tr-74747474747474747474747474747474"`,
	}, got)
	got = stored(t, span(attr("list", list)))
	require.Equal(t, `[1, 1.0, null, "ü\"\\\n\u0001", NaN, -Infinity, 1e+16, 1e-05, 0.1]`, got["list"])
}

func TestClientDoesNotChooseTheTrace(t *testing.T) {
	t.Parallel()
	got := stored(t, span(attr("mlflow.traceRequestId", str("tr-other"))))
	require.Equal(t, `"tr-74747474747474747474747474747474"`, got["mlflow.traceRequestId"])
}

func TestConventionsOfOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attrs []*commonpb.KeyValue
		want  map[string]string
	}{
		"genai": {
			[]*commonpb.KeyValue{attr("gen_ai.operation.name", str("chat")), attr("gen_ai.request.model", str("m")), attr("gen_ai.provider.name", str("p")),
				attr("gen_ai.input.messages", str(`[{"role": "user"}]`)), attr("gen_ai.usage.input_tokens", integer(1)), attr("gen_ai.usage.cache_read.input_tokens", integer(5))},
			map[string]string{"mlflow.spanType": `"CHAT_MODEL"`, "mlflow.llm.model": `"m"`, "mlflow.llm.provider": `"p"`,
				"mlflow.spanInputs": `[{"role": "user"}]`, "mlflow.chat.tokenUsage": `{"input_tokens": 1, "cache_read_input_tokens": 5}`},
		},
		"traceloop": {
			[]*commonpb.KeyValue{attr("traceloop.span.kind", str("tool")), attr("gen_ai.prompt.0.content", str("q")), attr("gen_ai.completion.0.content", str("a")),
				attr("gen_ai.usage.prompt_tokens", str("7")), attr("gen_ai.usage.completion_tokens", integer(2)), attr("gen_ai.system", str("openai"))},
			map[string]string{"mlflow.spanType": `"TOOL"`, "mlflow.spanInputs": `"q"`, "mlflow.spanOutputs": `"a"`, "mlflow.llm.provider": `"openai"`,
				"mlflow.chat.tokenUsage": `{"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}`},
		},
		"known type stays": {
			[]*commonpb.KeyValue{attr("mlflow.spanType", str("AGENT")), attr("openinference.span.kind", str("LLM"))},
			map[string]string{"mlflow.spanType": `"AGENT"`},
		},
		"unknown type goes": {
			[]*commonpb.KeyValue{attr("mlflow.spanType", str("UNKNOWN")), attr("langfuse.observation.type", str("generation"))},
			map[string]string{"mlflow.spanType": `"LLM"`},
		},
		"model in the inputs": {
			[]*commonpb.KeyValue{attr("mlflow.spanInputs", str(`{"model": "gpt"}`))},
			map[string]string{"mlflow.llm.model": `"gpt"`},
		},
		"empty is none": {
			[]*commonpb.KeyValue{attr("input.value", str("")), attr("traceloop.entity.input", str("x"))},
			map[string]string{"mlflow.spanInputs": `"x"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := stored(t, span(c.attrs...))
			for key, want := range c.want {
				require.Equal(t, want, got[key], key)
			}
		})
	}
}

func TestMessagesInEvents(t *testing.T) {
	t.Parallel()
	s := span()
	s.Events = []*tracepb.Span_Event{
		{Name: "gen_ai.user.message", Attributes: []*commonpb.KeyValue{attr("content", str("hi"))}},
		{Name: "gen_ai.choice", Attributes: []*commonpb.KeyValue{attr("content", str(`{"x": 1}`))}},
		{Name: "other", Attributes: []*commonpb.KeyValue{attr("content", str("no")), attr("nan", double(math.NaN()))}},
	}
	got := stored(t, s)
	require.Equal(t, `[{"role": "user", "content": "hi"}]`, got["mlflow.spanInputs"])
	require.Equal(t, `[{"role": "assistant", "content": {"x": 1}}]`, got["mlflow.spanOutputs"])
}

func TestBadSpansAreRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*tracepb.Span){
		"no trace id":     func(s *tracepb.Span) { s.TraceId = nil },
		"short trace id":  func(s *tracepb.Span) { s.TraceId = []byte("x") },
		"zero trace id":   func(s *tracepb.Span) { s.TraceId = make([]byte, 16) },
		"zero span id":    func(s *tracepb.Span) { s.SpanId = make([]byte, 8) },
		"long parent":     func(s *tracepb.Span) { s.ParentSpanId = make([]byte, 9) },
		"time overflow":   func(s *tracepb.Span) { s.EndTimeUnixNano = math.MaxUint64 },
		"NUL in the name": func(s *tracepb.Span) { s.Name = "a\x00b" },
		"too large": func(s *tracepb.Span) {
			s.Attributes = []*commonpb.KeyValue{attr("x", str(strings.Repeat("x", tracking.MaxSpanBytes)))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := span()
			spoil(s)
			_, err := mlflow.ReceiveSpans(request(s))
			require.Error(t, err)
		})
	}
}

func TestValuesOnTheWire(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`null`:                    `{}`,
		`"x"`:                     `{"string_value":"x"}`,
		` [1, [], {}] `:           `{"array_value":{"values":[{"int_value":1},{"array_value":{}},{"kvlist_value":{}}]}}`,
		`NaN`:                     `{"double_value":"NaN"}`,
		`9223372036854775807`:     `{"int_value":9223372036854775807}`,
		`9223372036854775808`:     `{"double_value":9223372036854775808}`,
		`1e400`:                   `{"string_value":"1e400"}`,
		`01`:                      `{"string_value":"01"}`,
		`{"a" : -1.5}`:            `{"kvlist_value":{"values":[{"key":"a","value":{"double_value":-1.5}}]}}`,
		`plain text`:              `{"string_value":"plain text"}`,
		``:                        `{"string_value":""}`,
		`"\ud800"`:                "{\"string_value\":\"\ufffd\"}",
		`[1,]`:                    `{"string_value":"[1,]"}`,
		`{"a":1`:                  `{"string_value":"{\"a\":1"}`,
		`true false`:              `{"string_value":"true false"}`,
		strings.Repeat("[", 1000): `{"string_value":"` + strings.Repeat("[", 1000) + `"}`,
	} {
		require.Equal(t, want, mlflow.WireValue(text), text)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("ü", 1200) + `"`
	for _, c := range []struct{ value, role, want string }{
		{`{"x": 3}`, "user", `{"x": 3}`},
		{`{"messages": [{"role": "user", "content": "first"}, {"role": "user", "content": "héllo"}, {"role": "assistant", "content": "no"}]}`, "user", "héllo"},
		{`{"messages": [{"role": "tool", "content": "only"}]}`, "user", "only"},
		{`{"choices": [{"message": {"role": "assistant", "content": [{"type": "text", "text": "part"}]}}]}`, "assistant", "part"},
		{`{"request": {"input": [{"role": "user", "content": "deep"}]}}`, "user", "deep"},
		{`{"messages": []}`, "user", `{"messages": []}`},
		{`{"messages": ["x"]}`, "user", `{"messages": ["x"]}`},
		{long, "user", string([]rune(long)[:997]) + "..."},
		{`"a\u0000b"`, "user", `"a\u0000b"`},
	} {
		require.Equal(t, c.want, mlflow.Preview(c.value, c.role))
	}
}

func FuzzOTLP(f *testing.F) {
	data, err := mlflow.ParseOTLP([]byte(otlpJSON), "application/json")
	require.NoError(f, err)
	body, err := proto.Marshal(data)
	require.NoError(f, err)
	f.Add(body, false)
	f.Add([]byte(otlpJSON), true)
	f.Add([]byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}`), true)
	f.Add([]byte(`{"traceId":"`), true)
	f.Fuzz(func(t *testing.T, body []byte, inJSON bool) {
		media := "application/x-protobuf"
		if inJSON {
			media = "application/json"
		}
		data, err := mlflow.ParseOTLP(body, media)
		if err != nil {
			return
		}
		spans, err := mlflow.ReceiveSpans(data)
		if err != nil {
			return
		}
		for _, s := range spans {
			require.True(t, json.Valid(s.Content), "%s", s.Content)
			wire, err := mlflow.WireSpan(s.Content)
			require.NoError(t, err)
			require.True(t, json.Valid(wire), "%s", wire)
			back, err := mlflow.SpanFromWire(wire)
			require.NoError(t, err, "%s", wire)
			require.Equal(t, s.ID, back.ID)
			require.Equal(t, s.Trace, back.Trace)
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{`{"a": [1, 2.5, null, true, "x\n"]}`, `NaN`, `"\ud83d\ude00"`, `[[[`, `-`, `"`, `{"a":1,}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wire := mlflow.WireValue(text)
		if strings.ToValidUTF8(text, "") == text {
			require.True(t, json.Valid([]byte(wire)), "%q gave %q", text, wire)
		}
		if json.Valid([]byte(text)) && strings.Count(text, "[")+strings.Count(text, "{") < 90 && !strings.ContainsAny(text, "eE") {
			require.True(t, mlflow.ValidValue(text), "%q", text)
		}
	})
}
