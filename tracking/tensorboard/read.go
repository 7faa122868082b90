package tensorboard

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxTags bounds the curves of one file whose kind is remembered.
const maxTags = 100_000

// Rest tells what Read passed over. It is complete when Read has ended.
type Rest struct {
	// Skipped counts values that are no single number: images, histograms,
	// texts, graphs.
	Skipped int
	// Truncated: the file ends in the middle of a record, as one does that is
	// being written.
	Truncated bool
}

// Read yields the scalars of an event file in the order of the file. rest may be
// nil. A file that is damaged, or none, ends in an ErrInvalid that names the
// offset of the record. A record above 16 MiB counts as skipped.
func Read(r io.Reader, rest *Rest) iter.Seq2[Scalar, error] {
	if rest == nil {
		rest = &Rest{}
	}
	return func(yield func(Scalar, error) bool) {
		records := &recordReader{r: bufio.NewReaderSize(r, 64<<10)}
		plugins := map[string]string{} // of the tags whose values are tensors
		fail := func(err error) { yield(Scalar{}, fmt.Errorf("tensorboard: %w", err)) }
		for {
			offset := records.offset
			data, err := records.next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errTruncated):
				rest.Truncated = true
				return
			case err != nil:
				fail(err)
				return
			case data == nil:
				rest.Skipped++
				continue
			}
			e, err := parseEvent(data)
			if err != nil {
				fail(fmt.Errorf("record at offset %d: %w: %w", offset, err, ErrInvalid))
				return
			}
			at, ok := moment(e.wall)
			for _, v := range e.values {
				if v.plugin != "" && (len(plugins) < maxTags || plugins[v.tag] != "") {
					plugins[v.tag] = v.plugin
				}
				// Writers may name the plugin with a tag's first value only.
				plugin := plugins[v.tag]
				if !v.scalar || plugin != "" && plugin != "scalars" {
					rest.Skipped++
					continue
				}
				if !ok {
					fail(fmt.Errorf("record at offset %d: its time is %v seconds since 1970: %w", offset, e.wall, ErrInvalid))
					return
				}
				if !yield(Scalar{Tag: v.tag, Value: v.number, Step: e.step, Time: at}, nil) {
					return
				}
			}
		}
	}
}
