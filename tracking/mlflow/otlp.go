package mlflow

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

const (
	// maxOTLP bounds a request of spans, as it comes and when it is unpacked.
	maxOTLP = 64 << 20

	experimentHeader = "X-Mlflow-Experiment-Id"
	runHeader        = "X-Mlflow-Run-Id"

	protobufType = "application/x-protobuf"
	jsonMedia    = "application/json"
)

// byHeader is the scope of spans: a header names the experiment.
func byHeader(c *call) ([]tracking.ExperimentID, error) {
	id, err := headerExperiment(c)
	return []tracking.ExperimentID{id}, err
}

func headerExperiment(c *call) (tracking.ExperimentID, error) {
	id := c.R.Header.Get(experimentHeader)
	if id == "" {
		return "", mlflowapi.Missing(strings.ToLower(experimentHeader))
	}
	return experimentID(id)
}

// exportSpans takes spans by OpenTelemetry's protocol over HTTP. Either all
// are stored or none.
func (h *Handler) exportSpans(c *call) error {
	if h.traces == nil {
		return unsupported("traces")
	}
	exp, err := headerExperiment(c)
	if err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(c.R.Header.Get("Content-Type"))
	if err != nil || media != protobufType && media != jsonMedia {
		return mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Invalid Content-Type: want %s or %s.", protobufType, jsonMedia)
	}
	buf, err := c.Body()
	if err != nil {
		return err
	}
	defer buf.Release()
	body, err := unpack(buf.B, c.R.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	data, err := parseOTLP(body, media)
	if err != nil {
		return mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Invalid OpenTelemetry format: %s.", mlflowhttp.Printable(err.Error()))
	}
	batch, err := receiveAll(data)
	if err != nil {
		return mlflowapi.Errorf(mlflowapi.CodeInvalid, "Cannot convert OpenTelemetry span to MLflow span: %s.", mlflowhttp.Printable(err.Error()))
	}
	run := tracking.RunID(c.R.Header.Get(runHeader))
	if run != "" {
		if err := h.mayLink(c, run); err != nil {
			return err
		}
	}
	if err := h.storeSpans(c, exp, batch); err != nil {
		return err
	}
	if run != "" {
		if err := h.linkNew(c, run, batch); err != nil {
			return err
		}
	}
	if media == jsonMedia {
		return c.Send(http.StatusOK, []byte("{}"))
	}
	c.W.Header().Set("Content-Type", protobufType)
	c.W.Header().Set("Content-Length", "0") // the message of full success is empty
	c.W.WriteHeader(http.StatusOK)
	return nil
}

// unpack undoes the Content-Encoding, into at most maxOTLP bytes.
func unpack(body []byte, encoding string) ([]byte, error) {
	var r io.Reader
	var err error
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(body))
	default:
		return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Unsupported Content-Encoding: %s.", mlflowhttp.Printable(encoding))
	}
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(r, maxOTLP+1))
	}
	if err != nil {
		return nil, mlflowapi.Errorf(mlflowapi.CodeBadRequest, "Failed to decompress %s payload.", encoding)
	}
	if len(body) > maxOTLP {
		return nil, &http.MaxBytesError{Limit: maxOTLP}
	}
	return body, nil
}

var errNoSpans = errors.New("no spans found")

// parseOTLP reads a request to export spans. An ExportTraceServiceRequest and
// TracesData are the same on the wire.
func parseOTLP(body []byte, media string) (*tracepb.TracesData, error) {
	var data *tracepb.TracesData
	var err error
	if media == jsonMedia {
		data, err = parseOTLPJSON(body)
	} else {
		data = &tracepb.TracesData{}
		err = proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxOTLPDepth}.Unmarshal(body, data)
	}
	if err != nil {
		return nil, err
	}
	if len(data.GetResourceSpans()) == 0 {
		return nil, errNoSpans
	}
	return data, nil
}

// maxBatchSpans bounds the spans of one request.
const maxBatchSpans = tracking.MaxTraceSpans

// spanBatch is what one request brought, by trace in the order of arrival.
type spanBatch struct {
	spans  []tracking.Span
	traces []*traceBatch
}

// receiveAll turns every span of a request into its stored form.
func receiveAll(data *tracepb.TracesData) (*spanBatch, error) {
	batch := &spanBatch{}
	byID := map[tracking.TraceID]*traceBatch{}
	for _, rs := range data.GetResourceSpans() {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				if len(batch.spans) == maxBatchSpans {
					return nil, fmt.Errorf("there are more than %d spans", maxBatchSpans)
				}
				r, err := receive(s)
				if err != nil {
					return nil, err
				}
				t := byID[r.span.Trace]
				if t == nil {
					t = &traceBatch{id: r.span.Trace, spans: map[string]bool{}}
					byID[t.id] = t
					batch.traces = append(batch.traces, t)
				}
				t.add(&r, rs.GetResource().GetAttributes())
				batch.spans = append(batch.spans, r.span)
			}
		}
	}
	return batch, nil
}
