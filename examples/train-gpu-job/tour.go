package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/millwright-ml/millwright/train"
)

// client speaks to the service as a program of another team would.
type client struct {
	url, token string
}

// tour takes one job through the API: it is suspended on the way, resumed from
// its checkpoint, and its log is read on from where the reader left it.
func tour(ctx context.Context, out io.Writer, url string) error {
	entry, _, _ := strings.Cut(os.Getenv("TRAIN_TOKENS"), ",")
	_, token, _ := strings.Cut(entry, "=")
	c := &client{url, token}
	var job view
	body := `{"name": "line", "team": "vision", "resources": {"cpu": 1}, "env": {"STEPS": "300"}}`
	if err := c.call(ctx, http.MethodPost, "/jobs", body, &job); err != nil {
		return err
	}
	path := "/jobs/" + job.ID
	fmt.Fprintf(out, "submitted %s\n", job.ID)
	show := func(l train.Line) { fmt.Fprintf(out, "attempt %d: %s\n", l.Attempt, l.Text) }
	// At step 100 the machine is wanted for something else.
	cursor, err := c.follow(ctx, path, "", func(l train.Line) bool {
		show(l)
		return !strings.Contains(l.Text, "step 100:")
	})
	if err != nil {
		return err
	}
	if err := c.call(ctx, http.MethodPost, path+"/suspend", "", &job); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %s\n", job.Status.Phase, job.Why)
	if err := c.call(ctx, http.MethodPost, path+"/resume", "", &job); err != nil {
		return err
	}
	if _, err = c.follow(ctx, path, cursor, func(l train.Line) bool { show(l); return true }); err != nil {
		return err
	}
	var used usageView
	if err := errors.Join(c.call(ctx, http.MethodGet, path, "", &job), c.call(ctx, http.MethodGet, path+"/usage", "", &used)); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s in attempt %d; it cost %.6f %s\n", job.Status.Phase, job.Status.Attempt, used.Cost, used.Currency)
	return nil
}

func (c *client) do(ctx context.Context, method, path, body string, header map[string]string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for key, value := range header {
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode < 300 {
		return resp, err
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16)) // it failed already
	return nil, errors.Join(fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(text))), resp.Body.Close())
}

func (c *client) call(ctx context.Context, method, path, body string, into any) error {
	resp, err := c.do(ctx, method, path, body, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(into)
}

// follow reads the log behind a cursor until the end, or until line says no, and
// returns the cursor of the last line.
func (c *client) follow(ctx context.Context, path, cursor string, line func(train.Line) bool) (string, error) {
	resp, err := c.do(ctx, http.MethodGet, path+"/logs?follow", "", map[string]string{"Accept": "text/event-stream", "Last-Event-ID": cursor})
	if err != nil {
		return cursor, err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4*train.MaxLine)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			cursor = id
		}
		var l train.Line
		data, ok := strings.CutPrefix(lines.Text(), "data: {")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte("{"+data), &l); err != nil {
			return cursor, err
		}
		if !line(l) {
			return cursor, nil
		}
	}
	return cursor, lines.Err()
}
