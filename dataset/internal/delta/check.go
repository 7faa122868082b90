package delta

import (
	"errors"
	"fmt"
)

// Take adds an action of a checkpoint, checked as the lines of a commit are.
// Exactly one of the arguments is not nil.
func (e *Entry) Take(p *Protocol, m *MetaData, t *Txn, a *Add) error {
	return e.take(&action{Protocol: p, MetaData: m, Txn: t, Add: a})
}

func (p *Protocol) check() error {
	if p.MinReader < 1 || p.MinWriter < 1 {
		return fmt.Errorf("protocol %d/%d, want at least 1/1", p.MinReader, p.MinWriter)
	}
	return nil
}

func (m *MetaData) check() error {
	if m.SchemaString == "" {
		return errors.New("metaData without a schemaString")
	}
	return nil
}

func (t *Txn) check() error {
	if t.AppID == "" {
		return errors.New("txn without an appId")
	}
	return nil
}

// check decodes the path as well.
func (a *Add) check() error {
	p, err := DecodePath(a.Path)
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if a.Size < 0 {
		return fmt.Errorf("add %q: size is %d", p, a.Size)
	}
	a.Path = p
	return nil
}
