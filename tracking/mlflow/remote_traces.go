package mlflow

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	remoteTracePage  = 500 // what servers give at most
	remoteTraceChunk = 50  // traces in one request, which names them in its URL
)

func apiGet3(op, subject, path string, query url.Values) apiCall {
	r := apiGet(op, subject, "", query)
	r.path = remoteAPI3 + path
	return r
}

func apiPost3(op, subject, path string, message any) apiCall {
	r := apiPost(op, subject, "", message)
	r.path = remoteAPI3 + path
	return r
}

func tracePath(id tracking.TraceID) string { return "traces/" + url.PathEscape(string(id)) }

// PutTrace implements tracking.TraceStore. It is sent again after a lost
// connection, except when t has assessments without an ID, of which servers
// would keep both.
func (c *Conn) PutTrace(ctx context.Context, t tracking.Trace) (tracking.Trace, error) {
	if t.Start.IsZero() { // which the wire cannot leave as it is
		there, err := c.Traces(ctx, []tracking.TraceID{t.ID}, false)
		if err != nil {
			return tracking.Trace{}, err
		}
		if len(there) > 0 {
			t.Start = there[0].Start
		}
	}
	info := wireTrace(&t)
	for i := range info.Assessments {
		toRemoteAssessment(&info.Assessments[i], &t.Assessments[i])
	}
	r := apiPost3("put trace", string(t.ID), "traces", &mlflowapi.TraceMessage{Trace: &mlflowapi.Trace{TraceInfo: info}})
	if slices.ContainsFunc(t.Assessments, func(a tracking.Assessment) bool { return a.ID == "" }) {
		r.rule = resendRefused
	}
	var answer mlflowapi.TraceMessage
	if err := c.call(ctx, r, &answer); err != nil {
		return tracking.Trace{}, err
	}
	if answer.Trace == nil {
		return tracking.Trace{}, r.fail(fmt.Errorf("%s answered without the trace: %w", c.client.Host(), errs.ErrUnsupported))
	}
	return remoteTrace(&r, &answer.Trace.TraceInfo)
}

func remoteTrace(r *apiCall, info *mlflowapi.TraceInfoV3) (tracking.Trace, error) {
	t, err := traceFromWire(info)
	if err != nil {
		return t, r.fail(fmt.Errorf("the server's trace %q is not valid: %v: %w", info.TraceID, err, errs.ErrUnsupported))
	}
	t.Start = t.Start.Truncate(time.Millisecond)
	for i := range t.Assessments {
		fromRemoteAssessment(&t.Assessments[i])
	}
	return t, nil
}

// The run of an assessment travels in its metadata, and no value as null.

func toRemoteAssessment(out *mlflowapi.Assessment, a *tracking.Assessment) {
	if a.RunID != "" {
		out.Metadata = maps.Clone(out.Metadata)
		if out.Metadata == nil {
			out.Metadata = map[string]string{}
		}
		out.Metadata[metaAssessmentRun] = string(a.RunID)
	}
}

func fromRemoteAssessment(a *tracking.Assessment) {
	delete(a.Metadata, metaAssessmentRun)
	if string(a.Value) == "null" && (a.ErrorCode != "" || a.ErrorMessage != "" || a.ErrorStack != "") {
		a.Value = nil
	}
}

// PutSpans implements tracking.TraceStore, over OpenTelemetry's protocol in
// one request. Of Content the attributes, events, links and the status message
// travel; what a span's fields say wins. Only ids of OpenTelemetry have a place
// there, other trace ids are ErrInvalid. Servers before MLflow 3.4 have no such
// route.
func (c *Conn) PutSpans(ctx context.Context, exp tracking.ExperimentID, spans []tracking.Span) error {
	if len(spans) == 0 {
		return nil
	}
	r := apiCall{op: "put spans in experiment", subject: string(exp), method: http.MethodPost, path: "/v1/traces", contentType: protobufType, raw: true}
	r.header = http.Header{experimentHeader: {string(exp)}}
	list := make([]*tracepb.Span, len(spans))
	for i := range spans {
		span, err := remoteSpan(&spans[i])
		if err != nil {
			return r.fail(fmt.Errorf("span %q: %w: %w", spans[i].ID, err, errs.ErrInvalid))
		}
		list[i] = span
	}
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: list}}}}})
	if err != nil {
		return r.fail(fmt.Errorf("%w: %w", err, errs.ErrInvalid))
	}
	r.body = body
	var nothing []byte
	return c.call(ctx, r, &nothing)
}

// remoteSpan is a span as OpenTelemetry's.
func remoteSpan(s *tracking.Span) (*tracepb.Span, error) {
	out := &tracepb.Span{}
	if len(s.Content) > 0 {
		var err error
		if out, err = spanProto(*s); err != nil {
			return nil, err
		}
	}
	for _, id := range []struct {
		text string
		size int
		to   *[]byte
	}{{strings.TrimPrefix(string(s.Trace), "tr-"), 16, &out.TraceId}, {s.ID, 8, &out.SpanId}, {s.Parent, 8, &out.ParentSpanId}} {
		raw, err := hex.DecodeString(id.text)
		if err != nil || len(raw) != id.size && (id.text != "" || id.to != &out.ParentSpanId) {
			return nil, fmt.Errorf("the id %q is not %d bytes in hexadecimal", shownSubject(id.text), id.size)
		}
		*id.to = raw
	}
	if s.Start < 0 || s.End < 0 {
		return nil, errors.New("its time is before 1970")
	}
	out.Name, out.StartTimeUnixNano, out.EndTimeUnixNano = s.Name, uint64(s.Start), uint64(s.End) //nolint:gosec // not negative
	if out.Status == nil {
		out.Status = &tracepb.Status{}
	}
	switch s.Status {
	case tracking.TraceOK:
		out.Status.Code = tracepb.Status_STATUS_CODE_OK
	case tracking.TraceError:
		out.Status.Code = tracepb.Status_STATUS_CODE_ERROR
	}
	if s.Type != "" && s.Type != unknownType && !slices.ContainsFunc(out.Attributes, func(kv *commonpb.KeyValue) bool { return kv.GetKey() == attrSpanType }) {
		out.Attributes = append(out.Attributes, &commonpb.KeyValue{
			Key: attrSpanType, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s.Type}},
		})
	}
	return out, nil
}

// Traces implements tracking.TraceStore. Traces that servers leave out of
// batches, as spans of theirs are still missing, are asked for one by one.
func (c *Conn) Traces(ctx context.Context, ids []tracking.TraceID, spans bool) ([]tracking.Trace, error) {
	found := make(map[tracking.TraceID]tracking.Trace, len(ids))
	stored := map[tracking.TraceID]bool{} // whose spans the server says it keeps
	for part := range slices.Chunk(ids, remoteTraceChunk) {
		message := &mlflowapi.BatchGetTraces{}
		for _, id := range part {
			message.TraceIDs = append(message.TraceIDs, string(id))
		}
		r := apiPost3("get traces", "", "traces/batchGetInfos", message)
		var answer mlflowapi.BatchGetTraceInfosResponse
		if err := c.call(ctx, r, &answer); err != nil {
			return nil, err
		}
		for i := range answer.TraceInfos {
			t, err := remoteTrace(&r, &answer.TraceInfos[i])
			if err != nil {
				return nil, err
			}
			found[t.ID] = t
			stored[t.ID] = answer.TraceInfos[i].Tags[tagSpansLocation] == inTrackingStore
		}
	}
	if spans {
		if err := c.addSpans(ctx, found, stored); err != nil {
			return nil, err
		}
	}
	out := make([]tracking.Trace, 0, len(found))
	for _, id := range ids {
		if t, ok := found[id]; ok {
			out = append(out, t)
			delete(found, id)
		}
	}
	return out, nil
}

// addSpans reads the spans of the traces. Upstream fails a whole batch for one
// trace without spans, so that those it does not say to keep are asked for one
// by one, like those that it leaves out.
func (c *Conn) addSpans(ctx context.Context, found map[tracking.TraceID]tracking.Trace, stored map[tracking.TraceID]bool) error {
	var batch, single []tracking.TraceID
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if stored[id] {
			batch = append(batch, id)
		} else {
			single = append(single, id)
		}
	}
	for part := range slices.Chunk(batch, remoteTraceChunk) {
		query := url.Values{}
		for _, id := range part {
			query.Add("trace_ids", string(id))
		}
		r := apiGet3("get spans", "", "traces/batchGet", query)
		var answer mlflowapi.BatchGetTracesResponse
		if err := c.call(ctx, r, &answer); err != nil {
			return err
		}
		came := map[tracking.TraceID]bool{}
		for i := range answer.Traces {
			came[tracking.TraceID(answer.Traces[i].TraceInfo.TraceID)] = true
			if err := putRemoteSpans(&r, found, &answer.Traces[i]); err != nil {
				return err
			}
		}
		for _, id := range part {
			if !came[id] {
				single = append(single, id)
			}
		}
	}
	for _, id := range single {
		if err := c.addPartialSpans(ctx, found, id); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) addPartialSpans(ctx context.Context, found map[tracking.TraceID]tracking.Trace, id tracking.TraceID) error {
	r := apiGet3("get spans of trace", string(id), "traces/get", url.Values{"trace_id": {string(id)}, "allow_partial": {"true"}})
	r.final = func(answer *mlflowclient.Answer) bool {
		return strings.Contains(answer.Message, "not stored in tracking store")
	}
	var answer mlflowapi.TraceMessage
	err := c.call(ctx, r, &answer)
	var refused *mlflowclient.Answer
	switch {
	case refusal(err), errors.As(err, &refused) && r.final(refused): // it has none, or is gone meanwhile
		return nil
	case err != nil:
		return err
	case answer.Trace == nil:
		return nil
	}
	return putRemoteSpans(&r, found, answer.Trace)
}

func putRemoteSpans(r *apiCall, found map[tracking.TraceID]tracking.Trace, from *mlflowapi.Trace) error {
	t, ok := found[tracking.TraceID(from.TraceInfo.TraceID)]
	if !ok {
		return nil
	}
	t.Spans = nil
	for _, raw := range from.Spans {
		s, err := spanFromWire(raw)
		if err != nil {
			return r.fail(fmt.Errorf("a span of the server's trace %q is not valid: %w: %w", t.ID, err, errs.ErrUnsupported))
		}
		s.Trace = t.ID
		t.Spans = append(t.Spans, s)
	}
	slices.SortFunc(t.Spans, func(a, b tracking.Span) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.ID, b.ID))
	})
	found[t.ID] = t
	return nil
}

// UpdateTrace implements tracking.TraceStore. Each tag is a request of its own,
// in the order of the keys; then the deletion of tags; the rest goes with the
// whole trace, read before, in one request. An error leaves those before it
// done; the same update may be sent again. The wire cannot empty a preview.
func (c *Conn) UpdateTrace(ctx context.Context, id tracking.TraceID, u tracking.TraceUpdate) error {
	page, err := c.Traces(ctx, []tracking.TraceID{id}, false)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		return fmt.Errorf("mlflow: update trace %q: there is none: %w", id, errs.ErrNotFound)
	}
	t := page[0]
	for _, key := range u.DeleteTags {
		if _, ok := t.Tags[key]; !ok {
			return fmt.Errorf("mlflow: update trace %q: it has no tag %q: %w", id, shownSubject(key), errs.ErrNotFound)
		}
	}
	for _, kv := range pairsOf(u.SetTags) {
		r := apiPost3("tag trace", string(id), tracePath(id)+"/tags", &mlflowapi.SetTraceTag{Key: kv.Key, Value: kv.Value})
		r.method = http.MethodPatch
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	for _, key := range u.DeleteTags {
		r := apiPost3("delete tag of trace", string(id), tracePath(id)+"/tags", &mlflowapi.DeleteTraceTag{Key: key})
		r.method, r.goneIsDone = http.MethodDelete, true
		if err := c.call(ctx, r, nil); err != nil {
			return err
		}
	}
	if len(u.SetMetadata) == 0 && u.State == "" && u.Duration == nil && u.RequestPreview == nil && u.ResponsePreview == nil {
		return nil
	}
	t.Tags, t.Assessments = nil, nil // which stay as they are
	maps.Copy(t.Metadata, u.SetMetadata)
	if u.State != "" {
		t.State = u.State
	}
	if u.Duration != nil {
		t.Duration = *u.Duration
	}
	if u.RequestPreview != nil {
		t.RequestPreview = *u.RequestPreview
	}
	if u.ResponsePreview != nil {
		t.ResponsePreview = *u.ResponsePreview
	}
	_, err = c.PutTrace(ctx, t)
	return err
}

// SearchTraces implements tracking.TraceStore.
func (c *Conn) SearchTraces(ctx context.Context, q tracking.TraceQuery) ([]tracking.Trace, string, error) {
	query := fmt.Sprintf("traces %q %q %q", q.Experiments, q.Filter, q.OrderBy)
	token, err := openQuery(query, q.Page.Token, q.Filter, q.OrderBy)
	if err != nil {
		return nil, "", fmt.Errorf("mlflow: search traces: %w", err)
	}
	message := &mlflowapi.SearchTracesV3{
		Filter: remoteFilter(q.Filter), OrderBy: q.OrderBy, PageToken: token, MaxResults: pageSize[int32](q.Page.Max, 100, remoteTracePage),
	}
	for _, id := range q.Experiments {
		message.Locations = append(message.Locations, mlflowapi.TraceLocation{
			Type: mlflowapi.InExperiment, MlflowExperiment: &mlflowapi.ExperimentRef{ExperimentID: string(id)},
		})
	}
	r := apiPost3("search traces", "", "traces/search", message)
	var answer mlflowapi.SearchTracesV3Response
	if err := c.call(ctx, r, &answer); err != nil {
		return nil, "", err
	}
	page := make([]tracking.Trace, len(answer.Traces))
	for i := range answer.Traces {
		if page[i], err = remoteTrace(&r, &answer.Traces[i]); err != nil {
			return nil, "", err
		}
	}
	return page, sealToken(query, answer.NextPageToken), nil
}

// DeleteTraces implements tracking.TraceStore. The number may be too low when
// a connection was lost in between.
func (c *Conn) DeleteTraces(ctx context.Context, exp tracking.ExperimentID, ids []tracking.TraceID, before time.Time, limit int) (int, error) {
	var requests []*mlflowapi.DeleteTraces
	if len(ids) == 0 {
		ms, most := before.UnixMilli(), int32(min(max(limit, 0), 1<<31-1)) //nolint:gosec // bounded
		if most == 0 {
			return 0, nil
		}
		requests = append(requests, &mlflowapi.DeleteTraces{ExperimentID: string(exp), MaxTimestampMillis: &ms, MaxTraces: &most})
	}
	for part := range slices.Chunk(ids, 100) {
		message := &mlflowapi.DeleteTraces{ExperimentID: string(exp)}
		for _, id := range part {
			message.RequestIDs = append(message.RequestIDs, string(id))
		}
		requests = append(requests, message)
	}
	deleted := 0
	for _, message := range requests {
		var answer mlflowapi.DeleteTracesResponse
		if err := c.call(ctx, apiPost3("delete traces of experiment", string(exp), "traces/delete-traces", message), &answer); err != nil {
			return deleted, err
		}
		deleted += int(answer.TracesDeleted)
	}
	return deleted, nil
}

// LinkTraces implements tracking.TraceStore, a hundred traces at a time.
func (c *Conn) LinkTraces(ctx context.Context, run tracking.RunID, ids []tracking.TraceID) error {
	for part := range slices.Chunk(ids, maxTraceLinks) {
		message := &mlflowapi.LinkTracesToRun{RunID: string(run)}
		for _, id := range part {
			message.TraceIDs = append(message.TraceIDs, string(id))
		}
		if err := c.call(ctx, apiPost("link traces to run", string(run), "traces/link-to-run", message), nil); err != nil {
			return err
		}
	}
	return nil
}

// PutAssessment implements tracking.TraceStore, except that the server chooses
// the ID of a new assessment, and that the wire cannot change the source, the
// span and what an existing one overrides. As other creations a new one is not
// sent again while its outcome is unknown.
func (c *Conn) PutAssessment(ctx context.Context, a tracking.Assessment) (tracking.Assessment, error) {
	path := tracePath(a.Trace) + "/assessments"
	message := wireAssessment(&a)
	toRemoteAssessment(&message, &a)
	var answer mlflowapi.AssessmentMessage
	r := apiPost3("put assessment of trace", string(a.Trace), path, &mlflowapi.AssessmentMessage{Assessment: &message})
	r.rule = resendRefused
	if a.ID != "" {
		one := path + "/" + url.PathEscape(a.ID)
		err := c.call(ctx, apiGet3("get assessment", a.ID, one, nil), &mlflowapi.AssessmentMessage{})
		switch {
		case err == nil:
			mask := []string{"assessment_name", "rationale", "valid", "metadata"}
			if a.Kind == tracking.Feedback || a.Kind == tracking.Expectation {
				mask = append(mask, string(a.Kind))
			}
			r = apiPost3("change assessment", a.ID, one, &mlflowapi.UpdateAssessment{Assessment: &message, UpdateMask: &mlflowapi.FieldMask{Paths: mask}})
			r.method = http.MethodPatch
		case !refusal(err):
			return tracking.Assessment{}, err
		}
	}
	if err := c.call(ctx, r, &answer); err != nil {
		return tracking.Assessment{}, err
	}
	if answer.Assessment == nil {
		return tracking.Assessment{}, r.fail(fmt.Errorf("%s answered without the assessment: %w", c.client.Host(), errs.ErrUnsupported))
	}
	stored, err := assessmentFromWire(answer.Assessment)
	if err != nil {
		return stored, r.fail(fmt.Errorf("the server's answer is not valid: %v: %w", err, errs.ErrUnsupported))
	}
	fromRemoteAssessment(&stored)
	return stored, nil
}

// DeleteAssessment implements tracking.TraceStore. Servers do not tell an
// assessment that is not there, which is looked for first.
func (c *Conn) DeleteAssessment(ctx context.Context, trace tracking.TraceID, id string) error {
	path := tracePath(trace) + "/assessments/" + url.PathEscape(id)
	if err := c.call(ctx, apiGet3("get assessment", id, path, nil), &mlflowapi.AssessmentMessage{}); err != nil {
		return err
	}
	r := apiGet3("delete assessment", id, path, nil)
	r.method, r.goneIsDone = http.MethodDelete, true
	return c.call(ctx, r, nil)
}
