package oip_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/serve/oip"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	e := oip.NewEvents(w)
	require.False(t, e.Started())
	list := []string{`{"a":1}`, "", "two\nlines", "three\r\nof\rthem\n", " space", "é"}
	for _, s := range list {
		require.NoError(t, e.Send([]byte(s)))
	}
	require.True(t, e.Started())
	require.True(t, w.Flushed)
	require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	require.True(t, strings.HasPrefix(w.Body.String(), "data: {\"a\":1}\n\ndata: \n\ndata: two\ndata: lines\n\n"))
	r := oip.NewEventReader(iotest.OneByteReader(w.Body), -1)
	for _, s := range list {
		got, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), string(got))
	}
	for range 2 {
		_, err := r.Next()
		require.Equal(t, io.EOF, err)
	}
}

func TestEventReader(t *testing.T) {
	t.Parallel()
	read := func(r io.Reader, most int) (list []string, err error) {
		events := oip.NewEventReader(r, most)
		for {
			data, err := events.Next()
			if err != nil {
				return list, err
			}
			list = append(list, string(data))
		}
	}
	const text = "\xef\xbb\xbf: comment\r\nevent: x\r\nid: 4\r\ndata:one\r\ndata:  two\r\n\r\n\r\ndata\r\rdata: 3\n\ndata: never ended\n"
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		list, err := read(r, -1)
		require.Equal(t, io.EOF, err)
		require.Equal(t, []string{"one\n two", "", "3"}, list)
	}
	_, err := read(strings.NewReader("data: "+strings.Repeat("x", 100)), 50)
	require.ErrorIs(t, err, oip.ErrInvalid)
	_, err = read(strings.NewReader(strings.Repeat("data: 12345678\n", 100)), 50)
	require.ErrorIs(t, err, oip.ErrInvalid)
	gone := errors.New("gone")
	_, err = read(io.MultiReader(strings.NewReader("data: 1\n\ndata"), iotest.ErrReader(gone)), 50)
	require.Equal(t, gone, err)
}

func FuzzEventReader(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "data: a\r\ndata\r\n\r\n", "\r\r\n\n", "\xef\xbb\xbf:x\n", "data: a\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whole := oip.NewEventReader(strings.NewReader(s), 1000)
		slow := oip.NewEventReader(iotest.OneByteReader(strings.NewReader(s)), 1000)
		for {
			a, err := whole.Next()
			b, same := slow.Next()
			require.Equal(t, err, same)
			if err != nil {
				return
			}
			require.Equal(t, string(a), string(b))
			require.LessOrEqual(t, len(a), 1000)
		}
	})
}
