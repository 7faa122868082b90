package oip_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

func inflate(t *testing.T, body []byte, encoding string, opts *oip.InflateOptions) ([]byte, error) {
	t.Helper()
	r, err := oip.Inflate(bytes.NewReader(body), encoding, opts)
	require.NoError(t, err)
	out, err := io.ReadAll(r)
	require.NoError(t, r.Close())
	_, closed := r.Read(make([]byte, 1))
	if encoding != "" {
		require.ErrorIs(t, closed, oip.ErrClosed)
	}
	return out, err
}

func TestCompression(t *testing.T) {
	t.Parallel()
	text := large(32)
	for _, encoding := range []string{oip.Gzip, oip.Deflate} {
		// Twice, as the tools are used again.
		for range 2 {
			small, err := oip.Compress([]byte("kept"), text, encoding)
			require.NoError(t, err)
			require.Equal(t, "kept", string(small[:4]))
			require.Less(t, len(small), len(text)*3/4)
			got, err := inflate(t, small[4:], encoding, nil)
			require.NoError(t, err)
			require.Equal(t, text, got)
		}
	}
	var raw bytes.Buffer
	w, err := flate.NewWriter(&raw, 1)
	require.NoError(t, err)
	_, _ = w.Write(text)
	require.NoError(t, w.Close())
	got, err := inflate(t, raw.Bytes(), oip.Deflate, nil)
	require.NoError(t, err)
	require.Equal(t, text, got, "without zlib's header")

	r, err := oip.Inflate(strings.NewReader("abc"), "", nil)
	require.NoError(t, err)
	got, err = io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got))

	_, err = oip.Inflate(nil, "br", nil)
	require.ErrorIs(t, err, oip.ErrUnsupported)
	_, err = oip.Inflate(nil, "gzip, gzip", nil)
	require.ErrorIs(t, err, oip.ErrUnsupported)
	_, err = oip.Compress(nil, nil, "br")
	require.ErrorIs(t, err, oip.ErrUnsupported)
}

// A megabyte of zeros is let through, a gigabyte ends long before it is there.
func TestBombs(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{oip.Gzip, oip.Deflate} {
		small, err := oip.Compress(nil, make([]byte, 1<<20), encoding)
		require.NoError(t, err)
		_, err = inflate(t, small, encoding, nil)
		require.NoError(t, err)
		big, err := oip.Compress(nil, make([]byte, 64<<20), encoding)
		require.NoError(t, err)
		got, err := inflate(t, big, encoding, nil)
		require.ErrorIs(t, err, oip.ErrInvalid)
		require.ErrorContains(t, err, "grows beyond")
		require.Less(t, len(got), 4<<20)
		_, err = inflate(t, big, encoding, &oip.InflateOptions{Ratio: -1})
		require.NoError(t, err)
	}
}

func TestInflateRefuses(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{oip.Gzip, oip.Deflate} {
		body, err := oip.Compress(nil, []byte("some text"), encoding)
		require.NoError(t, err)
		for n := range len(body) {
			_, err = inflate(t, body[:n], encoding, nil)
			require.ErrorIs(t, err, oip.ErrInvalid, "%s %d", encoding, n)
		}
		_, err = inflate(t, append(slices.Clip(body), 'x'), encoding, nil)
		require.ErrorContains(t, err, "goes on behind its end")
		_, err = inflate(t, append(slices.Clip(body), body...), encoding, nil)
		require.ErrorIs(t, err, oip.ErrInvalid)
		damaged := bytes.Clone(body)
		damaged[len(damaged)-5]++
		_, err = inflate(t, damaged, encoding, nil)
		require.ErrorIs(t, err, oip.ErrInvalid)

		// A fault of the connection stays what it is.
		gone := errors.New("gone")
		r, err := oip.Inflate(io.MultiReader(bytes.NewReader(body[:5]), iotest.ErrReader(gone)), encoding, nil)
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		require.Equal(t, gone, err)
	}
}

func FuzzInflate(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for _, text := range [][]byte{nil, []byte(small), noise, make([]byte, 5000)} {
		for _, e := range []string{oip.Gzip, oip.Deflate} {
			body, err := oip.Compress(nil, text, e)
			require.NoError(f, err)
			f.Add(body, e == oip.Gzip)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, zip bool) {
		encoding := oip.Deflate
		if zip {
			encoding = oip.Gzip
		}
		got, err := inflate(t, body, encoding, nil)
		if err != nil {
			require.ErrorIs(t, err, oip.ErrInvalid)
		}
		require.LessOrEqual(t, len(got), 2<<20+100*len(body))
	})
}

func TestAcceptedEncoding(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "gzip": "gzip", "deflate": "deflate", "deflate, gzip": "gzip", "GZIP;Q=0.5,deflate;q=0.9": "deflate",
		"br": "", "gzip;q=0": "", "gzip;q=0.1, identity;q=0.5": "", "gzip;q=x": "", "*": "", "gzip;q=NaN": "",
	} {
		require.Equal(t, want, oip.AcceptedEncoding(header), header)
	}
}
