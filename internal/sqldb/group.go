package sqldb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Limits of a shared transaction: the first member waits for the last.
const (
	maxMembers   = 64
	maxGroupTime = 5 * time.Millisecond
)

// errAgain tells a member that the shared transaction was lost through no
// fault that is known to be its own.
var errAgain = errors.New("the shared transaction was rolled back")

// group lets callers that write to an SQLite file at the same time share
// transactions. There is no goroutine of its own: the first caller leads, runs
// its func in a fresh transaction, then lends that to each of those that have
// come meanwhile, who run theirs in their own goroutines, one after another.
// At last the leader commits and all of them return.
type group struct {
	db     *DB
	writer *sessions // one

	mu    sync.Mutex
	busy  bool      // somebody leads
	queue []*member // in the order of arrival
}

// The states of a member.
const (
	waiting int32 = iota
	taken         // it has its turn, or is about to
	gone          // its context ended before
)

type member struct {
	alone  bool
	state  atomic.Int32
	turn   chan turn  // takes one
	result chan error // takes one
}

// turn is what a member waits for: the shared transaction, or the lead.
type turn struct {
	tx   *Tx         // nil: lead
	back chan<- bool // gives the transaction back: whether fn returned nil
}

func (g *group) run(ctx context.Context, fn func(*Tx) error, alone bool) error {
	err := g.once(ctx, fn, alone)
	for errors.Is(err, errAgain) {
		err = g.once(ctx, fn, true)
	}
	return err
}

func (g *group) once(ctx context.Context, fn func(*Tx) error, alone bool) error {
	m := &member{alone: alone, turn: make(chan turn, 1), result: make(chan error, 1)}
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return g.lead(ctx, fn, alone)
	}
	g.queue = append(g.queue, m)
	g.mu.Unlock()

	var t turn
	select {
	case t = <-m.turn:
	case <-ctx.Done():
		if m.state.CompareAndSwap(waiting, gone) {
			return context.Cause(ctx)
		}
		t = <-m.turn
	}
	if t.tx == nil {
		return g.lead(ctx, fn, alone)
	}
	err := m.work(t, fn)
	// An error too waits for the commit: it may come from what another member
	// wrote, like a name that is taken now, and holds only if that is kept.
	if lost := <-m.result; lost != nil {
		return lost
	}
	return err
}

// work runs fn in the leader's transaction and gives that back, come what may.
func (m *member) work(t turn, fn func(*Tx) error) (err error) {
	ok := false
	defer func() { t.back <- ok }()
	if err = fn(t.tx); err != nil {
		if isEngine(err) {
			return errAgain // perhaps the others' doing
		}
		return err
	}
	ok = true
	return nil
}

// isEngine reports an error that may have ended the whole transaction.
func isEngine(err error) bool {
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code()&0xff != sqlite3.SQLITE_CONSTRAINT
}

// isNoTransaction reports that there was nothing to roll back.
func isNoTransaction(err error) bool {
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code() == sqlite3.SQLITE_ERROR
}

// pass gives the lead to the next in the queue.
func (g *group) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.pop(true); m != nil {
		m.turn <- turn{}
		return
	}
	g.busy = false
}

// pop takes the next member that still waits; g.mu is held.
func (g *group) pop(alone bool) *member {
	for len(g.queue) > 0 {
		m := g.queue[0]
		if m.alone && !alone {
			return nil
		}
		g.queue[0] = nil
		g.queue = g.queue[1:]
		if m.state.CompareAndSwap(waiting, taken) {
			return m
		}
	}
	return nil
}

// unpop puts a member back that did not get its turn.
func (g *group) unpop(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.state.Store(waiting)
	g.queue = append([]*member{m}, g.queue...)
}

// lead runs one transaction.
func (g *group) lead(ctx context.Context, fn func(*Tx) error, alone bool) error {
	defer g.pass()
	s, err := g.writer.acquire(ctx)
	if err != nil {
		return err
	}
	l := leader{group: g, session: s, ctx: context.WithoutCancel(ctx)}
	err = retryBusy(ctx, g.db.wait, func() error { return s.exec(l.ctx, "BEGIN IMMEDIATE") })
	if err != nil {
		g.writer.release(s, false)
		return err
	}
	defer l.end()
	tx := &Tx{db: g.db, session: s, write: true}
	if err := fn(tx); err != nil {
		return err
	}
	if !alone {
		if err := l.others(tx); err != nil {
			return errAgain
		}
	}
	if err := s.exec(l.ctx, "COMMIT"); err != nil {
		if len(l.members) > 0 {
			return errAgain
		}
		return err
	}
	l.committed = true
	return nil
}

// leader is the state of one shared transaction.
type leader struct {
	group     *group
	session   *session
	ctx       context.Context // of the leader, which cannot end
	members   []*member       // those who had their turn
	committed bool
}

// end tells the members and, without a commit, rolls back; also after a panic
// of the leader's func.
func (l *leader) end() {
	var err error
	broken := false
	if !l.committed {
		err = errAgain
		// The engine may have rolled back already, for want of disk space. A
		// connection whose state is not known does not go on.
		rollback := l.session.exec(l.ctx, "ROLLBACK")
		broken = rollback != nil && !isNoTransaction(rollback)
	}
	l.group.writer.release(l.session, broken)
	for _, m := range l.members {
		m.result <- err
	}
}

// others lends the transaction to those who wait for one.
func (l *leader) others(tx *Tx) error {
	start := time.Now()
	for len(l.members) < maxMembers && time.Since(start) < maxGroupTime {
		l.group.mu.Lock()
		m := l.group.pop(false)
		l.group.mu.Unlock()
		if m == nil {
			return nil
		}
		if err := l.lend(m, tx); err != nil {
			return err
		}
	}
	return nil
}

func (l *leader) lend(m *member, tx *Tx) error {
	if err := l.session.exec(l.ctx, "SAVEPOINT mw_member"); err != nil {
		l.group.unpop(m)
		return err
	}
	back := make(chan bool)
	m.turn <- turn{tx: tx, back: back}
	ok := <-back
	l.members = append(l.members, m)
	if !ok {
		if err := l.session.exec(l.ctx, "ROLLBACK TO mw_member"); err != nil {
			return err
		}
	}
	return l.session.exec(l.ctx, "RELEASE mw_member")
}
