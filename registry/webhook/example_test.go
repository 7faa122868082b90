package webhook_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
	"github.com/millwright-ml/millwright/registry/webhook"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := sqlstore.Open(ctx, "sqlite:"+filepath.ToSlash(filepath.Join(dir, "registry.db")), nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()

	// The receiver, in some other program.
	const secret = "known to both"
	told := make(chan string)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = webhook.Verify(r.Header, body, secret, 0)
		}
		told <- fmt.Sprint("signed: ", err == nil)
	}))
	defer receiver.Close()

	hooks, err := webhook.New(store, &webhook.Options{
		// For this example: by default https to public addresses only.
		AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	if err := hooks.Start(); err != nil {
		panic(err)
	}
	defer func() { _ = hooks.Shutdown(ctx) }()
	_, err = hooks.Create(ctx, webhook.Draft{
		Name: "deploy", URL: receiver.URL, Secret: secret, Events: []webhook.Event{webhook.ModelCreated},
	})
	if err != nil {
		panic(err)
	}

	_, err = registry.New(store, nil, nil).CreateModel(ctx, registry.Model{Name: "fraud"})
	if err != nil {
		panic(err)
	}
	fmt.Println(<-told)
	// Output: signed: true
}

func ExampleVerify() {
	http.HandleFunc("POST /hook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err == nil {
			err = webhook.Verify(r.Header, body, "the secret", 0)
		}
		if err != nil {
			http.Error(w, "not signed", http.StatusForbidden)
			return
		}
		// A delivery may come twice: r.Header.Get(webhook.HeaderID) tells.
	})
}
