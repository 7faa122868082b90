package checkpoint

import (
	"github.com/millwright-ml/millwright/dataset/internal/delta"
	"github.com/millwright-ml/millwright/dataset/internal/pqfile"
)

// ReadByLibrary reads one part with arrow-go.
func ReadByLibrary(data []byte) (*State, error) {
	return readBy(data, func() (parquetFile, error) { return openLibrary(data) })
}

// ReadByOurs reads one part with our own decoder.
func ReadByOurs(data []byte) (*State, error) {
	return readBy(data, func() (parquetFile, error) { return openOwn(data) })
}

func readBy(data []byte, open func() (parquetFile, error)) (*State, error) {
	e, rows := &delta.Entry{}, int64(0)
	err := pqfile.Guard("read", func() error {
		f, err := open()
		if err != nil {
			return err
		}
		return readFile(e, f, &rows)
	})
	return &State{Protocol: e.Protocol, MetaData: e.MetaData, Txns: e.Txns, Adds: e.Adds}, err
}
