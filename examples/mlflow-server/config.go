package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// config is what the flags and the environment say.
type config struct {
	host, port string

	backend     string // as tracking/sqlstore takes it
	destination string // of proxied artifacts: a folder or s3://…; empty: not served
	root        string // URI below which new experiments keep their files; empty: the proxy

	models     string // where the registry keeps models: a folder or s3://…
	hookKeys   string // file with the keys of webhooks' secrets
	hookHTTP   bool
	hookInside []netip.Prefix // networks that webhooks may reach

	prefix  string
	uiDir   string
	auth    bool
	users   string // file of users
	admin   credentials
	hosts   []string
	origins []string

	retention      time.Duration // of what was deleted; 0 keeps it
	traceRetention time.Duration // of traces; 0 keeps them
	grace          time.Duration // to finish requests when the program ends
}

type credentials struct{ user, password string }

// parse reads the flags, which have upstream's names, and for those that are
// absent upstream's environment variables.
func parse(args []string, getenv func(string) string, out io.Writer) (*config, error) {
	f := flag.NewFlagSet("mlflow-server", flag.ContinueOnError)
	f.SetOutput(out)
	text := func(names []string, env, byDefault, usage string) *string {
		value := byDefault
		if v := getenv(env); env != "" && v != "" {
			value = v
		}
		if env != "" {
			usage += " (environment: " + env + ")"
		}
		var into string
		for _, name := range names {
			f.StringVar(&into, name, value, usage)
			usage = "the same as --" + names[0]
		}
		return &into
	}
	host := text([]string{"host", "h"}, "MLFLOW_HOST", "127.0.0.1", "`address` to listen on")
	port := text([]string{"port", "p"}, "MLFLOW_PORT", "5000", "port to listen on, 0 for any")
	backend := text([]string{"backend-store-uri"}, "MLFLOW_BACKEND_STORE_URI", "sqlite:///millwright.db",
		"database: sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user:password@host/database")
	root := text([]string{"default-artifact-root"}, "MLFLOW_DEFAULT_ARTIFACT_ROOT", "",
		"`URI` below which new experiments keep their files (default: mlflow-artifacts:/, which this server serves)")
	destination := text([]string{"artifacts-destination"}, "MLFLOW_ARTIFACTS_DESTINATION", "./mlartifacts",
		"where served artifacts are kept: a folder, file:///path or s3://bucket/prefix")
	models := text([]string{"models-destination"}, "", "",
		"where the model registry keeps its files: a folder, file:///path or s3://bucket/prefix (default: --artifacts-destination with -models behind it)")
	hookKeys := text([]string{"webhook-keys"}, "", "", "`file` of 64 hex digits a line that encrypt the secrets of webhooks; the first encrypts, all decrypt")
	inside := text([]string{"webhook-allow-networks"}, "", "", "comma-separated networks that webhooks may reach beside public addresses, like 10.20.0.0/16")
	prefix := text([]string{"static-prefix"}, "MLFLOW_STATIC_PREFIX", "", "`path` under which everything is served as well, like /mlflow")
	hosts := text([]string{"allowed-hosts"}, "MLFLOW_SERVER_ALLOWED_HOSTS", "",
		"comma-separated Host headers to serve, * for any (default: local and private addresses)")
	origins := text([]string{"cors-allowed-origins"}, "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "",
		"comma-separated origins whose pages may change things (default: this server's and localhost's)")
	app := text([]string{"app-name"}, "", "", "basic-auth asks every client for a user and a password")
	users := text([]string{"users"}, "", "basic_auth.json", "`file` of users for basic-auth, made with an admin from MLFLOW_AUTH_ADMIN_USERNAME and MLFLOW_AUTH_ADMIN_PASSWORD when absent")
	text([]string{"workers", "w"}, "", "1", "accepted for compatibility: one process serves everything")
	text([]string{"expose-prometheus"}, "", "", "accepted for compatibility: /metrics is always there and needs no folder")
	uiDir := text([]string{"ui-dir"}, "", "", "`folder` with a build of MLflow's web UI: mlflow/server/js/build of its Python package")

	serve := getenv("MLFLOW_SERVE_ARTIFACTS")
	serveArtifacts := f.Bool("serve-artifacts", serve == "" || strings.EqualFold(serve, "true") || serve == "1", "serve artifacts (environment: MLFLOW_SERVE_ARTIFACTS)")
	noServe := f.Bool("no-serve-artifacts", false, "leave artifacts to the clients, which need access to --default-artifact-root themselves")
	c := &config{}
	f.BoolVar(&c.hookHTTP, "webhook-allow-http", false, "let webhooks have URLs that begin with http")
	f.DurationVar(&c.retention, "retention", 0, "time after which deleted experiments, runs and models are removed for good with their files, like 720h; 0 is never")
	f.DurationVar(&c.traceRetention, "trace-retention", 0, "time after which traces are removed for good; 0 is never")
	f.DurationVar(&c.grace, "grace", 30*time.Second, "time that requests have to finish when the server is told to stop")
	if n := len(args); n > 0 && args[n-1] == "-h" { // without an address it is no host
		args = append(args[:n-1:n-1], "--help")
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}

	c.host, c.port, c.prefix, c.uiDir = *host, *port, strings.TrimRight(*prefix, "/"), *uiDir
	c.hosts, c.origins = list(*hosts), list(*origins)
	c.admin = credentials{user: getenv("MLFLOW_AUTH_ADMIN_USERNAME"), password: getenv("MLFLOW_AUTH_ADMIN_PASSWORD")}
	if c.admin.user == "" {
		c.admin.user = "admin"
	}
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(f.NArg() == 0, "unexpected argument %q", f.Arg(0))
	n, err := strconv.ParseUint(c.port, 10, 16)
	check(err == nil && n <= 65535, "--port %q is no port", c.port)
	check(*app == "" || *app == "basic-auth", "--app-name %q is not known, only basic-auth is", *app)
	c.auth, c.users = *app == "basic-auth", *users
	check(c.prefix == "" || strings.HasPrefix(c.prefix, "/"), "--static-prefix %q must begin with a slash", c.prefix)
	check(c.retention >= 0 && c.traceRetention >= 0 && c.grace >= 0, "a duration is negative")
	if c.backend, err = backendURL(*backend); err != nil {
		faults = append(faults, fmt.Errorf("--backend-store-uri: %w", err))
	}
	if *serveArtifacts && !*noServe {
		c.destination = *destination
	}
	c.hookKeys = *hookKeys
	for _, item := range list(*inside) {
		network, err := netip.ParsePrefix(item)
		check(err == nil, "--webhook-allow-networks: %q is no network", item)
		c.hookInside = append(c.hookInside, network)
	}
	if c.models = *models; c.models == "" {
		c.models = strings.TrimRight(*destination, "/") + "-models"
		// A bucket's name must not change with it.
		rest, bucket := strings.CutPrefix(strings.TrimRight(*destination, "/"), "s3://")
		check(!bucket || strings.Contains(rest, "/"), "--artifacts-destination is a whole bucket: say where models are kept with --models-destination")
	}
	if c.root, err = artifactRoot(*root, c.destination != ""); err != nil {
		faults = append(faults, fmt.Errorf("--default-artifact-root: %w", err))
	}
	return c, errors.Join(faults...)
}

func (c *config) address() string { return net.JoinHostPort(c.host, c.port) }

func list(s string) (items []string) {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// backendURL translates SQLAlchemy's form of a database's URL. Its
// sqlite:///file.db is a path from where the program runs, sqlite:////file.db
// one from the root.
func backendURL(uri string) (string, error) {
	scheme, rest, ok := strings.Cut(uri, ":")
	switch {
	case !ok || len(scheme) < 2: // a path, which upstream takes for a folder of its file store
		return "", fmt.Errorf("%q is no database: want sqlite:///file.db or postgresql://…", uri)
	case strings.HasPrefix(scheme, "postgres"):
		return uri, nil
	case scheme != "sqlite":
		return "", fmt.Errorf("there is no store for databases of the kind %q, want sqlite or postgresql", scheme)
	}
	path, ok := strings.CutPrefix(rest, "///")
	if !ok || path == "" || path == ":memory:" {
		return "", fmt.Errorf("%q names no file: want sqlite:///file.db", uri)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "sqlite", Path: filepath.ToSlash(path)}).String(), nil
}

// artifactRoot gives the store's artifact root for the flag.
func artifactRoot(uri string, served bool) (string, error) {
	switch {
	case uri == "" && served:
		return "", nil // the store's own default, mlflow-artifacts:
	case uri == "":
		uri = "./mlruns"
	}
	if scheme, _, ok := strings.Cut(uri, ":"); ok && len(scheme) > 1 {
		return strings.TrimRight(uri, "/"), nil
	}
	path, err := filepath.Abs(uri)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return "", err
	}
	return "file://" + filepath.ToSlash(path), nil
}
