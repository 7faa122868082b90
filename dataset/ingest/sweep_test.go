package ingest_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/ingest"
)

// Bytes all over a file are damaged, with a value that depends on where.
func TestADamagedByteIsAnErrorOrNothing(t *testing.T) {
	t.Parallel()
	rec := foreignRecord(t)
	for name, good := range map[string][]byte{"a.parquet": parquetFile(t, rec), "a.arrow": arrowFile(t, rec), "a.arrows": arrowStream(t, rec)} {
		const step = 7 // All bytes once were tried by hand; fuzzing tries others.
		for at := 0; at < len(good); at += step {
			data := bytes.Clone(good)
			data[at] ^= []byte{0xff, 0x01, 0x80, 0x40}[at/step%4]
			err := drain(name, data, &ingest.Options{MaxBytes: 1 << 20, IgnoreUnknown: true, Location: time.UTC, Round: true})
			if err != nil && !errors.Is(err, ingest.ErrInvalid) {
				require.ErrorIs(t, err, ingest.ErrUnsupported, "%s with byte %d damaged", name, at)
			}
		}
	}
}
