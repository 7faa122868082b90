package inttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Browser is a headless Chromium that remembers what went wrong in it.
type Browser struct {
	t    testing.TB
	pipe *devtools

	mu       sync.Mutex
	requests map[string]string // method and URL of those under way, by id
	faults   []string
	answered int
	last     time.Time // when a request began or ended
}

// OpenBrowser starts the provisioned Chromium for the test.
func OpenBrowser(t testing.TB) *Browser {
	t.Helper()
	b := &Browser{t: t, requests: map[string]string{}}
	b.pipe = startChromium(t, b.event)
	for _, domain := range []string{"Network", "Runtime", "Log", "Page"} {
		b.Call(domain+".enable", nil, nil)
	}
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 1600, "height": 1000, "deviceScaleFactor": 1, "mobile": false}, nil)
	return b
}

// Call calls a method of the DevTools protocol. A failure ends the test.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	if err := b.pipe.call(b.t.Context(), method, params, result); err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
}

// Open opens a page as a first visit does, in a fresh document.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.Call("Page.navigate", map[string]string{"url": "about:blank"}, nil)
	b.mu.Lock()
	clear(b.requests)
	b.mu.Unlock()
	var answer struct{ ErrorText string }
	b.Call("Page.navigate", map[string]string{"url": url}, &answer)
	if answer.ErrorText != "" {
		b.t.Fatalf("chromium: %s: %s", url, answer.ErrorText)
	}
}

// Evaluate runs JavaScript in the page, and stores its value in result.
func (b *Browser) Evaluate(expression string, result any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("chromium: %s: %s", expression, answer.ExceptionDetails)
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		b.t.Fatalf("chromium: %s: %v", expression, err)
	}
}

// Text returns what a reader of the page sees.
func (b *Browser) Text() string {
	b.t.Helper()
	var text string
	b.Evaluate("document.body ? document.body.innerText : ''", &text)
	return text
}

// Settle waits until no request has been under way for a moment, for at most
// half a minute, and reports whether that came.
func (b *Browser) Settle() bool {
	const quiet = 500 * time.Millisecond
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		b.mu.Lock()
		done := len(b.requests) == 0 && time.Since(b.last) > quiet
		b.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-deadline:
			return false
		case <-ticker.C:
		}
	}
}

// Screenshot writes the page to a PNG file.
func (b *Browser) Screenshot(path string) {
	b.t.Helper()
	var picture struct{ Data []byte }
	b.Call("Page.captureScreenshot", map[string]string{"format": "png"}, &picture)
	if err := os.WriteFile(path, picture.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Faults returns the failed requests and errors since it was called last, and
// how many requests were answered.
func (b *Browser) Faults() (faults []string, answered int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults, answered = b.faults, b.answered
	b.faults, b.answered = nil, 0
	return faults, answered
}

// event takes what the browser tells.
func (b *Browser) event(method string, params []byte) {
	var e struct {
		RequestID        string
		Request          struct{ Method, URL string }
		Response         struct{ Status int }
		ErrorText        string
		Canceled         bool
		Type             string
		Args             []struct{ Value, Description any }
		Entry            struct{ Level, Source, Text, URL string }
		ExceptionDetails struct {
			Exception struct{ Description string }
			Text      string
		} //nolint:gofmt // Short.
	}
	if err := json.Unmarshal(params, &e); err != nil {
		return // an event of another shape, which is none of those below
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch method {
	case "Network.requestWillBeSent":
		// The end of a worker's script is told to the worker, if that is fast enough.
		if !strings.HasPrefix(e.Request.URL, "data:") && !strings.HasSuffix(e.Request.URL, ".worker.js") {
			b.requests[e.RequestID] = e.Request.Method + " " + e.Request.URL
			b.last = time.Now()
		}
	case "Network.responseReceived":
		b.answered++
		if e.Response.Status >= 400 {
			b.faults = append(b.faults, fmt.Sprintf("request: %s answered %d", b.requests[e.RequestID], e.Response.Status))
		}
	case "Network.loadingFinished", "Network.loadingFailed":
		if request, ok := b.requests[e.RequestID]; ok && method == "Network.loadingFailed" && !e.Canceled {
			b.faults = append(b.faults, fmt.Sprintf("request: %s failed: %s", request, e.ErrorText))
		}
		delete(b.requests, e.RequestID)
		b.last = time.Now()
	case "Runtime.consoleAPICalled":
		if e.Type == "error" {
			var words []string
			for _, a := range e.Args {
				words = append(words, fmt.Sprint(a.Value), fmt.Sprint(a.Description))
			}
			b.faults = append(b.faults, "console: "+strings.Join(words, " "))
		}
	case "Runtime.exceptionThrown":
		b.faults = append(b.faults, "exception: "+e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
	case "Log.entryAdded":
		// Failed requests are told above, with more.
		if e.Entry.Level == "error" && e.Entry.Source != "network" {
			b.faults = append(b.faults, "log: "+e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// devtools speaks the DevTools protocol with one page over a pair of pipes.
type devtools struct {
	session string
	event   func(method string, params []byte)

	mu      sync.Mutex
	out     *os.File
	next    int
	waiting map[int]chan message
	ended   chan struct{}
}

type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *struct{ Message string }
}

// startChromium starts the browser with an empty page.
func startChromium(t testing.TB, event func(string, []byte)) *devtools {
	t.Helper()
	in, toBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromBrowser, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// It wants the pipes as descriptors 3 and 4.
	startWith(t, nil, []*os.File{in, out}, "/bin/sh", "-c", `exec "$@" 3<&4 4>&5 5>&-`, "sh",
		Tool(t, "chromium"), "--headless", "--remote-debugging-pipe",
		// The sandbox needs rights that containers lack; the pages are ours.
		"--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "about:blank")
	closeAll(in, out) // the browser has them
	d := &devtools{event: event, out: toBrowser, waiting: map[int]chan message{}, ended: make(chan struct{})}
	t.Cleanup(func() { closeAll(toBrowser, fromBrowser) })
	go d.read(fromBrowser)
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	if err := d.call(t.Context(), "Target.getTargets", nil, &targets); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	for _, target := range targets.TargetInfos {
		if target.Type == "page" {
			var attached struct{ SessionID string }
			if err := d.call(t.Context(), "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
				t.Fatalf("chromium: %v", err)
			}
			d.session = attached.SessionID
			return d
		}
	}
	t.Fatal("chromium: it opened no page")
	return nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // a pipe's end holds nothing back
	}
}

func (d *devtools) read(in *os.File) {
	defer close(d.ended)
	var rest []byte
	buf := make([]byte, 1<<16)
	for {
		n, err := in.Read(buf)
		if err != nil {
			return // the browser has ended
		}
		rest = append(rest, buf[:n]...)
		for {
			one, after, found := bytes.Cut(rest, []byte{0})
			if !found {
				break
			}
			var m message
			if json.Unmarshal(one, &m) == nil {
				d.take(m)
			}
			rest = after
		}
	}
}

func (d *devtools) take(m message) {
	if m.Method != "" {
		d.event(m.Method, m.Params)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if answer, ok := d.waiting[m.ID]; ok {
		delete(d.waiting, m.ID)
		answer <- m
	}
}

func (d *devtools) call(ctx context.Context, method string, params, result any) error {
	d.mu.Lock()
	d.next++
	id, answer := d.next, make(chan message, 1)
	d.waiting[id] = answer
	request := map[string]any{"id": id, "method": method}
	if params != nil {
		request["params"] = params
	}
	if d.session != "" {
		request["sessionId"] = d.session
	}
	data, err := json.Marshal(request)
	if err == nil {
		_, err = d.out.Write(append(data, 0))
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return errors.New(m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-d.ended:
		return errors.New("the browser ended")
	case <-time.After(Patience):
		return fmt.Errorf("no answer in %s", Patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}
