package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millwright-ml/millwright/serve/oip"
	"github.com/millwright-ml/millwright/serve/rollout"
)

// patient is a row that neither version was trained on, with the truth.
type patient struct {
	columns   []float32
	malignant bool
}

func patients() ([]patient, error) {
	text, err := models.ReadFile("model/held_out.csv")
	if err != nil {
		return nil, err
	}
	var list []patient
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		if len(cells) != 5 {
			return nil, fmt.Errorf("a line of %d cells, want 5", len(cells))
		}
		if cells[0] == "radius" {
			continue
		}
		p := patient{malignant: cells[4] == "1"}
		for _, cell := range cells[:4] {
			v, err := strconv.ParseFloat(cell, 32)
			if err != nil {
				return nil, err
			}
			p.columns = append(p.columns, float32(v))
		}
		list = append(list, p)
	}
	return list, nil
}

// demo serves and sends requests of users over HTTP until the challenger was
// decided on.
func demo(ctx context.Context, s *service, listener net.Listener, url string, out io.Writer) (err error) {
	rows, err := patients()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	verdict := make(chan rollout.Event, 1)
	s.decided = func(e rollout.Event) {
		select {
		case verdict <- e:
		default: // The first one is shown.
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, listener) }()
	// Whatever ends the demo ends the service, and waits for it.
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	fmt.Fprintf(out, "Scoring at %s\n", url)
	client, err := oip.NewClient(url, nil)
	if err != nil {
		return err
	}
	if err := awaitReady(ctx, client); err != nil {
		return err
	}
	var t tally
	users, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() { t.users(users, url, rows, worker) })
	}
	var e rollout.Event
	select {
	case e = <-verdict:
	case <-ctx.Done():
		return ctx.Err()
	}
	fmt.Fprintf(out, "\nversion %s: %s\n", e.Challenger, e.Verdict)
	for _, v := range e.Evidence {
		fmt.Fprintln(out, " ", v)
	}
	if err := s.settled(ctx, e); err != nil {
		return err
	}
	stop()
	wg.Wait()
	fmt.Fprintf(out, "\n%d requests, %d failed, %.1f %% of the answers right\n", t.sent.Load(), t.failed.Load(),
		100*float64(t.right.Load())/float64(max(t.sent.Load()-t.failed.Load(), 1)))
	return show(ctx, s, url, out)
}

// awaitReady waits until the model answers.
func awaitReady(ctx context.Context, client *oip.Client) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if client.ModelReady(ctx, modelName, "") == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled waits until the registry has the verdict.
func (s *service) settled(ctx context.Context, e rollout.Event) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		champion, challenger, err := s.aliases(ctx)
		if err != nil {
			return err
		}
		if challenger == "" && (e.Verdict == rollout.Promote) == (champion == e.Challenger) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tally counts what the users got.
type tally struct{ sent, failed, right atomic.Int64 }

// users send one row each until ctx ends.
func (t *tally) users(ctx context.Context, url string, rows []patient, worker int) {
	for i := worker; ctx.Err() == nil; i += 4 {
		p := rows[i%len(rows)]
		y, err := score(ctx, url, fmt.Sprint("user-", i), p.columns)
		if ctx.Err() != nil {
			return
		}
		t.sent.Add(1)
		switch {
		case err != nil:
			t.failed.Add(1)
		case (y > 0.5) == p.malignant:
			t.right.Add(1)
		}
	}
}

// score asks as any client does: a line of JSON over HTTP.
func score(ctx context.Context, url, user string, columns []float32) (float32, error) {
	body, err := oip.AppendRequest(nil, &oip.InferRequest{Inputs: []oip.Tensor{oip.NewFP32("input", []int64{1, 4}, columns)}})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v2/models/"+modelName+"/infer", strings.NewReader(string(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-User", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	text, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	answer, err := oip.DecodeResponse(text, nil)
	if err != nil {
		return 0, err
	}
	return answer.Outputs[0].FP32()[0], nil
}

// show prints the audit log's last word, and what Prometheus would see.
func show(ctx context.Context, s *service, url string, out io.Writer) error {
	for e, err := range s.registry.History(ctx, modelName, "champion") {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "registry: %s of version %d by %s\n\n", e.Kind, e.To, e.By)
		break
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		for _, name := range []string{"requests_total", "rollout_decisions_total", "version_default", "swaps_total"} {
			if strings.HasPrefix(lines.Text(), "millwright_serve_"+name) {
				fmt.Fprintln(out, lines.Text())
			}
		}
	}
	return errors.Join(lines.Err(), resp.Body.Close())
}
