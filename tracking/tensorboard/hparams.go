package tensorboard

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/millwright-ml/millwright/tracking"
)

// Field numbers of the messages HParamsPluginData, SessionStartInfo,
// SessionEndInfo, a map's entry and google.protobuf.Value.
const (
	hparamsVersion = 1
	hparamsStart   = 3
	hparamsEnd     = 4

	startParams  = 1
	startGroup   = 4
	startSeconds = 5
	endStatus    = 1
	endSeconds   = 2

	entryKey   = 1
	entryValue = 2

	valueNumber = 2
	valueString = 3
)

// session writes what the HPARAMS tab needs: the params of the run and how it
// ended.
func (w *Writer) session(info *tracking.RunInfo) error {
	start := []byte{}
	for _, key := range slices.Sorted(maps.Keys(info.Params)) {
		var v []byte
		// A number must be one for the tab to sort and plot it.
		if n, err := strconv.ParseFloat(info.Params[key], 64); err == nil {
			v = appendDouble(nil, valueNumber, n)
		} else {
			v = appendBytes(nil, valueString, info.Params[key])
		}
		start = appendBytes(start, startParams, appendBytes(appendBytes(nil, entryKey, key), entryValue, v))
	}
	start = appendBytes(start, startGroup, string(info.ID))
	start = appendDouble(start, startSeconds, seconds(info.Start))
	if err := w.hparams("_hparams_/session_start_info", info.Start, hparamsStart, start); err != nil || info.End.IsZero() {
		return err
	}
	status := map[tracking.Status]uint64{tracking.Finished: 1, tracking.Failed: 2, tracking.Killed: 2, tracking.Running: 3}[info.Status]
	end := appendDouble(appendVarint(nil, endStatus, status), endSeconds, seconds(info.End))
	return w.hparams("_hparams_/session_end_info", info.End, hparamsEnd, end)
}

func (w *Writer) hparams(tag string, at time.Time, id int, content []byte) error {
	data := appendBytes(appendVarint(nil, hparamsVersion, 0), id, content)
	tensor := appendBytes(appendVarint(nil, tensorType, typeFloat), tensorShape, appendBytes(nil, shapeDim, "")) // empty: all is in the metadata
	v := appendBytes(nil, valueTag, tag)
	v = appendBytes(v, valueTensor, tensor)
	v = appendBytes(v, valueMetadata, metadata("hparams", data))
	return w.summary(at, 0, appendBytes(nil, summaryValue, v))
}
