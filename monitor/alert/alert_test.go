package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/monitor"
	"github.com/millwright-ml/millwright/monitor/alert"
)

var opened = time.Date(2025, 11, 22, 5, 0, 0, 0, time.UTC)

func report(window, trigger int) monitor.Report {
	r := monitor.Report{Model: "fraud", Version: "3", Window: window, Rows: 1000, Verdict: monitor.OK, State: monitor.StateOK, To: opened.Add(time.Hour), Key: fmt.Sprintf("fraud/3/%d/0", window)}
	if trigger > 0 {
		r.Verdict, r.State = monitor.Drift, monitor.StateDrift
		r.Trigger = &monitor.Trigger{Key: fmt.Sprintf("fraud/3/abc/%d", trigger), Opened: opened, Causes: []string{"amount is higher"}}
	}
	return r
}

// receiver keeps what it gets, and answers with statuses in their turn.
type receiver struct {
	mu       sync.Mutex
	statuses []int
	keys     []string
	bodies   []json.RawMessage
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var body json.RawMessage
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.keys = append(r.keys, req.Header.Get("Idempotency-Key")+" "+req.Header.Get("Authorization"))
	r.bodies = append(r.bodies, body)
	status := 200
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte("said"))
}

func newSender(t *testing.T, r *receiver, opts alert.Options) *alert.Sender {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	opts.Backoff = time.Microsecond
	opts.Header = http.Header{"Authorization": {"Bearer x"}}
	s, err := alert.New(server.URL+"/hook/secret", &opts)
	require.NoError(t, err)
	return s
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	s := newSender(t, r, alert.Options{Labels: map[string]string{"team": "risk"}, Link: "https://grafana.example/d/millwright"})
	for window, trigger := range []int{0, 0, 1, 1, 1, 0, 0, 2, 3} {
		require.NoError(t, s.Send(t.Context(), report(window, trigger)))
	}
	require.Equal(t, []string{
		"fraud/3/abc/1/firing Bearer x", "fraud/3/abc/1/resolved Bearer x", "fraud/3/abc/2/firing Bearer x",
		"fraud/3/abc/2/resolved Bearer x", "fraud/3/abc/3/firing Bearer x",
	}, r.keys)
	var p struct {
		Version, Status, GroupKey, Receiver string
		Alerts                              []struct {
			Status, Fingerprint string
			Labels, Annotations map[string]string
			StartsAt, EndsAt    time.Time
		}
	}
	require.NoError(t, json.Unmarshal(r.bodies[1], &p))
	require.Equal(t, "4 resolved millwright", p.Version+" "+p.Status+" "+p.Receiver)
	a := p.Alerts[0]
	require.Equal(t, map[string]string{"alertname": "MillwrightDrift", "severity": "warning", "model": "fraud", "version": "3", "team": "risk"}, a.Labels)
	require.Equal(t, "amount is higher", a.Annotations["causes"])
	require.Equal(t, opened, a.StartsAt)
	require.Equal(t, opened.Add(time.Hour), a.EndsAt)
	labels := model.LabelSet{}
	for k, v := range a.Labels {
		labels[model.LabelName(k)] = model.LabelValue(v)
	}
	require.Equal(t, labels.Fingerprint().String(), a.Fingerprint, "as Prometheus computes it")
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	s := newSender(t, r, alert.Options{Format: alert.Alerts, Repeat: time.Nanosecond})
	for window, trigger := range []int{1, 1, 0} {
		require.NoError(t, s.Send(t.Context(), report(window, trigger)))
	}
	require.Len(t, r.bodies, 3, "an open one is repeated")
	for i, body := range r.bodies {
		var list []model.Alert
		require.NoError(t, json.Unmarshal(body, &list))
		require.Len(t, list, 1)
		require.NoError(t, list[0].Validate())
		require.Equal(t, i == 2, list[0].Resolved())
		require.Equal(t, "fraud", string(list[0].Labels["model"]))
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	r := &receiver{statuses: []int{500, 429, 200}}
	s := newSender(t, r, alert.Options{})
	require.NoError(t, s.Send(t.Context(), report(1, 1)))
	require.Len(t, r.keys, 3)
	require.Equal(t, r.keys[0], r.keys[2])

	r = &receiver{statuses: []int{503, 503}}
	s = newSender(t, r, alert.Options{Attempts: 2})
	err := s.Send(t.Context(), report(1, 1))
	require.ErrorIs(t, err, alert.ErrUnavailable)
	require.NotContains(t, err.Error(), "secret")
	require.NoError(t, s.Send(t.Context(), report(2, 1)), "what was not sent is sent with the next report")
	require.Len(t, r.keys, 3)

	r = &receiver{statuses: []int{400}}
	s = newSender(t, r, alert.Options{})
	require.ErrorIs(t, s.Send(t.Context(), report(1, 1)), alert.ErrInvalid)
	require.Len(t, r.keys, 1)

	s, err = alert.New("http://127.0.0.1:1/secret", &alert.Options{Backoff: time.Hour})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the program ends")
	timer := time.AfterFunc(20*time.Millisecond, func() { cancel(reason) })
	defer timer.Stop()
	err = s.Send(ctx, report(1, 1))
	require.ErrorIs(t, err, reason)
	require.NotContains(t, err.Error(), "secret")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := alert.New("ftp://user:secret@host", &alert.Options{Format: 7, Attempts: -1, Backoff: -1, Repeat: -1})
	require.ErrorIs(t, err, alert.ErrInvalid)
	for _, fault := range []string{"URL", "Format", "Attempts", "Backoff", "Repeat"} {
		require.ErrorContains(t, err, fault)
	}
	require.NotContains(t, err.Error(), "secret")
}

func Example() {
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var p struct {
			Status       string            `json:"status"`
			CommonLabels map[string]string `json:"commonLabels"`
		}
		_ = json.NewDecoder(req.Body).Decode(&p)
		fmt.Println(p.Status, p.CommonLabels["model"], req.Header.Get("Idempotency-Key"))
	}))
	defer hook.Close()
	s, err := alert.New(hook.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for window, trigger := range []int{0, 1, 1, 0} { // As OnReport gets them.
		if err := s.Send(context.Background(), report(window, trigger)); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// firing fraud fraud/3/abc/1/firing
	// resolved fraud fraud/3/abc/1/resolved
}
