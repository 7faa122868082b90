package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

// logs sends lines as text, as JSON lines (Accept: application/x-ndjson) or as
// server-sent events (Accept: text/event-stream). The id of each event is the
// line's cursor, so a browser that loses the connection goes on where it was.
func (s *service) logs(w http.ResponseWriter, r *http.Request, job train.Job) error {
	o, err := logOptions(r)
	if err != nil {
		return err
	}
	return stream(w, r, job, job.Logs(r.Context(), o), func(l train.Line) (string, string, any) {
		return l.Cursor, fmt.Sprintf("%d.%d %s", l.Attempt, l.Rank, strings.ToValidUTF8(l.Text, "\uFFFD")), l
	})
}

func (s *service) events(w http.ResponseWriter, r *http.Request, job train.Job) error {
	events := job.Events(r.Context(), &train.EventOptions{Follow: r.URL.Query().Has("follow")})
	return stream(w, r, job, events, func(e train.Event) (string, string, any) {
		return "", fmt.Sprintf("%s %s %s: %s", e.Time.UTC().Format(time.RFC3339), e.Object, e.Reason, e.Text), showEvent(e)
	})
}

// quiet is how long a stream says nothing before it says that it lives.
const quiet = 15 * time.Second

// stream writes what items yields, in the form that the client accepts.
func stream[T any](w http.ResponseWriter, r *http.Request, job train.Job, items iter.Seq2[T, error], show func(T) (id, text string, v any)) error {
	accept := r.Header.Get("Accept")
	sse, lines := strings.Contains(accept, "text/event-stream"), strings.Contains(accept, "application/x-ndjson")
	type next struct {
		item T
		err  error
	}
	// The engine waits for lines in a goroutine of its own, so that signs of life
	// can be sent meanwhile. It ends with the request.
	ch := make(chan next)
	go func() {
		defer close(ch)
		for item, err := range items {
			select {
			case ch <- next{item, err}:
			case <-r.Context().Done():
				return
			}
		}
	}()
	out := http.NewResponseController(w)
	begun := false
	begin := func() {
		if begun {
			return
		}
		begun = true
		kind := "text/plain; charset=utf-8"
		switch {
		case sse:
			kind = "text/event-stream"
		case lines:
			kind = "application/x-ndjson"
		}
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
	}
	beat := time.NewTicker(quiet)
	defer beat.Stop()
	for {
		// What is there is sent in one go.
		var n next
		more := true
		select {
		case n, more = <-ch:
		default:
			if begun {
				_ = out.Flush() // an error shows at the next write
			}
			select {
			case n, more = <-ch:
			case <-beat.C:
				if begin(); sse {
					_, _ = fmt.Fprint(w, ":\n\n")
				}
				continue
			}
		}
		if !more {
			break
		}
		if n.err != nil && !begun {
			return n.err // there is still time for a status
		}
		begin()
		_ = out.SetWriteDeadline(time.Now().Add(time.Minute)) // a reader that does not read is let go
		if n.err != nil {
			if sse {
				_, _ = fmt.Fprintf(w, "event: error\ndata: %s\n\n", oneLine(n.err.Error()))
			}
			return nil
		}
		id, text, v := show(n.item)
		if err := write(w, sse, lines, id, text, v); err != nil {
			return nil
		}
	}
	begin()
	if sse && r.Context().Err() == nil {
		// An EventSource would come back for ever: this tells it not to.
		if status, err := job.Status(r.Context()); err == nil && status.Phase.Ended() {
			_, _ = fmt.Fprintf(w, "event: end\ndata: %s\n\n", status.Phase)
		}
	}
	return nil
}

func write(w http.ResponseWriter, sse, lines bool, id, text string, v any) error {
	if !sse && !lines {
		_, err := fmt.Fprintln(w, text)
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if lines {
		_, err = fmt.Fprintf(w, "%s\n", data)
		return err
	}
	if id != "" {
		if _, err := fmt.Fprintf(w, "id: %s\n", oneLine(id)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "data: %s\n\n", data)
	return err
}

func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\x00", " ").Replace(text)
}
