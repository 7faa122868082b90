// Package checkpoint reads and writes the classic (V1) Parquet checkpoints of a
// Delta log: the state of a table in one file, so that nobody has to read the
// log from its beginning.
package checkpoint

import "github.com/millwright-ml/millwright/dataset/internal/delta"

// State is a table at one version. Tombstones of removed files are not part of
// it: only cleanups want them, and what they do not see they leave alone.
type State struct {
	Protocol *delta.Protocol
	MetaData *delta.MetaData
	Txns     []delta.Txn
	Adds     []delta.Add
}

// maxActions bounds the actions of a checkpoint, and so the memory that a
// hostile one can ask for.
const maxActions = 1 << 22
