package tracking

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// End ends the run as the error of the work says: Finished when cause is nil,
// Killed when it is context.Canceled or ctx has ended, else Failed. The text of
// the error is kept in the tag TagError. It is made for one deferred line:
//
//	func trainModel(ctx context.Context) (err error) {
//		run, err := client.StartRun(ctx, exp.ID, nil)
//		…
//		defer func() { err = errors.Join(err, run.End(ctx, err)) }()
//
// End works when ctx has ended: it then takes up to 15 seconds of its own.
// Otherwise it does what Finish does. It returns what went wrong with ending
// the run, and never cause.
func (r *Run) End(ctx context.Context, cause error) error {
	status := Failed
	switch {
	case cause == nil:
		status = Finished
	case errors.Is(cause, context.Canceled) || ctx.Err() != nil:
		status = Killed
	}
	ctx, cancel := survive(ctx)
	defer cancel()
	var tagged error
	if cause != nil {
		tagged = r.SetTags(ctx, map[string]string{TagError: clip(cause.Error(), maxTagValue)})
	}
	return errors.Join(tagged, r.Finish(ctx, status))
}

// clip makes any text one that a store takes: valid, and cut at limit
// characters.
func clip(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// Finish flushes the buffer of this handle, sets the run's status, which is
// Finished, Failed or Killed, and the present time as its end. Both are tried
// whatever the other's outcome, and the errors joined. A run may be written to
// after Finish, and finished again.
//
// A program that stops because its context ended passes a fresh one here, or
// uses End.
func (r *Run) Finish(ctx context.Context, status Status) error {
	if err := r.client.check("finish run"); err != nil {
		return err
	}
	if !status.Ended() {
		return fmt.Errorf("tracking: finish run %q: status %q, want FINISHED, FAILED or KILLED: %w", r.id, shorten(string(status)), ErrInvalid)
	}
	return errors.Join(r.Flush(ctx), r.client.store.UpdateRun(ctx, r.id, RunUpdate{Status: status, End: now()}))
}
