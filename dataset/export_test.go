package dataset

import (
	"context"
	"fmt"
	"time"

	"github.com/millwright-ml/millwright/dataset/internal/collect"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// SetGrace sets the times of garbage collections.
func (c *Catalog) SetGrace(lease, grace time.Duration) {
	c.rules = collect.Rules{Lease: lease, Grace: grace}
}

// ForgetCondemned is what the end of a lease does.
func (d *Dataset) ForgetCondemned() { d.forgetCondemned() }

// ParseList is for the fuzz test.
func ParseList(data []byte) error {
	_, err := parseList(data)
	return err
}

// ParseSweep is for the fuzz test.
func ParseSweep(data []byte) error {
	_, err := parseSweep(data)
	return err
}

// SetLayout makes files small enough for tests to have several.
func (c *Catalog) SetLayout(groupRows, groupBytes, fileBytes int64) {
	c.layout = layout{groupRows: groupRows, groupBytes: groupBytes, fileBytes: fileBytes, fragments: pqfile.CutOptions{Mean: 64, Min: 16, Max: 256}}
}

// ReplaceAll commits a version with one file that is only claimed to be there.
func (d *Dataset) ReplaceAll(ctx context.Context, sha string, rows int64) error {
	tip := d.log.known()
	if _, err := d.condemned(ctx); err != nil {
		return err
	}
	f := draft{written: time.Now(), File: File{Path: dataPath(sha, 1), SHA256: sha, Size: 1, Rows: rows}, stats: fmt.Sprintf(`{"numRecords":%d}`, rows)}
	_, err := d.commit(ctx, nil, d.fixed(tip, &change{operation: "WRITE", dataChange: true, removes: tip.files, adds: []draft{f}}))
	return err
}
