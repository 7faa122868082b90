package mlflow

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
)

// DialOptions of Dial. The zero value is ready, and so is a nil pointer.
type DialOptions struct {
	// Client sends the requests. It is copied and never changed; its own
	// redirect policy and cookies are kept. A Timeout of it would also end
	// long artifact transfers; use Timeout below instead. Default: a client
	// with a pool of connections of its own.
	Client *http.Client

	// Username and Password are sent as HTTP Basic. Default: those in the
	// URL, if it has any.
	Username, Password string

	// Token is sent as Authorization: Bearer. Not together with Username.
	Token string

	// Header is added to every request, for proxies and tenants, like
	// X-MLFLOW-WORKSPACE.
	Header http.Header

	// Retries is how often a request is sent again at most, where sending
	// again is safe. Default 5, -1 is never.
	Retries int

	// Backoff is the wait before the first resend. It doubles for each
	// further one up to 10 seconds, and is shortened at random by up to a
	// half. A server's Retry-After is waited for when it is longer, up to one
	// minute. Default 200 ms.
	Backoff time.Duration

	// Timeout bounds one attempt of a request, artifact transfers excepted.
	// The context of the call bounds all attempts together. Default 1 minute,
	// -1 is none.
	Timeout time.Duration

	// MaxResponse is the largest answer that is read, in bytes after
	// decompression, artifacts excepted. Default 256 MiB.
	MaxResponse int64
}

// Conn is a tracking.Store on an MLflow server: ours, or upstream's from
// version 2.9 on (logged models from 3.0, traces from 3.4). It is also a
// Sampler, an InputSearcher, a ModelStore and a TraceStore. It is a plain
// value: no goroutine, nothing to close, safe for concurrent use.
type Conn struct {
	base    string // without a slash at the end
	host    string // for messages
	client  *http.Client
	header  http.Header
	retries int
	backoff time.Duration
	timeout time.Duration
	limit   int64
}

// Dial returns a Conn to the MLflow server at baseURL, which may have a path
// when the server runs behind a prefix: "https://ml.example.com/mlflow". It
// does no I/O; Ping does. ErrInvalid lists everything that is wrong with the
// URL and the options.
func Dial(baseURL string, opts *DialOptions) (*Conn, error) {
	var o DialOptions
	if opts != nil {
		o = *opts
	}
	c := &Conn{retries: o.Retries, backoff: o.Backoff, timeout: o.Timeout, limit: o.MaxResponse, header: http.Header{}}
	if c.retries == 0 {
		c.retries = 5
	}
	if c.backoff == 0 {
		c.backoff = 200 * time.Millisecond
	}
	if c.timeout == 0 {
		c.timeout = time.Minute
	}
	if c.limit == 0 {
		c.limit = 256 << 20
	}
	var f errs.Faults
	f.Check(c.retries >= -1, "Retries is %d, want -1 or more", o.Retries)
	f.Check(c.backoff > 0, "Backoff is %v, want more than 0", o.Backoff)
	f.Check(c.timeout > 0 || c.timeout == -1, "Timeout is %v, want more than 0, or -1 for none", o.Timeout)
	f.Check(c.limit > 0, "MaxResponse is %d, want more than 0", o.MaxResponse)
	f.Check(o.Username == "" || o.Token == "", "both Username and Token are set, a request can carry one of them")
	user, password := c.setBase(&f, baseURL)
	if o.Username != "" {
		user, password = o.Username, o.Password
	}
	f.Check(!strings.Contains(user, ":"), "the user name has a colon, which HTTP Basic cannot carry")
	if err := f.Err("mlflow: dial"); err != nil {
		return nil, err
	}
	maps.Copy(c.header, o.Header.Clone())
	switch {
	case o.Token != "":
		c.header.Set("Authorization", "Bearer "+o.Token)
	case user != "":
		c.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	if c.header.Get("User-Agent") == "" {
		c.header.Set("User-Agent", "millwright")
	}
	c.setClient(o.Client)
	return c, nil
}

// setBase checks the URL, keeps it without its credentials and returns those.
func (c *Conn) setBase(f *errs.Faults, baseURL string) (user, password string) {
	u, err := url.Parse(strings.TrimSpace(baseURL))
	if err != nil { // whose text shows the URL with its password
		f.Addf("the address is no URL, want one like http://127.0.0.1:5000")
		return "", ""
	}
	shown := u.Redacted()
	f.Check(u.Scheme == "http" || u.Scheme == "https", "the address %q has the scheme %q, want http or https", shown, u.Scheme)
	f.Check(u.Host != "", "the address %q has no host, want one like http://127.0.0.1:5000", shown)
	f.Check(u.RawQuery == "" && u.Fragment == "", "the address %q has a query or fragment", shown)
	if u.User != nil {
		user = u.User.Username()
		password, _ = u.User.Password()
		u.User = nil
	}
	c.base, c.host = strings.TrimRight(u.String(), "/"), u.Host
	return user, password
}

// setClient copies client and adds the redirect rule.
func (c *Conn) setClient(client *http.Client) {
	var own http.Client
	if client != nil {
		own = *client
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		t = t.Clone()
		// The default of two makes concurrent callers open connections anew.
		t.MaxIdleConnsPerHost = 64
		own.Transport = t
	}
	policy := own.CheckRedirect
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		// A POST that turns into a GET would read where it should write.
		if req.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		if policy != nil {
			return policy(req, via)
		}
		if len(via) >= 10 {
			return fmt.Errorf("stopped after %d redirects", len(via))
		}
		return nil
	}
	c.client = &own
}

// url returns the address of a path of the server; arguments are optional.
func (c *Conn) url(path string, query url.Values) string {
	if len(query) == 0 {
		return c.base + path
	}
	return c.base + path + "?" + query.Encode()
}

// escapeSegments escapes each segment of a slash-separated path.
func escapeSegments(path string) string {
	segments := slices.Collect(strings.SplitSeq(path, "/"))
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	return strings.Join(segments, "/")
}
