package webhook_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/registry/webhook"
)

// BenchmarkDeliver is from the change of a model to the receiver, one change
// after the other, and many at once for the rate.
func BenchmarkDeliver(b *testing.B) {
	start := func(b *testing.B) (*receiver, func(name string)) {
		s, _ := openStore(b)
		h := newHooks(b, s, local())
		to := receive(b, nil)
		_, err := h.Create(b.Context(), draft(to.URL, webhook.ModelCreated))
		require.NoError(b, err)
		require.NoError(b, h.Start())
		return to, func(name string) { model(b, s, name) }
	}
	b.Run("Latency", func(b *testing.B) {
		to, change := start(b)
		for n := 0; b.Loop(); n++ {
			change(fmt.Sprintf("m-%d", n))
			to.await(b, n+1)
		}
	})
	b.Run("Rate", func(b *testing.B) {
		to, change := start(b)
		for n := range b.N {
			change(fmt.Sprintf("m-%d", n))
		}
		to.await(b, b.N)
	})
}

func BenchmarkSign(b *testing.B) {
	body := make([]byte, 400)
	b.ReportAllocs()
	for b.Loop() {
		webhook.Sign("secret", "0123456789abcdef", "1700000000", body)
	}
}
