package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/millwright-ml/millwright/internal/bench/rivals"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

var searched = flag.String("searched", "", "`path` of the database that is searched, which is made when it is absent; default one of this run")

// BenchmarkSearch gives the handler the searches that the program measures,
// without a connection between: for profiles.
func BenchmarkSearch(b *testing.B) {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	c := config{models: 10_000, versions: 20}
	path := *searched
	if path == "" {
		path = filepath.Join(b.TempDir(), "searched.db")
	}
	_, absent := os.Stat(path)
	store, err := sqlstore.Open(ctx, "sqlite:"+path, nil)
	check(err)
	defer store.Close()
	if errors.Is(absent, fs.ErrNotExist) {
		s := &server{Server: &rivals.Server{Name: rivals.Ours, Backend: "sqlite:///" + path}}
		check(s.seed(ctx, c))
	}
	h, err := mlflow.NewHandler(registry.New(store, nil, nil), nil)
	check(err)
	for _, s := range searches(c) {
		b.Run(s.name, func(b *testing.B) {
			n, before := 0, processor(b)
			for ; b.Loop(); n++ {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+s.path+"?"+s.query(n).Encode(), nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code, w.Body)
				}
			}
			b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(n), "cpu-µs/op")
		})
	}
}

// processor is what this program has used, which other work on the machine
// does not change.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
