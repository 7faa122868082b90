package monitor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Store keeps the state of one monitor across restarts, in one place that Save
// replaces as a whole: a reader sees the old state or the new one, and never a
// part. Implementations are safe for concurrent use.
type Store interface {
	// Load returns what Save has written last. It returns an error that
	// matches fs.ErrNotExist when there is nothing yet.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces what is there, durably.
	Save(ctx context.Context, data []byte) error
}

// stateFile is the name of the file in a folder.
const stateFile = "monitor.state"

// Dir returns a Store in a folder, which it creates. Save writes a new file,
// flushes it and renames it over the old one, so that neither a kill nor a
// power cut leaves half a state. One monitor at a time may use the folder.
func Dir(path string) Store { return dirStore(path) }

type dirStore string

func (d dirStore) Load(context.Context) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), stateFile))
}

func (d dirStore) Save(_ context.Context, data []byte) (err error) {
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(d), stateFile+".*.new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(string(d), stateFile)); err != nil {
		return err
	}
	d.tidy()
	return errors.Join(f.Close(), syncDir(string(d)))
}

// tidy removes what a kill in the middle of earlier saves has left.
func (d dirStore) tidy() {
	left, _ := filepath.Glob(filepath.Join(string(d), stateFile+".*.new")) // The pattern is fixed.
	for _, name := range left {
		_ = os.Remove(name) // The next save tries again.
	}
}

// syncDir makes a rename durable, where folders can be flushed.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// Restore takes over the state that an earlier monitor of the same model,
// version and reference has left in Options.Store: the open window, the windows
// that longer spans are made of, the state and its trigger, the labels and the
// predictions that wait for one. Call it before the first row. It returns
// ErrNotFound when there is none, ErrConflict when it is of another reference
// or version, and ErrInvalid when it is damaged; the monitor then begins anew,
// and its first Save replaces what is there.
func (m *Monitor) Restore(ctx context.Context) error {
	if m.opts.Store == nil {
		return fmt.Errorf("monitor: restore: Options.Store is nil: %w", ErrInvalid)
	}
	data, err := m.opts.Store.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("monitor: restore: nothing was saved yet: %w", ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("monitor: restore: %w", err)
	}
	return m.setState(data)
}

// Save writes the state to Options.Store, as the monitor does by itself every
// Options.SaveEvery and in Shutdown. Rows observed after the last Save are lost
// when the process is killed.
func (m *Monitor) Save(ctx context.Context) error {
	if m.opts.Store == nil {
		return fmt.Errorf("monitor: save: Options.Store is nil: %w", ErrInvalid)
	}
	m.saving.Lock()
	defer m.saving.Unlock()
	if err := m.opts.Store.Save(ctx, m.state()); err != nil {
		return fmt.Errorf("monitor: save: %w", err)
	}
	return nil
}

// saver saves now and then, from the first row to Shutdown.
func (m *Monitor) saver() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ticker := time.NewTicker(m.opts.SaveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := m.Save(ctx); err != nil && m.opts.OnError != nil {
				m.opts.OnError(err)
			}
		case <-m.quit:
			return // Shutdown saves.
		}
	}
}
