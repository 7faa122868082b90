package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/millwright-ml/millwright/internal/sqldb"
)

const (
	// filePoll is how often an SQLite file is asked while somebody waits, and
	// serverPoll how often a server is, which tells by itself: for those
	// behind a pooler that passes no notifications on.
	filePoll   = 25 * time.Millisecond
	serverPoll = time.Second
	// lingering is how long the watch goes on after the last has left, since
	// most come back at once.
	lingering = 5 * time.Second
	// fewConnections of the application's are not held for listening.
	fewConnections = 2
)

// news tells waiters of new audit entries. One goroutine asks the database for
// all of them, and only while there are some.
type news struct {
	store *Store

	mu      sync.Mutex
	seq     int64         // highest that is known
	changed chan struct{} // closed when seq grows, and at the end
	waiting int
	left    time.Time // when the last one did
	stop    context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended; nil: there is none
	closed  bool
}

func (n *news) start(s *Store) {
	n.store, n.changed = s, make(chan struct{})
}

// Wait implements registry.Notifier.
func (s *Store) Wait(ctx context.Context, after int64) (int64, error) {
	n := &s.news
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if !n.enter() {
		return 0, fmt.Errorf("database %q: %w", s.db.Name(), ErrClosed)
	}
	defer n.leave()
	// What came before the watch began is found here, what comes later there.
	seq, err := s.head(ctx)
	if err != nil {
		return 0, err
	}
	n.publish(seq)
	for {
		n.mu.Lock()
		seq, changed, closed := n.seq, n.changed, n.closed
		n.mu.Unlock()
		switch {
		case closed:
			return 0, fmt.Errorf("database %q: %w", s.db.Name(), ErrClosed)
		case seq > after:
			return seq, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// head is the Seq of the last entry.
func (s *Store) head(ctx context.Context) (seq int64, err error) {
	err = s.read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT seq FROM mw_reg_audit_head WHERE id = 1`).Scan(&seq)
	})
	return seq, err
}

// publish wakes the waiters when seq is news.
func (n *news) publish(seq int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if seq > n.seq && !n.closed {
		n.seq = seq
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

// enter counts a waiter in and begins the watch; false after close.
func (n *news) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.waiting++
	if n.done == nil {
		ctx, cancel := context.WithCancel(context.Background())
		n.stop, n.done = cancel, make(chan struct{})
		go n.watch(ctx, n.done)
	}
	return true
}

func (n *news) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting--
	n.left = time.Now()
}

// over reports that nobody has waited for a while, and then ends the watch: the
// next to enter begins another.
func (n *news) over() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return true
	}
	if n.waiting > 0 || time.Since(n.left) < lingering {
		return false
	}
	n.stop()
	n.done = nil
	return true
}

func (n *news) close() {
	n.mu.Lock()
	done := n.done
	if !n.closed {
		n.closed = true
		close(n.changed)
		if done != nil {
			n.stop()
		}
	}
	n.mu.Unlock()
	if done != nil {
		<-done
	}
}

// watch asks the database until it is over.
func (n *news) watch(ctx context.Context, done chan struct{}) {
	defer close(done)
	every := filePoll
	if n.store.dialect == sqldb.Postgres {
		every = serverPoll
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !n.over() {
		if n.store.dialect == sqldb.Postgres {
			n.listen(ctx) // as long as it works
		}
		// Errors are the waiters' no more than the server's: it is asked again.
		if seq, err := n.store.head(ctx); err == nil {
			n.publish(seq)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

var errNotListening = errors.New("these connections cannot listen")

// listen holds a connection on which PostgreSQL tells of new entries. It
// returns when that breaks, or when the watch is over.
func (n *news) listen(ctx context.Context) {
	pool := n.store.db.Read()
	if most := pool.Stats().MaxOpenConnections; most > 0 && most <= fewConnections {
		return
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return errNotListening
		}
		// Whatever happened, others do not get a connection that listens.
		return errors.Join(n.hear(ctx, c), driver.ErrBadConn)
	})
}

func (n *news) hear(ctx context.Context, c *stdlib.Conn) error {
	conn := c.Conn()
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	for !n.ending() {
		var seq int64
		if err := conn.QueryRow(ctx, `SELECT seq FROM mw_reg_audit_head WHERE id = 1`).Scan(&seq); err != nil {
			return err
		}
		n.publish(seq)
		wait, cancel := context.WithTimeout(ctx, serverPoll)
		_, err := conn.WaitForNotification(wait)
		quiet := wait.Err() != nil
		cancel()
		if err != nil && (!quiet || ctx.Err() != nil) {
			return err
		}
	}
	return nil
}

// ending reports what over does, without ending anything.
func (n *news) ending() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed || n.waiting == 0 && time.Since(n.left) >= lingering
}
