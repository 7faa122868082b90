package tracking

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
)

// NewRunID returns an id for a new run: 128 random bits in hexadecimal.
func NewRunID() RunID { return RunID(randomHex()) }

// NewModelID returns an id for a new logged model: "m-" and 128 random bits in
// hexadecimal.
func NewModelID() ModelID { return ModelID("m-" + randomHex()) }

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// RandomName returns a name that people can tell apart and say aloud, like
// "calm-heron-217", for a run or model that was given none. It need not be
// unique.
func RandomName() string {
	adjectives := [...]string{
		"able", "amber", "brave", "bright", "brisk", "calm", "clear", "clever", "cosy", "crisp",
		"eager", "early", "fair", "fleet", "fond", "gentle", "glad", "golden", "grand", "happy",
		"honest", "keen", "kind", "light", "lively", "loyal", "lucky", "mellow", "merry", "mild",
		"neat", "nimble", "noble", "patient", "plain", "polite", "proud", "quick", "quiet", "rapid",
		"ready", "sharp", "shiny", "silent", "sober", "steady", "sunny", "swift", "tidy", "warm",
	}
	nouns := [...]string{
		"acorn", "anvil", "badger", "barley", "beacon", "birch", "bridge", "brook", "cedar", "clover",
		"crane", "dune", "falcon", "fern", "finch", "flint", "forge", "gull", "harbour", "hazel",
		"heron", "island", "kestrel", "lantern", "lark", "linden", "maple", "marten", "meadow", "mill",
		"moss", "oak", "orchard", "otter", "pebble", "pine", "plover", "quarry", "raven", "reed",
		"river", "robin", "rowan", "sail", "sparrow", "spring", "thistle", "valley", "willow", "wren",
	}
	return fmt.Sprintf("%s-%s-%d",
		adjectives[mathrand.IntN(len(adjectives))], nouns[mathrand.IntN(len(nouns))], mathrand.IntN(1000))
}
