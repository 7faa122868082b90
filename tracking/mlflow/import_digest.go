package mlflow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/millwright-ml/millwright/tracking"
)

// pointsSummary sums up the points of one metric whatever their order, as
// servers do not order equal times alike.
type pointsSummary struct {
	count  int64
	hi, lo uint64 // the sum of the points' digests
}

func (s *pointsSummary) add(m *tracking.Metric) {
	var b [24]byte
	binary.BigEndian.PutUint64(b[0:], uint64(m.Step))             //nolint:gosec // the bits count
	binary.BigEndian.PutUint64(b[8:], uint64(m.Time.UnixMilli())) //nolint:gosec // the bits count
	binary.BigEndian.PutUint64(b[16:], valueBits(m.Value))
	sum := sha256.Sum256(b[:])
	s.hi += binary.BigEndian.Uint64(sum[0:])
	s.lo += binary.BigEndian.Uint64(sum[8:])
	s.count++
}

// valueBits is equal for values that are equal as metrics are: one NaN, one
// zero.
func valueBits(v float64) uint64 {
	switch {
	case math.IsNaN(v):
		return math.Float64bits(math.NaN())
	case v == 0:
		return 0
	}
	return math.Float64bits(v)
}

func (s pointsSummary) String() string {
	return fmt.Sprintf("%d points, digest %016x%016x", s.count, s.hi, s.lo)
}

// sumPoints sums up all metrics of a run.
func sumPoints(byKey map[string]pointsSummary) (count int64, digest string) {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		fmt.Fprintf(h, "%q %v\n", key, byKey[key])
		count += byKey[key].count
	}
	return count, hex.EncodeToString(h.Sum(nil))
}

// doneMark is what the done tag of a run holds.
type doneMark struct {
	// Run is the digest of what a search shows of the run in the source; when
	// it is still the same nothing has to be copied.
	Run    string       `json:"run"`
	Points int64        `json:"points"`
	Digest string       `json:"points_digest"`
	Files  filesSummary `json:"artifacts"`
	// Artifacts tells whether the import had artifacts to copy at all.
	Artifacts bool `json:"with_artifacts"`
}

func parseDoneMark(text string) (doneMark, bool) {
	var m doneMark
	err := json.Unmarshal([]byte(text), &m)
	return m, err == nil && m.Run != ""
}

func (m doneMark) String() string {
	b, err := json.Marshal(m)
	if err != nil { // texts and numbers cannot fail
		return ""
	}
	return string(b)
}

// fingerprint is the digest of what a search shows of a run.
func fingerprint(r *tracking.RunInfo) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %d %d %v\n", r.Name, r.User, r.Status, millis(r.Start), millis(r.End), r.Deleted)
	hashPairs(h, r.Params)
	hashPairs(h, importTags(r.Tags))
	for _, key := range slices.Sorted(maps.Keys(r.Metrics)) {
		m := r.Metrics[key]
		fmt.Fprintf(h, "%q %d %d %x\n", key, m.Step, millis(m.Time), valueBits(m.Value))
	}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		fmt.Fprintf(h, "%q %q %q %q\n", in.Name, in.Version, in.Digest, in.Context)
		hashPairs(h, in.Tags)
	}
	fmt.Fprintf(h, "%q %v\n", r.ModelInputs, r.Outputs)
	return hex.EncodeToString(h.Sum(nil))
}

func hashPairs(h hash.Hash, m map[string]string) {
	for _, kv := range pairsOf(m) {
		fmt.Fprintf(h, "%q %q\n", kv.Key, kv.Value)
	}
	fmt.Fprintln(h)
}

// shownValue is a value in a Difference.
func shownValue(s string) string { return strconv.Quote(shownSubject(s)) }

// comparePairs records what of the source's pairs the destination lacks or
// has differently. It may have more.
func (im *importer) comparePairs(d Difference, what string, from, to map[string]string) {
	for _, kv := range pairsOf(from) {
		have, ok := to[kv.Key]
		if ok && have == kv.Value {
			continue
		}
		d.What, d.Source, d.Destination = fmt.Sprintf("%s %q", what, kv.Key), shownValue(kv.Value), shownValue(have)
		if !ok {
			d.Destination = "has none"
		}
		im.differ(d)
	}
}
