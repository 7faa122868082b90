package sqlstore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/tracking"
)

// FuzzCursor reaches behind the checksum, which FuzzPageToken hardly ever
// passes; therefore it is inside the package.
func FuzzCursor(f *testing.F) {
	for _, body := range []string{"e\x02", "r\x02run1", "r\x02", "r\x02../x", "h\x02\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00", "h\x02\x04\x7f\xf8\x00\x00\x00\x00\x00\x00\x02", "h", "x"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		token := seal(body, []string{"query"})
		if _, err := parseExperimentCursor(token, "another"); err == nil {
			t.Fatal("a token passed for another query")
		}
		if c, err := parseExperimentCursor(token, "query"); err == nil {
			again, err := parseExperimentCursor(c.token("query"), "query")
			require.NoError(t, err)
			require.Equal(t, c, again)
		} else {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		if c, err := parseRunCursor(token, "query"); err == nil {
			again, err := parseRunCursor(c.token("query"), "query")
			require.NoError(t, err)
			require.Equal(t, c, again)
			require.NoError(t, tracking.ValidateRunID(c.id))
		} else {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
		if c, err := parseHistoryCursor(token, "query"); err == nil {
			again, err := parseHistoryCursor(c.token("query"), "query")
			require.NoError(t, err)
			require.Equal(t, c, again)
		} else {
			require.ErrorIs(t, err, tracking.ErrInvalid)
		}
	})
}
