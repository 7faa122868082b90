package judge

import (
	"encoding/json"
	"fmt"
	"strings"
)

// maxVerdict bounds what is read of a judge's answer, in bytes.
const maxVerdict = 64 << 10

// verdict is what a judge is asked for. The reason comes first: what a model has
// written down before the rating bears on it.
type verdict struct {
	Reason string       `json:"reason"`
	Rating *json.Number `json:"rating"`
	Choice *string      `json:"choice"`
}

// parseVerdict reads the one object in a judge's answer. Servers that ignore the
// asked format let models put it in a fence or a sentence, which is passed over.
func parseVerdict(text string) (verdict, error) {
	var v verdict
	if len(text) > maxVerdict {
		return v, fmt.Errorf("the answer has %d bytes: %w", len(text), ErrInvalid)
	}
	from := strings.IndexByte(text, '{')
	if from < 0 {
		return v, fmt.Errorf("the answer is no JSON object: %w", ErrInvalid)
	}
	text = text[from:]
	if err := checkDepth(text); err != nil {
		return v, err
	}
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		return verdict{}, fmt.Errorf("the answer is no verdict: %w: %w", err, ErrInvalid)
	}
	// A second object makes it unclear which one is meant.
	if strings.ContainsRune(text[d.InputOffset():], '{') {
		return verdict{}, fmt.Errorf("the answer has several objects: %w", ErrInvalid)
	}
	v.Reason = shorten(v.Reason, maxExplanation)
	return v, nil
}

// rating is the whole number of a verdict, from least to most.
func (v *verdict) rating(least, most int) (int, error) {
	if v.Rating == nil {
		return 0, fmt.Errorf("the verdict has no rating: %w", ErrInvalid)
	}
	f, err := v.Rating.Float64()
	if n := int(f); err == nil && float64(n) == f && least <= n && n <= most {
		return n, nil
	}
	return 0, fmt.Errorf("the rating %s is no whole number from %d to %d: %w", shorten(v.Rating.String(), 40), least, most, ErrInvalid)
}

// The choices of a comparison, as the judge sees them.
const (
	choiceA   = "A"
	choiceB   = "B"
	choiceTie = "tie"
)

func (v *verdict) choice() (string, error) {
	if v.Choice == nil {
		return "", fmt.Errorf("the verdict has no choice: %w", ErrInvalid)
	}
	switch strings.ToLower(strings.TrimSpace(*v.Choice)) {
	case "a":
		return choiceA, nil
	case "b":
		return choiceB, nil
	case choiceTie:
		return choiceTie, nil
	}
	return "", fmt.Errorf("the choice %q is none of A, B and tie: %w", shorten(*v.Choice, 40), ErrInvalid)
}
