package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// tensor is a line of a signature in the form of the Open Inference Protocol's
// model metadata.
type tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
	// Optional inputs may be left out of a request.
	Optional bool `json:"optional"`
}

type signature struct {
	Inputs  []tensor `json:"inputs"`
	Outputs []tensor `json:"outputs"`
}

// SignatureCompatible passes a version that answers every request that the
// champion answers, with at least the same outputs: it needs no input that the
// champion does not, by the same datatype and a shape that takes what the
// champion's takes (-1 takes any), and it has each of the champion's outputs.
// Signatures that are not in the form of the Open Inference Protocol have to be
// equal.
func SignatureCompatible() Gate {
	return Gate{Name: "signature", Check: func(_ context.Context, c Candidate) (Verdict, error) {
		switch {
		case len(c.Version.Signature) == 0:
			return Verdict{Detail: "the version has no signature"}, nil
		case c.Champion == nil || len(c.Champion.Signature) == 0:
			return Verdict{Pass: true, Detail: "no champion's signature to compare with"}, nil
		}
		var have, want signature
		errHave, errWant := json.Unmarshal(c.Version.Signature, &have), json.Unmarshal(c.Champion.Signature, &want)
		if errHave != nil || errWant != nil || len(have.Inputs) == 0 || len(want.Inputs) == 0 {
			if string(c.Version.Signature) == string(c.Champion.Signature) {
				return Verdict{Pass: true, Detail: "equal to the champion's"}, nil
			}
			return Verdict{Detail: "it differs from the champion's, and is not in a form that can be compared"}, nil
		}
		faults := slices.Concat(lacking("input", have.Inputs, want.Inputs), lacking("output", want.Outputs, have.Outputs))
		if len(faults) > 0 {
			return Verdict{Detail: strings.Join(faults, "; ")}, nil
		}
		return Verdict{Pass: true, Detail: fmt.Sprintf("takes the %d inputs and gives the %d outputs of v%d", len(want.Inputs), len(want.Outputs), c.Champion.Number)}, nil
	}}
}

// lacking says which of the needed tensors are not among the given ones.
func lacking(what string, needed, given []tensor) (faults []string) {
	for _, n := range needed {
		i := slices.IndexFunc(given, func(g tensor) bool { return g.Name == n.Name })
		switch {
		case i < 0 && n.Optional:
		case i < 0:
			faults = append(faults, fmt.Sprintf("%s %q is missing", what, n.Name))
		case given[i].Datatype != n.Datatype:
			faults = append(faults, fmt.Sprintf("%s %q is %s, want %s", what, n.Name, given[i].Datatype, n.Datatype))
		case given[i].Optional && !n.Optional:
			faults = append(faults, fmt.Sprintf("%s %q is needed, and was optional", what, n.Name))
		case !shapeTakes(n.Shape, given[i].Shape):
			faults = append(faults, fmt.Sprintf("%s %q has the shape %v, want %v", what, n.Name, given[i].Shape, n.Shape))
		}
	}
	return faults
}

// shapeTakes reports whether needed takes all that given describes.
func shapeTakes(needed, given []int64) bool {
	return slices.EqualFunc(needed, given, func(n, g int64) bool { return n == -1 || n == g })
}
