package pqfile

import (
	"encoding/base64"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/millwright-ml/millwright/dataset/internal/ipccheck"
)

// checkOrigin checks the Arrow schema that a file carries in its metadata before
// the library decodes it: what it claims would be allocated.
func checkOrigin(pf *file.Reader) error {
	kept := pf.MetaData().KeyValueMetadata().FindValue("ARROW:schema")
	if kept == nil {
		return nil
	}
	// Padded or not, as the library takes both.
	stream, err := base64.StdEncoding.DecodeString(*kept)
	if err != nil || len(stream) == 0 {
		stream, err = base64.RawStdEncoding.DecodeString(*kept)
	}
	if err == nil {
		err = ipccheck.Schema(stream)
	}
	if err != nil {
		return fmt.Errorf("the Arrow schema in the metadata: %w", err)
	}
	return nil
}
