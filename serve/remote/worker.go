package remote

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millwright-ml/millwright/serve"
	"github.com/millwright-ml/millwright/serve/oip"
)

//go:embed worker.py
var script []byte

// WorkerOptions say how to run a Python worker. Nil means the defaults.
type WorkerOptions struct {
	// Python is the interpreter, with numpy, mlflow and what the model needs:
	// that of a virtual environment. Default "python3".
	Python string
	// Env is added to the environment of the program.
	Env []string
	// Script replaces the program that the worker runs, for models that are not
	// MLflow's: it is called with the path of the socket to listen on and the
	// model's folder, answers the protocol there for the model "model", and ends
	// when its standard input ends. Default: one that loads any mlflow.pyfunc
	// model with a signature.
	Script []byte
	// Startup is the longest time to import and load. Default 5 minutes.
	Startup time.Duration
	// Hang is how long a call may go on after its caller has given up, before
	// the worker is killed and started anew. Default 10 s; -1 is off.
	Hang time.Duration
	// Restart is the time before a worker that ended is started again, twice as
	// long after each further end within a minute, at most 30 s. Default 100 ms.
	Restart time.Duration
	// Stderr gets what the worker says, beside the last of it that stands in
	// errors. Default none.
	Stderr io.Writer
	// Logger is told of starts and ends. Default none.
	Logger *slog.Logger
}

// Worker is a serve.Model that a Python process computes: a folder of MLflow's,
// of any flavour. The process is started by StartWorker, watched, started again
// when it ends, and gone when the program is, however that ends. Calls go to it
// one at a time, over a Unix socket; for more at once deploy more workers.
//
// Its inputs are the columns of the model's signature, each of the shape [-1,1],
// or its tensors; those without a name are "input-0" and on, "output-0" and on,
// as with MLServer. Dates are ISO texts, what has no datatype is JSON.
type Worker struct {
	opts   WorkerOptions
	dir    string // With the script and the socket.
	folder string
	model  *Model
	said   *tail

	stop context.CancelFunc
	done chan struct{} // Closed when the supervisor has ended.

	mu   sync.Mutex
	proc *process // nil between two.
	why  error    // Why there is none.
}

// StartWorker starts a worker for a model's folder and waits until it has
// loaded. The folder must stay until Close.
//
// Errors: with the end of what the worker said on its standard error.
func StartWorker(ctx context.Context, folder string, opts *WorkerOptions) (*Worker, error) {
	return startWorker(ctx, folder, nil, opts)
}

// startWorker takes a folder, or files to copy into one of the worker's own.
func startWorker(ctx context.Context, folder string, copied fs.FS, opts *WorkerOptions) (*Worker, error) {
	var o WorkerOptions
	if opts != nil {
		o = *opts
	}
	o.Python = cmp.Or(o.Python, "python3")
	o.Startup = cmp.Or(o.Startup, 5*time.Minute)
	o.Hang = cmp.Or(o.Hang, 10*time.Second)
	o.Restart = cmp.Or(o.Restart, 100*time.Millisecond)
	if o.Script == nil {
		o.Script = script
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Startup < 0 || o.Restart < 0 || o.Hang < -1 {
		return nil, fmt.Errorf("remote: worker for %q: Startup %v, Restart %v and Hang %v are to be above 0: %w", folder, o.Startup, o.Restart, o.Hang, ErrInvalid)
	}
	// A path of a socket has to be short.
	dir, err := os.MkdirTemp("", "mw-worker-")
	if err != nil {
		return nil, fmt.Errorf("remote: worker for %q: %w", folder, err)
	}
	if copied != nil {
		folder = filepath.Join(dir, "model")
		if err := os.CopyFS(folder, copied); err != nil {
			return nil, errors.Join(fmt.Errorf("remote: worker: copy the model: %w", err), os.RemoveAll(dir))
		}
	}
	w := &Worker{opts: o, dir: dir, folder: folder, said: &tail{also: o.Stderr}, done: make(chan struct{})}
	if err := w.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("remote: worker for %q: %w", folder, err), os.RemoveAll(dir))
	}
	return w, nil
}

// begin starts the first process and the supervisor.
func (w *Worker) begin(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(w.dir, "worker.py"), w.opts.Script, 0o600); err != nil {
		return err
	}
	p, err := w.start(ctx)
	if err != nil {
		return err
	}
	// What it takes and gives stays the same through all restarts.
	w.model, err = Dial(ctx, "http://worker", &Options{
		Model: "model", Encoding: Binary, Socket: w.socket(), Stall: -1, Retries: -1, Failures: -1, MaxBody: -1,
	})
	if err != nil {
		p.kill()
		return fmt.Errorf("%w%s", err, w.said.quote())
	}
	w.proc = p
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go w.supervise(life, p)
	return nil
}

func (w *Worker) socket() string { return filepath.Join(w.dir, "s") }

// start starts a process and waits until it is ready.
func (w *Worker) start(ctx context.Context) (*process, error) {
	if err := os.Remove(w.socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w.said.reset()
	p, err := startProcess(w.opts.Python, []string{filepath.Join(w.dir, "worker.py"), w.socket(), w.folder}, w.opts.Env, w.said)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	limit := time.NewTimer(w.opts.Startup)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return nil, fmt.Errorf("it ended while it loaded: %v%s: %w", p.err, w.said.quote(), ErrUnavailable)
		case <-limit.C:
			p.kill()
			return nil, fmt.Errorf("it was not ready after %v%s: %w", w.opts.Startup, w.said.quote(), ErrUnavailable)
		case <-ctx.Done():
			p.kill()
			return nil, ctx.Err()
		case <-tick.C:
			// It listens once it has loaded.
			if w.listens(ctx) {
				w.opts.Logger.Info("remote: a worker is ready", "folder", w.folder, "pid", p.pid(), "after", time.Since(began))
				return p, nil
			}
		}
	}
}

// listens reports whether the process takes connections.
func (w *Worker) listens(ctx context.Context) bool {
	_, err := w.get(ctx, "/v2/health/ready", time.Minute)
	return err == nil
}

// get asks the process over a connection of its own.
func (w *Worker) get(ctx context.Context, path string, most time.Duration) (body []byte, err error) {
	t := newTransport(&Options{Socket: w.socket(), Connect: 5 * time.Second, Stall: -1, Retries: -1, Failures: -1, Connections: 1})
	defer t.close()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://worker"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// supervise starts the process again whenever it ends, until Close.
func (w *Worker) supervise(ctx context.Context, p *process) {
	defer close(w.done)
	const most, calm = 30 * time.Second, time.Minute
	pause := w.opts.Restart
	began := time.Now()
	for {
		if p != nil {
			select {
			case <-p.done:
			case <-ctx.Done():
				p.end()
				return
			}
			if time.Since(began) > calm {
				pause = w.opts.Restart
			}
			w.lost(fmt.Errorf("the worker ended: %v%s", p.err, w.said.quote()))
			w.opts.Logger.Error("remote: a worker ended", "folder", w.folder, "pid", p.pid(), "error", p.err)
		}
		if sleep(ctx, pause) != nil {
			return
		}
		pause = min(2*pause, most)
		var err error
		began = time.Now()
		if p, err = w.start(ctx); err != nil {
			w.lost(err)
			w.opts.Logger.Error("remote: start a worker again", "folder", w.folder, "error", err)
			continue
		}
		w.mu.Lock()
		w.proc, w.why = p, nil
		w.mu.Unlock()
	}
}

func (w *Worker) lost(why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proc, w.why = nil, why
}

// current returns the process, or why there is none.
func (w *Worker) current() (*process, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.proc, w.why
}

// Signature implements serve.Model.
func (w *Worker) Signature() serve.Signature { return w.model.Signature() }

// Infer implements serve.Model. While the worker is started again it returns an
// ErrUnavailable; a call that the process ended in is not made again, because it
// may be what ended it.
func (w *Worker) Infer(ctx context.Context, req *oip.InferRequest, resp *oip.InferResponse) error {
	p, why := w.current()
	if p == nil {
		return fmt.Errorf("remote: the worker is being started again: %v: %w", why, ErrUnavailable)
	}
	sent := *req
	sent.Inputs = slices.Clone(req.Inputs)
	err := w.model.Infer(ctx, &sent, resp)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		if w.opts.Hang > 0 {
			go w.relieve(p)
		}
		return err
	}
	if _, answered := errors.AsType[*oip.StatusError](err); !answered && p.ending() {
		return fmt.Errorf("remote: the worker ended in this call: %v%s", p.err, w.said.quote())
	}
	return err
}

// relieve kills a process that goes on with a call that nobody waits for.
func (w *Worker) relieve(p *process) {
	if !p.relieving.CompareAndSwap(false, true) {
		return
	}
	defer p.relieving.Store(false)
	timer := time.NewTimer(w.opts.Hang)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.done:
		return
	}
	var busy struct {
		Seconds float64 `json:"seconds"`
	}
	text, err := w.get(context.Background(), "/busy", w.opts.Hang)
	if err == nil {
		err = json.Unmarshal(text, &busy)
	}
	// Without an answer the interpreter itself hangs.
	if err != nil || busy.Seconds >= w.opts.Hang.Seconds() {
		w.opts.Logger.Error("remote: a worker hangs, it is killed", "folder", w.folder, "pid", p.pid(), "seconds", busy.Seconds, "error", err)
		p.kill()
	}
}

// PID is the process's id, 0 while there is none.
func (w *Worker) PID() int {
	if p, _ := w.current(); p != nil {
		return p.pid()
	}
	return 0
}

// Close implements serve.Model: it ends the process.
func (w *Worker) Close() error {
	w.stop()
	<-w.done
	w.lost(fmt.Errorf("the worker was closed: %w", ErrClosed))
	return errors.Join(w.model.Close(), os.RemoveAll(w.dir))
}
