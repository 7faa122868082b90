package mlflow

import (
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/internal/mlflowclient"
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
type Conn struct{ client *mlflowclient.Client }

// Dial returns a Conn to the MLflow server at baseURL, which may have a path
// when the server runs behind a prefix: "https://ml.example.com/mlflow". It
// does no I/O; Ping does. ErrInvalid lists everything that is wrong with the
// URL and the options.
func Dial(baseURL string, opts *DialOptions) (*Conn, error) {
	client, err := mlflowclient.New(baseURL, (*mlflowclient.Options)(opts), responseError)
	if err != nil {
		return nil, err
	}
	return &Conn{client}, nil
}
