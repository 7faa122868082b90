package monitor

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPendingAgainstAMap runs random operations on the table and on a map.
func TestPendingAgainstAMap(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 3, 1000, 1024, 1500} {
		p := newPending(limit)
		rng := rand.New(rand.NewPCG(uint64(limit), 1))
		known := map[ID]float64{}
		var order []ID
		for range 5_000 {
			var id ID
			binary.BigEndian.PutUint64(id[:], rng.Uint64N(uint64(3*limit)))
			e := p.find(&id, p.hash(&id))
			score, ok := known[id]
			require.Equal(t, ok, e != nil)
			switch {
			case e != nil:
				require.Equal(t, score, e.score)
			case rng.IntN(4) == 0 && len(order) > 0 || len(order) == limit:
				require.Equal(t, order[0], p.oldest().id)
				p.drop()
				delete(known, order[0])
				order = slices.Delete(order, 0, 1)
			default:
				known[id] = rng.Float64()
				order = append(order, id)
				p.touch([]uint32{p.hash(&id)})
				p.put(&entry{id: id, score: known[id]}, p.hash(&id))
			}
			require.Equal(t, len(order), p.n)
		}
	}
}
