package servetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/serve/oip"
)

// ErrInvalid is the kind of error for a base URL or options that are wrong.
var ErrInvalid = errs.ErrInvalid

// Options say what to ask. Nil means the defaults.
type Options struct {
	// Model is the model to ask. Default: the first that the server's
	// repository lists as ready; without that extension it has to be set.
	Model string
	// Version is its version. Default: the server's choice.
	Version string
	// Sample is a request that the model answers. Default: one that is made
	// up of the model's metadata, two rows where the first dimension varies
	// and two elements in each other dimension that does.
	Sample *oip.InferRequest
	// Echo names a model that answers each of its inputs with an output of
	// the same name, datatype and data, whose shape is [-1] or [-1,-1].
	// Default: those checks are skipped.
	Echo string
	// Generate names a model that answers generate and generate_stream, and
	// GenerateInputs what it is asked. Default: those checks are skipped.
	Generate       string
	GenerateInputs map[string]any
	// Parts are the parts to check, as Result.Part names them. Default: all.
	Parts []string
	// Extensions are asked for although the server does not list them.
	Extensions []string
	// Timeout ends a single question. Default one minute.
	Timeout time.Duration
	// HTTPClient sends the requests; authentication and TLS are set there.
	// Default: a client of its own.
	HTTPClient *http.Client
}

// Check asks the server at baseURL, the requests going to baseURL/v2/…. The
// error says that there is nothing to report: a wrong URL, no server, no model.
func Check(ctx context.Context, baseURL string, opts *Options) (*Report, error) {
	s, err := newSuite(ctx, baseURL, opts)
	if err != nil {
		return nil, err
	}
	for _, c := range s.cases() {
		s.report.Results = append(s.report.Results, s.run(ctx, &c))
	}
	return s.report, nil
}

// Run asks the server at baseURL as subtests of t, one a check: a Fail fails,
// a Skip is skipped and a Warn is logged.
func Run(t *testing.T, baseURL string, opts *Options) {
	t.Helper()
	s, err := newSuite(t.Context(), baseURL, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.cases() {
		t.Run(c.part+"/"+strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			switch r := s.run(t.Context(), &c); r.Status {
			case Fail:
				t.Error(r.Detail)
			case Warn:
				t.Log("warning: " + r.Detail)
			case Skip:
				t.Skip(r.Detail)
			case Pass:
			}
		})
	}
}

// suite is one server that is asked.
type suite struct {
	opts   Options
	base   string
	http   *http.Client
	report *Report
	meta   oip.ModelMetadata
	sample *oip.InferRequest
}

// newSuite finds out whom to ask.
func newSuite(ctx context.Context, baseURL string, opts *Options) (*suite, error) {
	s := &suite{report: &Report{URL: baseURL, Start: time.Now()}}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Timeout == 0 {
		s.opts.Timeout = time.Minute
	}
	if s.http = s.opts.HTTPClient; s.http == nil {
		// What is said of encodings has to be seen as it is. Connections of
		// their own keep one check's trouble from the next.
		s.http = &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
	}
	client, err := oip.NewClient(baseURL, &oip.ClientOptions{HTTPClient: s.http})
	if err != nil {
		return nil, fmt.Errorf("servetest: %w", err)
	}
	s.base = strings.TrimRight(baseURL, "/")
	fail := func(what string, err error) (*suite, error) {
		return nil, fmt.Errorf("servetest: ask %s for %s: %w", baseURL, what, err)
	}
	if s.report.Server, err = client.ServerMetadata(ctx); err != nil {
		return fail("its metadata", err)
	}
	if s.opts.Model == "" {
		list, err := client.RepositoryIndex(ctx, true)
		if err != nil {
			return fail("its models, as Options.Model is empty", err)
		}
		i := slices.IndexFunc(list, func(m oip.ModelIndex) bool { return m.State == oip.StateReady || m.State == "" })
		if i < 0 {
			return nil, fmt.Errorf("servetest: %s lists no model that is ready, set Options.Model: %w", baseURL, ErrInvalid)
		}
		s.opts.Model = list[i].Name
	}
	s.report.Model, s.report.Version = s.opts.Model, s.opts.Version
	if s.meta, err = client.ModelMetadata(ctx, s.opts.Model, s.opts.Version); err != nil {
		return fail(fmt.Sprintf("the metadata of %q", s.opts.Model), err)
	}
	if s.sample = s.opts.Sample; s.sample == nil {
		if s.sample, err = madeUp(&s.meta); err != nil {
			return nil, fmt.Errorf("servetest: make up a request for %q: %w", s.opts.Model, err)
		}
	}
	return s, nil
}

// cases are the checks that are wanted.
func (s *suite) cases() []check {
	return slices.DeleteFunc(slices.Clone(cases), func(c check) bool {
		return len(s.opts.Parts) > 0 && !slices.Contains(s.opts.Parts, c.part)
	})
}

// has reports whether the server has an extension, or the options insist.
func (s *suite) has(extension string) bool {
	return slices.ContainsFunc(slices.Concat(s.report.Server.Extensions, s.opts.Extensions), func(e string) bool {
		return e == extension || strings.HasPrefix(e, extension+"(")
	})
}

// check is one check. ask returns nil for a pass, a *verdict for a warning or a
// skip, and any other error for a fail.
type check struct {
	part, name string
	// extension is what the server has to list, "" for none.
	extension string
	ask       func(ctx context.Context, s *suite) error
}

// verdict is an end that is neither a pass nor a fail.
type verdict struct {
	status Status
	text   string
}

func (v *verdict) Error() string { return v.text }

func warnf(format string, args ...any) error { return &verdict{Warn, fmt.Sprintf(format, args...)} }
func skipf(format string, args ...any) error { return &verdict{Skip, fmt.Sprintf(format, args...)} }

// run runs a check.
func (s *suite) run(ctx context.Context, c *check) Result {
	r := Result{Part: c.part, Name: c.name, Status: Pass}
	if c.extension != "" && !s.has(c.extension) {
		r.Status, r.Detail = Skip, "the server does not list "+c.extension
		return r
	}
	start := time.Now()
	err := c.ask(ctx, s)
	r.Duration = time.Since(start)
	if err != nil {
		r.Status, r.Detail = Fail, err.Error()
	}
	if v, ok := errors.AsType[*verdict](err); ok {
		r.Status = v.status
	}
	return r
}

// path is the path of the model, of the version asked for.
func (s *suite) path(rest string) string {
	return modelPath(s.opts.Model, s.opts.Version) + rest
}

func modelPath(model, version string) string {
	p := "/v2/models/" + url.PathEscape(model)
	if version != "" {
		p += "/versions/" + url.PathEscape(version)
	}
	return p
}
