package rollout

import (
	"context"
	"fmt"
	"sync"
)

// Store keeps the state of experiments where all replicas see it. It is small
// enough for a table of three columns:
//
//	SELECT state, revision FROM rollouts WHERE name = ?
//	INSERT INTO rollouts (name, state, revision) VALUES (?, ?, 1) ON CONFLICT DO NOTHING
//	UPDATE rollouts SET state = ?, revision = revision + 1 WHERE name = ? AND revision = ?
//
// A row that was not written is an ErrConflict. Methods are called from several
// goroutines.
type Store interface {
	// Load returns the state and its revision, from 1 up; ErrNotFound where
	// there is none.
	Load(ctx context.Context, name string) (state []byte, revision int64, err error)
	// Save writes the state if its revision still is the one given, 0 for none,
	// and counts it up by one; ErrConflict if it is another by now. The bytes
	// belong to the Store.
	Save(ctx context.Context, name string, state []byte, revision int64) error
}

// Mem is a Store in memory, for one process. The zero value is ready.
type Mem struct {
	mu   sync.Mutex
	rows map[string]row
}

type row struct {
	state    []byte
	revision int64
}

// Load implements Store.
func (m *Mem) Load(_ context.Context, name string) ([]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[name]
	if !ok {
		return nil, 0, fmt.Errorf("rollout: load %q: %w", name, ErrNotFound)
	}
	return r.state, r.revision, nil
}

// Save implements Store.
func (m *Mem) Save(_ context.Context, name string, state []byte, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if have := m.rows[name].revision; have != revision {
		return fmt.Errorf("rollout: save %q: it is at revision %d, expected %d: %w", name, have, revision, ErrConflict)
	}
	if m.rows == nil {
		m.rows = make(map[string]row)
	}
	m.rows[name] = row{state, revision + 1}
	return nil
}
