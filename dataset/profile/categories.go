package profile

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Sizes of the category counter: how many categories it counts at most, and
// how many it keeps when it has to make room.
const (
	maxCategories  = 1024
	keepCategories = 512
	maxCategoryLen = 256 // Bytes.
)

// categories counts strings. It is exact up to maxCategories different ones;
// then it forgets rare ones by the method of Misra and Gries (1982), in the
// mergeable form of Agarwal et al., "Mergeable Summaries" (2012): it subtracts
// the same amount from every counter and drops those that reach zero. Each
// subtraction takes its amount off more than keepCategories counters, so all
// subtractions together never exceed rows/(keepCategories+1). (Space-Saving
// keeps the same information: its counts are these plus what was subtracted.)
// The zero value is ready.
type categories struct {
	counts map[string]*uint64
	lost   uint64 // What was subtracted from every counter so far.
	hll    hll    // Counts different values from the first subtraction on.
}

// category returns the text under which s is counted: itself if that is short
// and valid, so that no single value can fill the memory and that a profile
// survives a round trip through JSON.
func category(s string) string {
	if len(s) > maxCategoryLen {
		digest := hashString(s)
		s = s[:maxCategoryLen-20]
		for i := 1; i < utf8.UTFMax && i < len(s); i++ {
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n > 1 {
				break
			}
			s = s[:len(s)-1] // The cut fell inside a character.
		}
		s += "…" + strconv.FormatUint(digest, 16)
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

func (s *categories) add(text string) {
	p := s.counts[text]
	if p == nil {
		text = category(text)
	}
	if s.hll.registers != nil {
		s.hll.add(hashString(text))
	}
	if p != nil {
		*p++
		return
	}
	s.count(text, 1)
	s.shrink()
}

func (s *categories) count(text string, n uint64) {
	if p := s.counts[text]; p != nil {
		*p += n
		return
	}
	if s.counts == nil {
		s.counts = make(map[string]*uint64)
	}
	p := new(uint64) // Not &n, which would make every call allocate.
	*p = n
	// The caller's string may be a view of a large buffer.
	s.counts[strings.Clone(text)] = p
}

func (s *categories) shrink() {
	if len(s.counts) <= maxCategories {
		return
	}
	s.startDistinct()
	all := make([]uint64, 0, len(s.counts))
	for _, p := range s.counts {
		all = append(all, *p)
	}
	slices.Sort(all)
	amount := all[len(all)-1-keepCategories]
	s.lost += amount
	for text, p := range s.counts {
		if *p <= amount {
			delete(s.counts, text)
			continue
		}
		*p -= amount
	}
}

// startDistinct begins to estimate how many different values there are. It is
// called before the first one is forgotten.
func (s *categories) startDistinct() {
	if s.hll.registers != nil {
		return
	}
	for text := range s.counts {
		s.hll.add(hashString(text))
	}
}

func (s *categories) merge(o *categories) {
	if o.hll.registers != nil {
		s.startDistinct()
		s.hll.merge(&o.hll)
	} else if s.hll.registers != nil {
		for text := range o.counts {
			s.hll.add(hashString(text))
		}
	}
	for text, p := range o.counts {
		s.count(text, *p)
	}
	s.lost += o.lost
	s.shrink()
}

func (s *categories) distinct() uint64 {
	if s.hll.registers == nil {
		return uint64(len(s.counts))
	}
	return max(s.hll.estimate(), maxCategories+1)
}

func (s *categories) top(k int) []Category {
	all := make([]Category, 0, len(s.counts))
	for text, p := range s.counts {
		all = append(all, Category{text, *p})
	}
	slices.SortFunc(all, func(a, b Category) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return all[:max(0, min(k, len(all)))]
}

// hashString hashes eight bytes at a time. It does not depend on the process,
// as counters of several processes are merged.
func hashString(s string) uint64 {
	const k0, k1 = 0x9e3779b97f4a7c15, 0xa0761d6478bd642f
	h := uint64(len(s)) * k0
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = fold(h^w, k1) ^ w
		s = s[8:]
	}
	var tail [8]byte
	copy(tail[:], s)
	return mix(fold(h^binary.LittleEndian.Uint64(tail[:]), k1) ^ h)
}
