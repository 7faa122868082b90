package drift

import "math"

// exactPairs is the N*M up to which p-values are exact: their cost grows with
// it, and the limit laws are close above.
const exactPairs = 10_000

// exactKolmogorov returns the probability that the two-sample distance is at
// least the one of these counts, over all ways to deal the rows out. It follows
// the rows in order: the mass that is at i rows of the smaller sample and has
// not been that far off yet.
func exactKolmogorov(ref, cur []uint64) float64 {
	a, b := ref, cur
	n, m := total(a), total(b)
	if n > m {
		a, b, n, m = b, a, m, n
	}
	apart := func(i, j uint64) uint64 { // |i/n - j/m| in units of 1/(n m).
		return max(i*m, j*n) - min(i*m, j*n)
	}
	var f, g, worst uint64
	for i := range a {
		f += a[i]
		g += b[i]
		worst = max(worst, apart(f, g))
	}
	if worst == 0 {
		return 1
	}
	var space [101]float64 // The smaller sample has at most the root of exactPairs.
	mass := space[:n+1]
	mass[0] = 1
	var p float64
	var t uint64
	for bin := range a {
		for range a[bin] + b[bin] {
			deal(mass, t, n, m)
			t++
		}
		for i := range mass {
			if v := mass[i]; v > 0 && apart(uint64(i), t-uint64(i)) >= worst {
				p += v
				mass[i] = 0
			}
		}
	}
	return min(p, 1)
}

// deal moves the mass over the (t+1)th of n+m rows, which belongs to the first
// sample with the share of it that is left.
func deal(mass []float64, t, n, m uint64) {
	left := float64(n + m - t)
	for i := int(min(t+1, n)); i >= 0; i-- {
		var v float64
		if j := t - uint64(i); uint64(i) <= t && j < m {
			v = mass[i] * float64(m-j) / left
		}
		if i > 0 {
			v += mass[i-1] * float64(n-uint64(i)+1) / left
		}
		mass[i] = v
	}
}

func total(counts []uint64) (rows uint64) {
	for _, c := range counts {
		rows += c
	}
	return rows
}

// exactCramerVonMises is the same for the statistic T, of rows without ties.
// score is the sum of the squared distances in units of 1/(n m) after each row.
func exactCramerVonMises(n, m, score uint64) float64 {
	if n > m {
		n, m = m, n
	}
	type mass struct {
		sum uint64
		p   float64
	}
	// The masses at i rows of the smaller sample, by ascending sum.
	at, next := make([][]mass, n+1), make([][]mass, n+1)
	at[0] = []mass{{0, 1}}
	var out float64
	for t := range n + m {
		left := float64(n + m - t)
		for i := range n + 1 {
			next[i] = next[i][:0]
			if i > t+1 || t+1-i > m {
				continue
			}
			j := t + 1 - i
			gap := max(i*m, j*n) - min(i*m, j*n)
			var stay, move []mass
			var byStay, byMove float64
			if j > 0 && i <= t {
				stay, byStay = at[i], float64(m-j+1)/left
			}
			if i > 0 {
				move, byMove = at[i-1], float64(n-i+1)/left
			}
			for len(stay) > 0 || len(move) > 0 {
				var v mass
				switch {
				case len(move) == 0 || len(stay) > 0 && stay[0].sum < move[0].sum:
					v, stay = mass{stay[0].sum, stay[0].p * byStay}, stay[1:]
				case len(stay) == 0 || move[0].sum < stay[0].sum:
					v, move = mass{move[0].sum, move[0].p * byMove}, move[1:]
				default:
					v = mass{stay[0].sum, stay[0].p*byStay + move[0].p*byMove}
					stay, move = stay[1:], move[1:]
				}
				if v.sum += gap * gap; v.sum >= score {
					out += v.p // Whatever follows, it is far enough.
				} else {
					next[i] = append(next[i], v)
				}
			}
		}
		at, next = next, at
	}
	return min(out, 1)
}

// exactMannWhitney returns the probability, over all ways to deal n+m rows
// without ties out, that more than half of the n*m pairs, at least won of them,
// are in favour of one sample; twice that is the two-sided p-value.
func exactMannWhitney(n, m, won uint64) float64 {
	if n > m {
		n, m = m, n
	}
	// Of i rows of one and j of the other sample the highest is one of the
	// other with probability j/(i+j), and then loses to nobody; else it wins j
	// pairs. rows[i] is the law of wins at the j that the loop has reached.
	rows := make([][]float64, n+1)
	for i := range rows {
		rows[i] = make([]float64, uint64(i)*m+1)
		rows[i][0] = 1
	}
	for j := uint64(1); j <= m; j++ {
		for i := uint64(1); i <= n; i++ {
			stay, move := float64(j)/float64(i+j), float64(i)/float64(i+j)
			law, less := rows[i], rows[i-1]
			for u := i * j; ; u-- {
				v := law[u] * stay
				if u >= j && u-j <= (i-1)*j {
					v += less[u-j] * move
				}
				law[u] = v
				if u == 0 {
					break
				}
			}
		}
	}
	var p float64
	for _, v := range rows[n][won:] {
		p += v
	}
	return math.Min(2*p, 1)
}
