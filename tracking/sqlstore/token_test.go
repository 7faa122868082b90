package sqlstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

// FuzzCursor reaches behind the checksum, which FuzzPageToken hardly ever
// passes; therefore it is inside the package.
func FuzzCursor(f *testing.F) {
	for _, body := range []string{"h\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00", "h\x02\x04\x7f\xf8\x00\x00\x00\x00\x00\x00\x02", "h", "x"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token := seal(body, []string{"query"})
		if _, err := parseHistoryCursor(token, "another"); err == nil {
			t.Fatal("a token passed for another query")
		}
		c, err := parseHistoryCursor(token, "query")
		if err != nil {
			require.ErrorIs(t, err, tracking.ErrInvalid)
			return
		}
		again, err := parseHistoryCursor(c.token("query"), "query")
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}
