package s3blob

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

// Inside the package, as nobody uploads terabytes to see how they are cut.
func TestPartSize(t *testing.T) {
	t.Parallel()
	const mib, gib, tib = 1 << 20, 1 << 30, 1 << 40
	for size, want := range map[int64]int64{
		-1: 8 * mib, 0: 8 * mib, 1: 8 * mib, gib: 8 * mib, maxParts * 8 * mib: 8 * mib,
		maxParts*8*mib + 1: 9 * mib, tib: 105 * mib, 5 * tib: 525 * mib,
	} {
		have, err := partSize(size, defaultPart)
		require.NoError(t, err)
		require.Equal(t, want, have, "of %d", size)
		require.LessOrEqual(t, (size+have-1)/have, int64(maxParts))
	}
	_, err := partSize(5*tib+1, defaultPart)
	require.ErrorIs(t, err, fs.ErrInvalid)
}
