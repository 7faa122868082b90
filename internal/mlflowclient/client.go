package mlflowclient

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

// Options of New. They are those of the public packages, which explain them,
// field by field, so that one converts to the other.
type Options struct {
	Client             *http.Client
	Username, Password string
	Token              string
	Header             http.Header
	Retries            int
	Backoff            time.Duration
	Timeout            time.Duration
	MaxResponse        int64
}

// Client sends requests to one server. It is a plain value: no goroutine,
// nothing to close, safe for concurrent use.
type Client struct {
	base    string // without a slash at the end
	host    string // for messages
	client  *http.Client
	header  http.Header
	retries int
	backoff time.Duration
	timeout time.Duration
	limit   int64
	public  func(*Answer) error
}

// New returns a Client of the server at baseURL. public makes the error that
// callers see of an answer that is none of success; it has to unwrap to the
// Answer. ErrInvalid lists everything that is wrong.
func New(baseURL string, opts *Options, public func(*Answer) error) (*Client, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	c := &Client{public: public, retries: o.Retries, backoff: o.Backoff, timeout: o.Timeout, limit: o.MaxResponse, header: http.Header{}}
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
func (c *Client) setBase(f *errs.Faults, baseURL string) (user, password string) {
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
func (c *Client) setClient(client *http.Client) {
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

// Base is the address of the server, without credentials and slash at the end.
func (c *Client) Base() string { return c.base }

// Host is that of the server, for messages.
func (c *Client) Host() string { return c.host }

// url returns the address of a path of the server; arguments are optional.
func (c *Client) url(path string, query url.Values) string {
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
