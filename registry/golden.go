package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// Golden is an input of a model with the output that it gave at training.
type Golden struct {
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
}

// Limits of a file of golden cases.
const (
	maxGolden      = 16 << 20
	maxGoldenCases = 10_000
)

// goldenFile is {"format":1,"cases":[{"input":…,"output":…}, …]}.
type goldenFile struct {
	Format int      `json:"format"`
	Cases  []Golden `json:"cases"`
}

// EncodeGolden is the file that ReadGolden reads.
func EncodeGolden(cases []Golden) ([]byte, error) {
	b, err := json.Marshal(goldenFile{Format: 1, Cases: cases})
	if err != nil {
		return nil, fmt.Errorf("registry: golden cases: %w: %w", err, ErrInvalid)
	}
	return b, nil
}

// ReadGolden reads the golden cases of a version from its files. ErrInvalid
// when the file is no such file, has no case, more than 10,000 of them or more
// than 16 MiB.
func ReadGolden(files fs.FS, path string) ([]Golden, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, fmt.Errorf("registry: golden cases: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxGolden+1))
	if err != nil {
		return nil, fmt.Errorf("registry: golden cases: %w", err)
	}
	return decodeGolden(b)
}

func decodeGolden(b []byte) ([]Golden, error) {
	invalid := func(format string, args ...any) ([]Golden, error) {
		return nil, fmt.Errorf("registry: golden cases: "+format+": %w", append(args, ErrInvalid)...)
	}
	if len(b) > maxGolden {
		return invalid("more than %d bytes", maxGolden)
	}
	var g goldenFile
	if err := json.Unmarshal(b, &g); err != nil {
		return invalid("%v", err)
	}
	if g.Format != 1 {
		return invalid("format %d, want 1", g.Format)
	}
	if len(g.Cases) == 0 || len(g.Cases) > maxGoldenCases {
		return invalid("%d cases, want 1 to %d", len(g.Cases), maxGoldenCases)
	}
	for i, c := range g.Cases {
		if len(c.Input) == 0 || len(c.Output) == 0 {
			return invalid("case %d has no input or no output", i+1)
		}
	}
	return g.Cases, nil
}

// compareJSON returns how far the numbers of have are from those of want at
// most, relative where want's is above 1, or in words what else differs.
func compareJSON(want, have json.RawMessage) (off float64, why string) {
	decode := func(b json.RawMessage) (v any, err error) {
		d := json.NewDecoder(bytes.NewReader(b))
		err = d.Decode(&v)
		return v, err
	}
	w, err := decode(want)
	if err != nil {
		return 0, "the golden output is no JSON"
	}
	h, err := decode(have)
	if err != nil {
		return 0, "the model's output is no JSON"
	}
	return compareValue("output", w, h)
}

func compareValue(at string, want, have any) (off float64, why string) {
	switch want := want.(type) {
	case float64:
		have, ok := have.(float64)
		if !ok {
			return 0, fmt.Sprintf("%s is no number", at)
		}
		return math.Abs(want-have) / max(1, math.Abs(want)), ""
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return 0, fmt.Sprintf("%s is no list of %d", at, len(want))
		}
		for i := range want {
			o, why := compareValue(fmt.Sprintf("%s[%d]", at, i), want[i], have[i])
			if off = max(off, o); why != "" {
				return off, why
			}
		}
		return off, ""
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok || len(have) != len(want) {
			return 0, fmt.Sprintf("%s is no object of %d members", at, len(want))
		}
		for k := range want {
			h, ok := have[k]
			if !ok {
				return off, fmt.Sprintf("%s has no member %q", at, k)
			}
			o, why := compareValue(at+"."+k, want[k], h)
			if off = max(off, o); why != "" {
				return off, why
			}
		}
		return off, ""
	}
	if want != have {
		return 0, fmt.Sprintf("%s is %v, want %v", at, have, want)
	}
	return 0, ""
}
