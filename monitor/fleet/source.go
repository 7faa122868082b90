package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/millwright-ml/millwright/dataset/blob"
)

// Source is where an evaluator gets the snapshots of a version.
type Source interface {
	// Snapshots calls each for what every process has shown last. A process that
	// cannot be read is told to failed, and the others go on; the error is for
	// none at all.
	Snapshots(ctx context.Context, model, version string, each func(*Snapshot), failed func(error)) error
}

// FromStore reads what publishers have written to a store; the prefix is that of
// PublisherOptions.
func FromStore(s blob.Store, prefix string) Source { return storeSource{s, prefix} }

type storeSource struct {
	store  blob.Store
	prefix string
}

func (s storeSource) Snapshots(ctx context.Context, model, version string, each func(*Snapshot), failed func(error)) error {
	for info, err := range s.store.List(ctx, folder(s.prefix, model, version)) {
		if err != nil {
			return fmt.Errorf("fleet: collect: %w", err)
		}
		data, err := blob.ReadAll(ctx, s.store, info.Name(), maxSnapshot)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Somebody tidies up.
		}
		take(data, err, each, failed)
	}
	return ctx.Err()
}

func take(data []byte, err error, each func(*Snapshot), failed func(error)) {
	s := new(Snapshot)
	if err == nil {
		err = s.UnmarshalBinary(data)
	}
	if err != nil {
		failed(fmt.Errorf("fleet: collect: %w", err))
		return
	}
	each(s)
}

// FromPeers asks the handlers of publishers. List names their addresses anew
// each time, such as the endpoints of a service; prepare may add a token to a
// request, and may be nil. A nil client gives a peer ten seconds; one of yours needs
// a timeout, too, since a peer that stalls would keep the evaluator.
// What a peer has counted since it was asked last is lost when it ends, unless it
// publishes to a store, too.
func FromPeers(list func(ctx context.Context) ([]string, error), client *http.Client, prepare func(*http.Request) error) Source {
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	return peerSource{list, client, prepare}
}

type peerSource struct {
	list    func(context.Context) ([]string, error)
	client  *http.Client
	prepare func(*http.Request) error
}

func (s peerSource) Snapshots(ctx context.Context, _, _ string, each func(*Snapshot), failed func(error)) error {
	peers, err := s.list(ctx)
	if err != nil {
		return fmt.Errorf("fleet: collect: list the peers: %w", err)
	}
	for _, url := range peers {
		data, err := s.get(ctx, url)
		take(data, err, each, failed)
	}
	return ctx.Err()
}

func (s peerSource) get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("peer %q: %w", url, err)
	}
	if s.prepare != nil {
		if err := s.prepare(req); err != nil {
			return nil, err
		}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized:
		return nil, fmt.Errorf("peer %q: %s: %w", url, resp.Status, ErrForbidden)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("peer %q: %s", url, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSnapshot+1))
	if err == nil && len(data) > maxSnapshot {
		err = fmt.Errorf("peer %q: its snapshot is larger than %d bytes: %w", url, maxSnapshot, ErrInvalid)
	}
	return data, err
}
