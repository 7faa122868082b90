package collect_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/collect"
)

// The model: one content X that can lie under two names, a log whose versions
// refer to names, one tag, writers and collectors. Time passes in ticks, and
// any process may be slow or killed between any two of its steps. What a
// process sends takes effect at most one tick later than its lease allows.
const (
	names    = 2
	versions = 4
	lease    = 1
	delay    = 1
	grace    = 3
)

var rules = collect.Rules{Lease: lease * time.Hour, Grace: grace * time.Hour}

func ticks(n int8) time.Duration { return time.Duration(n) * time.Hour }

// Without is a rule that is taken out.
type without int

const (
	nothing without = iota
	writersLook
	viewsAge
	hitsLook
	restoresLook
	tagsLook
	graceBeforeSweep
	secondMark
	marksSeeTags
	storeClock
	publishedWhenVisible
	graceBeforeForget
	sweepsAge
	presence
)

type list struct {
	open  bool
	shown bool // Visible to writers: always, but for the broken rule.
	names uint8
	age   int8
	swept int8 // -1 not yet.
}

type work int8

const (
	idle work = iota
	ingest
	restore
	tag
)

type writer struct {
	work work
	step int8 // 0 looks, 1 writes, 2 checks, 3 publishes.
	seen uint8
	age  int8 // Of what was seen.
	name int8
	of   int8 // The version that is restored or tagged.
	sure bool // X was there after the look at the lists.
}

type collector struct {
	step   int8 // 0 idle, 1 marked the log, 2 list pending, 3 second mark: log, 4 tags, 5 deletes.
	list   int8
	marked uint8
	left   uint8
	age    int8 // Of the look at the list.
}

type state struct {
	object     [names]int8 // Age, -1 absent; counted up to the grace.
	log        [versions]uint8
	count      int8
	tagged     int8
	lists      [2]list
	writers    [2]writer
	collectors [2]collector
}

// start is an empty table, or one whose second of three versions has X, long ago.
func start(history bool) state {
	s := state{tagged: -1, count: 1}
	for i := range s.object {
		s.object[i] = -1
	}
	for i := range s.lists {
		s.lists[i].swept = -1
	}
	if history {
		s.object[0], s.log[1], s.count = grace, 1, 3
	}
	return s
}

// broken says what a kept version misses.
func (s *state) broken() string {
	have := uint8(0)
	for i, age := range s.object {
		if age >= 0 {
			have |= 1 << i
		}
	}
	if miss := s.log[s.count-1] &^ have; miss != 0 {
		return fmt.Sprintf("the newest version refers to %b, which is gone", miss)
	}
	if s.tagged >= 0 && s.log[s.tagged]&^have != 0 {
		return fmt.Sprintf("the tagged version refers to %b, which is gone", s.log[s.tagged]&^have)
	}
	return ""
}

// used is what the log refers to: the newest version is kept, and the tagged.
func (s *state) used() uint8 { return s.log[s.count-1] }

func (s *state) usedByTag() uint8 {
	if s.tagged < 0 {
		return 0
	}
	return s.log[s.tagged]
}

func (s *state) shown() uint8 {
	all := uint8(0)
	for _, l := range s.lists {
		if l.open && l.shown {
			all |= l.names
		}
	}
	return all
}

type move struct {
	what string
	to   state
}

// model is a configuration: how many of each take part, and what is broken.
type model struct {
	writers, collectors int
	history             bool
	off                 without
}

func (m model) moves(s state, out []move) []move {
	out = out[:0]
	add := func(to state, format string, args ...any) {
		out = append(out, move{fmt.Sprintf(format, args...), to})
	}
	if to, ok := m.tick(s); ok {
		add(to, "time passes")
	}
	// Somebody commits a version without X: what was the newest is kept no longer.
	if s.count < versions && s.used() != 0 {
		to := s
		to.log[to.count] = 0
		to.count++
		add(to, "a version without X is committed")
	}
	for i := range m.writers {
		m.write(s, i, add)
	}
	for i := range m.collectors {
		m.collect(s, i, add)
	}
	return out
}

// tick lets time pass, unless a request that was sent must take effect first.
func (m model) tick(s state) (state, bool) {
	older := func(age *int8, limit int8) {
		if *age >= 0 {
			*age = min(*age+1, limit)
		}
	}
	for i := range s.object {
		older(&s.object[i], grace)
	}
	for i := range s.lists {
		if l := &s.lists[i]; l.open {
			older(&l.age, grace)
			older(&l.swept, grace)
		}
	}
	for i := range m.writers {
		w := &s.writers[i]
		if w.work == idle || w.step == 0 {
			continue
		}
		older(&w.age, grace)
		if w.step == 3 && w.age > lease+delay && m.off != viewsAge {
			return s, false
		}
	}
	for i := range m.collectors {
		c := &s.collectors[i]
		if c.step != 5 {
			continue
		}
		older(&c.age, grace)
	}
	return s, true
}

// write makes the moves of a writer.
func (m model) write(s state, i int, add func(state, string, ...any)) {
	w := s.writers[i]
	set := func(to state, w writer) state {
		to.writers[i] = w
		return to
	}
	if w.work == idle {
		if s.count < versions {
			add(set(s, writer{work: ingest}), "writer %d wants to ingest X", i)
		}
		for v := range s.count {
			if s.log[v] == 0 {
				continue
			}
			if s.count < versions {
				add(set(s, writer{work: restore, of: v}), "writer %d wants to restore version %d", i, v)
			}
			if s.tagged < 0 {
				add(set(s, writer{work: tag, of: v}), "writer %d wants to tag version %d", i, v)
			}
		}
		return
	}
	add(set(s, writer{}), "writer %d is killed", i)
	looks := m.off != writersLook && !(m.off == restoresLook && w.work == restore) && !(m.off == tagsLook && w.work == tag)
	look := func(w writer) writer {
		if w.age = 0; looks {
			w.seen = s.shown()
		}
		w.sure = false
		return w
	}
	free := func(w writer) int8 { // The name that X gets.
		for n := range int8(names) {
			if w.seen>>n&1 == 0 {
				return n
			}
		}
		return -1
	}
	switch w.step {
	case 0:
		w = look(w)
		w.step = 1
		add(set(s, w), "writer %d looks at the lists: %b", i, w.seen)
	case 1: // Write, or find what is there.
		to := s
		switch w.work {
		case ingest:
			if w.name = free(w); m.off == hitsLook && s.object[0] >= 0 {
				w.name = 0 // What is there already is taken as it is.
			}
			if w.name < 0 {
				return
			}
			if to.object[w.name] < 0 {
				to.object[w.name] = 0
			}
		default:
			w.name = 0
			for s.log[w.of]>>w.name&1 == 0 {
				w.name++
			}
			if s.object[w.name] < 0 {
				add(set(s, writer{}), "writer %d finds the version gone", i)
				return
			}
		}
		w.step, w.sure = 2, true
		add(set(to, w), "writer %d has X as name %d", i, w.name)
	case 2: // The last check before the log entry or the tag is sent.
		if m.off != viewsAge && !rules.Relies(ticks(w.age)) {
			w = look(w)
			add(set(s, w), "writer %d looks again: %b", i, w.seen)
			return
		}
		hit := m.off == hitsLook && w.work == ingest
		if w.seen>>w.name&1 == 1 && !hit {
			n := free(w)
			if s.object[w.name] < 0 || w.work == tag || n < 0 {
				add(set(s, writer{}), "writer %d gives up: the name is condemned", i)
				return
			}
			to := s
			if to.object[n] < 0 {
				to.object[n] = 0
			}
			w.name, w.sure = n, true
			add(set(to, w), "writer %d copies X to name %d", i, n)
			return
		}
		if !w.sure && s.object[w.name] < 0 && m.off != presence {
			add(set(s, writer{}), "writer %d gives up: X is gone", i)
			return
		}
		w.step = 3
		add(set(s, w), "writer %d sends its commit with name %d", i, w.name)
	case 3:
		to := s
		if w.work == tag {
			if s.tagged < 0 {
				to.tagged = w.of
			}
		} else if s.count < versions {
			to.log[to.count] = 1 << w.name
			to.count++
		}
		add(set(to, writer{}), "the commit of writer %d appears", i)
	}
}

// collect makes the moves of a collector.
func (m model) collect(s state, i int, add func(state, string, ...any)) {
	c := s.collectors[i]
	set := func(to state, c collector) state {
		to.collectors[i] = c
		return to
	}
	if c.step != 0 {
		add(set(s, collector{}), "collector %d is killed", i)
	}
	switch c.step {
	case 0:
		c = collector{step: 1, marked: s.used()}
		add(set(s, c), "collector %d marks the log: %b", i, c.marked)
		for k, l := range s.lists {
			if !l.open || !l.shown {
				continue
			}
			published, swept := ticks(l.age), ticks(l.swept)
			if m.off == graceBeforeSweep {
				published += ticks(grace)
			}
			if m.off == storeClock {
				published += ticks(2) // The collector's own clock is ahead.
			}
			if m.off == graceBeforeForget && l.swept >= 0 {
				swept += ticks(grace)
			}
			switch rules.Next(published, swept) {
			case collect.Sweep:
				add(set(s, collector{step: 3, list: int8(k)}), "collector %d starts to sweep list %d", i, k)
			case collect.Forget:
				to := s
				to.lists[k] = list{swept: -1}
				for other := range to.collectors {
					// The next list here is another one: lists have names of their own.
					if o := &to.collectors[other]; (o.step == 3 || o.step == 4) && o.list == int8(k) {
						*o = collector{}
					}
				}
				add(to, "collector %d forgets list %d", i, k)
			}
		}
	case 1:
		if m.off != marksSeeTags {
			c.marked |= s.usedByTag()
		}
		condemned := uint8(0)
		for n, age := range s.object {
			if age >= 0 && rules.Condemns(c.marked>>n&1 == 1, ticks(age)) && s.shown()>>n&1 == 0 {
				condemned |= 1 << n
			}
		}
		for k, l := range s.lists {
			if l.open || condemned == 0 {
				continue
			}
			to := s
			to.lists[k] = list{open: true, shown: true, names: condemned, swept: -1}
			if m.off == publishedWhenVisible {
				to.lists[k].shown = false
				add(set(to, collector{step: 2, list: int8(k)}), "collector %d makes list %d of %b", i, k, condemned)
				return
			}
			add(set(to, collector{}), "collector %d publishes list %d of %b", i, k, condemned)
			return
		}
		add(set(s, collector{}), "collector %d finds nothing", i)
	case 2: // Only of the broken rule: the age was counted before the list was seen.
		to := s
		to.lists[c.list].shown = to.lists[c.list].open
		add(set(to, collector{}), "list %d appears", c.list)
	case 3:
		if c.marked = s.used(); m.off == secondMark {
			c.marked = 0
		}
		c.step = 4
		add(set(s, c), "collector %d marks the log again: %b", i, c.marked)
	case 4:
		if m.off != secondMark && m.off != marksSeeTags {
			c.marked |= s.usedByTag()
		}
		l := s.lists[c.list]
		if !l.open || l.swept >= 0 {
			add(set(s, collector{}), "collector %d finds list %d swept", i, c.list)
			return
		}
		add(set(s, collector{step: 5, list: c.list, left: l.names &^ c.marked}), "collector %d has %b to delete", i, l.names&^c.marked)
	case 5:
		if c.left == 0 {
			to := s
			if l := &to.lists[c.list]; l.open && l.swept < 0 {
				l.swept, l.age = 0, grace
			}
			add(set(to, collector{}), "collector %d notes that list %d is swept", i, c.list)
			return
		}
		if m.off != sweepsAge && c.age > lease+delay {
			return // Its lease is over: all it can do is to start again.
		}
		for n := range int8(names) {
			if c.left>>n&1 == 1 {
				to, c := s, c
				to.object[n] = -1
				c.left &^= 1 << n
				add(set(to, c), "collector %d deletes name %d", i, n)
			}
		}
	}
}

// search visits every state that can be reached, in the order of the number of
// steps, and returns the steps to one that is broken.
func (m model) search(limit int) (visited int, trace []string) {
	type from struct {
		parent int32
		what   string
	}
	seen := map[state]struct{}{}
	queue, origin := []state{start(m.history)}, []from{{parent: -1}}
	seen[queue[0]] = struct{}{}
	var buf []move
	for at := 0; at < len(queue) && len(queue) < limit; at++ {
		if why := queue[at].broken(); why != "" {
			for k := int32(at); k > 0; k = origin[k].parent {
				trace = append([]string{origin[k].what}, trace...)
			}
			return len(seen), append(trace, why)
		}
		buf = m.moves(queue[at], buf)
		for _, mv := range buf {
			if _, ok := seen[mv.to]; ok {
				continue
			}
			seen[mv.to] = struct{}{}
			queue, origin = append(queue, mv.to), append(origin, from{int32(at), mv.what})
		}
	}
	return len(seen), nil
}

// walk takes random steps.
func (m model) walk(seed uint64, steps int) (trace []string) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := start(m.history)
	var buf []move
	for range steps {
		buf = m.moves(s, buf)
		mv := buf[r.IntN(len(buf))]
		// Time and deletes are what makes an order interesting.
		if r.IntN(3) == 0 {
			mv = buf[0]
		}
		s = mv.to
		trace = append(trace, mv.what)
		if why := s.broken(); why != "" {
			return append(trace, why)
		}
	}
	return nil
}
