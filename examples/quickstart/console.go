package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// console narrates: a heading a step, short lines below it. The retraining
// speaks while the traffic does, so each line is written whole.
type console struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func newConsole(w io.Writer) *console { return &console{w: w, start: time.Now()} }

func (c *console) write(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = io.WriteString(c.w, s) // a closed terminal must not stop the loop
}

func (c *console) title(format string, args ...any) { c.write(fmt.Sprintf(format, args...) + "\n") }

func (c *console) step(n int, name, format string, args ...any) {
	c.write(fmt.Sprintf("\n%d  %-9s %s\n", n, name, fmt.Sprintf(format, args...)))
}

func (c *console) line(format string, args ...any) {
	c.write(strings.Repeat(" ", 13) + fmt.Sprintf(format, args...) + "\n")
}

// count writes 12,345 for 12345.
func count[T ~int | ~int64 | ~uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short is a digest for people: its algorithm and first twelve digits.
func short(digest string) string {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok {
		algorithm, hex = "sha256", digest
	}
	return algorithm + ":" + hex[:min(12, len(hex))]
}

func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.0f KiB", float64(bytes)/1024)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func took(since time.Time) string { return fmt.Sprintf("%.1f s", time.Since(since).Seconds()) }
