package k8s_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s"
	"github.com/millwright-ml/millwright/train"
)

// A cluster that cannot be asked is an error that says why, before anything is
// made.
func ExampleLauncher_Submit() {
	// Any API server whose token has expired answers like this.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`))
	}))
	defer server.Close()
	l, err := k8s.New(&rest.Config{Host: server.URL}, &k8s.Options{Namespace: "team-a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = l.Shutdown(context.Background()) }()
	_, err = l.Submit(context.Background(), train.Spec{Name: "fraud", Image: "registry.example/fraud:1"}, &train.SubmitOptions{Key: "request-17"})
	fmt.Println(errors.Is(err, k8s.ErrUnauthorized))
	_, reason, _ := strings.Cut(err.Error(), `": `)
	fmt.Println(reason)
	// Output:
	// true
	// the cluster does not accept the credentials: the token or certificate has expired or was revoked; renew it: unauthorized
}
