package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Pairwise has a model choose between a sample's Output and its Other. It is a
// [Scorer].
//
// Models favour one position. Each comparison is therefore made twice, with the
// answers in either order, and only a choice that both orders agree on counts.
type Pairwise struct {
	asker
	name   string
	system string
	schema json.RawMessage
}

// The ratings of a comparison, in Score.Ratings: two for each repeat, the first
// with Output in front.
const (
	RatingOther  = -1 // the other answer is better
	RatingTie    = 0
	RatingOutput = 1 // the output is better
)

// NewPairwise makes a judge of two answers. The criterion says what better means.
func NewPairwise(client Client, model, name, criterion string, opts *Options) (*Pairwise, error) {
	o, err := opts.withDefaults()
	if err == nil {
		err = (&Rubric{Name: name, Criterion: criterion, Levels: []string{"", ""}}).validate()
	}
	if err != nil {
		return nil, fmt.Errorf("judge: new %q: %w", name, err)
	}
	return &Pairwise{
		asker: asker{client, model, o},
		name:  name,
		system: strings.Replace(preamble, "You rate the output of a language model.", "You compare two outputs, A and B, of language models.", 1) +
			"\nCriterion: " + criterion +
			"\nWhich one is better by this criterion alone? Their order means nothing.\n" +
			`Answer with one JSON object: {"reason": "one or two sentences", "choice": "A" or "B" or "tie"}`,
		schema: schemaOf("choice", map[string]any{"type": "string", "enum": []string{choiceA, choiceB, choiceTie}}),
	}, nil
}

// Name returns the name.
func (p *Pairwise) Name() string { return p.name }

// Score compares. Value is 1 if the output won in both orders, 0 if the other one
// did, and 0.5 otherwise, as the mean over the repeats. Label is "output", "other",
// "tie", or "inconsistent" where the orders contradict each other.
func (p *Pairwise) Score(ctx context.Context, s *Sample) (Score, error) {
	if s.Other == "" {
		return Score{}, fmt.Errorf("judge: %s of %q: it has no other answer: %w", p.name, s.ID, ErrInvalid)
	}
	var out Score
	total, against := 0, 0
	for repeat := range p.opts.Repeats {
		var pair [2]int
		for i, swapped := range []bool{false, true} {
			rating, reason, used, err := p.compare(ctx, s, swapped, 2*repeat+i)
			out.Usage.add(used)
			if err != nil {
				return Score{Usage: out.Usage}, fmt.Errorf("judge: %s of %q: %w", p.name, s.ID, err)
			}
			pair[i] = rating
			out.Ratings = append(out.Ratings, rating)
			if out.Explanation == "" {
				out.Explanation = reason
			}
		}
		if pair[0] == pair[1] {
			total += pair[0]
		} else if pair[0]+pair[1] == 0 {
			against++
		}
	}
	out.Value = 0.5 + float64(total)/float64(2*p.opts.Repeats)
	switch {
	case total > 0:
		out.Label = "output"
	case total < 0:
		out.Label = "other"
	case against > 0:
		out.Label = "inconsistent"
	default:
		out.Label = "tie"
	}
	return out, nil
}

// places finds where a reason speaks of A and B.
var places = regexp.MustCompile(`\b[AB]\b`)

// compare asks once and says who won, whatever the order was.
func (p *Pairwise) compare(ctx context.Context, s *Sample, swapped bool, call int) (rating int, reason string, used Usage, err error) {
	user, err := p.material(s, swapped)
	if err != nil {
		return 0, "", used, err
	}
	var choice string
	v, used, err := p.ask(ctx, &question{p.system, user, p.schema, call}, func(v *verdict) (err error) {
		choice, err = v.choice()
		return err
	})
	if err != nil {
		return 0, "", used, err
	}
	outputs := map[string]string{choiceA: "the output", choiceB: "the other"}
	win := map[string]int{choiceA: RatingOutput, choiceB: RatingOther, choiceTie: RatingTie}
	if swapped {
		outputs = map[string]string{choiceA: "the other", choiceB: "the output"}
		win = map[string]int{choiceA: RatingOther, choiceB: RatingOutput, choiceTie: RatingTie}
	}
	reason = places.ReplaceAllStringFunc(v.Reason, func(m string) string { return outputs[m] })
	return win[choice], reason, used, nil
}
