package errs_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/internal/errs"
)

func TestFaultsReportsEveryFault(t *testing.T) {
	t.Parallel()
	var f errs.Faults
	require.NoError(t, f.Err("spec"))
	f.Check(true, "never recorded")
	f.Check(false, "name is empty")
	f.Addf("nodes is %d, want at least 1", 0)
	err := f.Err("train: spec")
	require.ErrorIs(t, err, errs.ErrInvalid)
	require.EqualError(t, err, "train: spec: name is empty; nodes is 0, want at least 1: invalid")
}

func TestUnsupportedIsTheStandardOne(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, errs.ErrUnsupported, errors.ErrUnsupported)
}
