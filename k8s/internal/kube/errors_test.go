package kube_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// The answers were recorded from an API server.
func TestErrorsSayTheLikelyCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status metav1.Status
		kind   error
		text   string
	}{
		"expired token": {
			metav1.Status{Code: 401, Reason: "Unauthorized", Message: "Unauthorized"}, kube.ErrUnauthorized,
			`k8s: get "Job a/b": the cluster does not accept the credentials: the token or certificate has expired or was revoked; renew it: unauthorized`,
		},
		"no right": {
			metav1.Status{Code: 403, Reason: "Forbidden", Message: `jobs.batch "b" is forbidden: User "u" cannot get resource "jobs" in API group "batch" in the namespace "a"`}, kube.ErrForbidden,
			`k8s: get "Job a/b": User "u" cannot get resource "jobs" in API group "batch" in the namespace "a"; package k8s/rbac writes the Role that is needed: forbidden`,
		},
		"refused by a webhook": {
			metav1.Status{Code: 403, Reason: "Forbidden", Message: `admission webhook "v.example.com" denied the request: spec.x: Forbidden: cannot be changed`}, kube.ErrForbidden,
			`k8s: get "Job a/b": admission webhook "v.example.com" denied the request: spec.x: Forbidden: cannot be changed: forbidden`,
		},
		"quota": {
			metav1.Status{Code: 403, Reason: "Forbidden", Message: `jobs.batch "b" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=1, limited: count/jobs.batch=1`}, kube.ErrQuota,
			`k8s: get "Job a/b": jobs.batch "b" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=1, limited: count/jobs.batch=1: quota exceeded`,
		},
		"no resource": {
			metav1.Status{Code: 404, Reason: "NotFound", Message: "the server could not find the requested resource", Details: &metav1.StatusDetails{}}, kube.ErrUnsupported,
			`k8s: get "Job a/b": the cluster does not serve jobs.batch batch/v1: its custom resource is not installed, or in another version: not supported by this implementation: unsupported operation`,
		},
		"not found": {
			metav1.Status{Code: 404, Reason: "NotFound", Message: `jobs.batch "b" not found`, Details: &metav1.StatusDetails{Name: "b"}}, kube.ErrNotFound,
			`k8s: get "Job a/b": jobs.batch "b" not found: not found`,
		},
		"gone":    {metav1.Status{Code: 410, Reason: "Expired", Message: "too old resource version"}, kube.ErrExpired, `k8s: get "Job a/b": the version is too old for the server to go on from: expired`},
		"exists":  {metav1.Status{Code: 409, Reason: metav1.StatusReasonAlreadyExists, Message: "x"}, kube.ErrExists, `k8s: get "Job a/b": it is there already: already exists`},
		"races":   {metav1.Status{Code: 409, Reason: metav1.StatusReasonConflict, Message: "x"}, kube.ErrConflict, `k8s: get "Job a/b": another writer was quicker: x: conflict`},
		"invalid": {metav1.Status{Code: 422, Reason: metav1.StatusReasonInvalid, Message: "spec: bad"}, kube.ErrInvalid, `k8s: get "Job a/b": spec: bad: invalid`},
		"webhook": {metav1.Status{Code: 500, Message: `Internal error occurred: failed calling webhook "m.kb.io": connection refused`}, kube.ErrUnavailable, `k8s: get "Job a/b": an admission webhook of the cluster does not answer: Internal error occurred: failed calling webhook "m.kb.io": connection refused: unavailable`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.status.Kind, c.status.APIVersion, c.status.Status = "Status", "v1", "Failure"
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(int(c.status.Code))
				_ = json.NewEncoder(w).Encode(c.status)
			}))
			t.Cleanup(server.Close)
			client, err := kube.New(&rest.Config{Host: server.URL}, nil)
			require.NoError(t, err)
			err = client.Get(context.Background(), kube.Jobs, "a", "b", &batchv1.Job{})
			require.ErrorIs(t, err, c.kind)
			require.EqualError(t, err, c.text)
			require.NotEmpty(t, kube.Message(err))
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	url := server.URL
	server.Close()
	client, err := kube.New(&rest.Config{Host: url}, nil)
	require.NoError(t, err)
	err = client.Get(context.Background(), kube.Jobs, "a", "b", &batchv1.Job{})
	require.ErrorIs(t, err, kube.ErrUnavailable)
	require.ErrorContains(t, err, "cannot be reached: connection refused")
	_, err = kube.New(nil, nil)
	require.ErrorIs(t, err, kube.ErrInvalid)
}
