package httperr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/httperr"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 200},
		{errs.ErrInvalid, 400},
		{errs.ErrNotFound, 404},
		{errs.ErrExists, 409},
		{errs.ErrConflict, 409},
		{errs.ErrUnavailable, 503},
		{errs.ErrClosed, 503},
		{errs.ErrUnsupported, 501},
		{errors.ErrUnsupported, 500},
		{context.DeadlineExceeded, 504},
		{context.Canceled, httperr.StatusClientClosed},
		{&http.MaxBytesError{Limit: 1}, 413},
		{errors.New("disk on fire"), 500},
	} {
		require.Equal(t, tc.want, httperr.Status(tc.err), "%v", tc.err)
		if tc.err != nil {
			require.Equal(t, tc.want, httperr.Status(fmt.Errorf("pkg: op %q: %w", "x", tc.err)), "wrapped %v", tc.err)
		}
	}
}
