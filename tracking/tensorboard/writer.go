package tensorboard

import (
	"fmt"
	"io"
	"math"
	"time"
)

// Scalar is one point of one curve.
type Scalar struct {
	Tag   string // the curve's name, 1 to 4,096 bytes of UTF-8
	Value float64
	Step  int64
	Time  time.Time
}

// Writer writes an event file. It buffers nothing: wrap the file in a
// bufio.Writer where many points come. It is not safe for concurrent use, and
// after an error it is of no use.
type Writer struct {
	// Exact keeps all 64 bits of a value, as a tensor that TensorBoard shows
	// like any scalar, when it is started with --load_fast=false: its fast
	// loader, which comes with most installations, knows 32 bits only, and so
	// do older tools that read event files themselves. Set it before the first
	// Write.
	Exact bool

	w     io.Writer
	began bool
	event []byte
	out   []byte
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write adds one point.
func (w *Writer) Write(s Scalar) error {
	if err := checkTag(s.Tag); err != nil {
		return err
	}
	return w.summary(s.Time, s.Step, appendScalar(nil, s.Tag, s.Value, w.Exact))
}

// summary adds a Summary message.
func (w *Writer) summary(at time.Time, step int64, summary []byte) error {
	w.out = w.out[:0]
	if !w.began {
		w.out = appendRecord(w.out, appendEvent(nil, seconds(at), 0, eventVersion, version))
		w.began = true
	}
	w.event = appendEvent(w.event[:0], seconds(at), step, eventSummary, summary)
	w.out = appendRecord(w.out, w.event)
	if _, err := w.w.Write(w.out); err != nil {
		return fmt.Errorf("tensorboard: write event: %w", err)
	}
	return nil
}

// seconds is the form of times in event files.
func seconds(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond())/1e9
}

// moment is the time of seconds, to the millisecond; false when it is none.
func moment(seconds float64) (time.Time, bool) {
	ms := math.Round(seconds * 1000)
	if !(ms >= 0 && ms < 1<<53) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)).UTC(), true
}
