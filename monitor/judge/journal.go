package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
)

// Journal keeps the scores that models were paid for in a file, so that an
// evaluation that was broken off, by a kill even, goes on where it stopped: what
// is in it is not asked, nor paid, again. What is lost is what was on its way:
// the calls of at most EvaluateOptions.Concurrency scores.
//
// A score is known by the sample, all of it, and by what its scorer says of itself
// ([Described]); scores of others, and those that took no calls, are made anew.
// The file has digests of samples and the judges' reasons, which may cite them; it
// is for its owner only. One process may use it at a time.
type Journal struct {
	mu      sync.Mutex
	file    *os.File
	size    int64 // Of its whole lines.
	scores  map[string]Score
	earlier map[string]Usage // By scorer: what processes before this one have used.
	owed    map[string]Usage // Part of earlier that no budget has counted yet.
}

// entry is a line of the file.
type entry struct {
	Key    string `json:"key"`
	Scorer string `json:"scorer"`
	// Score is the score, or Usage what a failed one has taken.
	Score *Score `json:"score,omitempty"`
	Usage Usage  `json:"usage,omitzero"`
}

const (
	// maxLine bounds a line of a journal, in bytes.
	maxLine = 1 << 20
	// longestReason bounds the explanation in it, which escapes may make six times as
	// long.
	longestReason = 64 << 10
)

// OpenJournal opens the file, or makes it. A last line that a kill has cut off is
// removed; any other damage is ErrInvalid.
func OpenJournal(path string) (*Journal, error) {
	const ownerOnly = 0o600
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, ownerOnly)
	if err != nil {
		return nil, fmt.Errorf("judge: open the journal: %w", err)
	}
	j := &Journal{file: file, scores: map[string]Score{}, earlier: map[string]Usage{}, owed: map[string]Usage{}}
	whole, err := j.read(file)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		j.size, err = file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("judge: open the journal %q: %w", path, err), file.Close())
	}
	return j, nil
}

// read takes what the file has, and says how much of it is whole lines.
func (j *Journal) read(r io.Reader) (whole int64, err error) {
	all, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	for number := 1; ; number++ {
		end := bytes.IndexByte(all, '\n')
		if end < 0 {
			return whole, nil
		}
		line := all[:end]
		all, whole = all[end+1:], whole+int64(end)+1
		if err := j.take(line); err != nil {
			return 0, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

func (j *Journal) take(line []byte) error {
	var e entry
	if len(line) > maxLine {
		return fmt.Errorf("it has %d bytes: %w", len(line), ErrInvalid)
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("it is no score: %w: %w", err, ErrInvalid)
	}
	used := e.Usage
	if e.Score != nil {
		used = e.Score.Usage
		j.scores[e.Key] = *e.Score
	}
	if e.Key == "" || e.Scorer == "" || used.Calls < 0 || used.Input < 0 || used.Output < 0 || used.Money < 0 {
		return fmt.Errorf("it lacks what a score has: %w", ErrInvalid)
	}
	for _, all := range []map[string]Usage{j.earlier, j.owed} {
		sum := all[e.Scorer]
		sum.add(used)
		all[e.Scorer] = sum
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error {
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("judge: close the journal: %w", err)
	}
	return nil
}

// settle has the budgets of the scorers count what was used before, once, and
// returns what that was.
func (j *Journal) settle(scorers []Scorer) Usage {
	var all Usage
	if j == nil {
		return all
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range scorers {
		all.add(j.earlier[s.Name()])
		if c, ok := s.(charged); ok {
			c.charge(j.owed[s.Name()])
			delete(j.owed, s.Name())
		}
	}
	return all
}

// key is what a scorer's score of a sample is known by, "" if it is by nothing.
func (j *Journal) key(s Scorer, sample *Sample) string {
	if j == nil {
		return ""
	}
	about, ok := describe(s)
	if !ok {
		return ""
	}
	return digestOf(about, sample.ID, sample.Input, sample.Output, sample.Expected, sample.Context, sample.Other)
}

// find returns a score that is there.
func (j *Journal) find(key string) (Score, bool) {
	if key == "" {
		return Score{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.scores[key]
	return s, ok
}

// add writes what a scorer has said and used, if it used anything.
func (j *Journal) add(key string, s *Scored) error {
	if key == "" || s.Usage.Calls == 0 {
		return nil
	}
	e := entry{Key: key, Scorer: s.Name}
	if s.Err == nil && !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) {
		e.Score = &s.Score
	} else {
		e.Usage = s.Usage
	}
	if e.Score != nil && len(e.Score.Explanation) > longestReason {
		short := s.Score // A line that is too long to be read would lose all others.
		short.Explanation = strings.ToValidUTF8(short.Explanation[:longestReason], "")
		e.Score = &short
	}
	line, err := json.Marshal(&e)
	if err == nil && len(line) > maxLine {
		err = fmt.Errorf("the score takes %d bytes, more than %d: %w", len(line), maxLine, ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("judge: journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// One write, so that a kill leaves a whole line or a cut last one.
	n, err := j.file.WriteAt(append(line, '\n'), j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// Part of a line between others would be damage.
		return fmt.Errorf("judge: journal: %w", errors.Join(err, j.file.Truncate(j.size)))
	}
	j.size += int64(n)
	sum := j.earlier[s.Name]
	sum.add(s.Usage)
	j.earlier[s.Name] = sum
	if e.Score != nil {
		j.scores[key] = s.Score
	}
	return nil
}
