package onnx

import (
	"fmt"

	"github.com/millwright-ml/millwright/internal/errs"
)

// maxProducts bounds the multiplications of one operator: two values that are
// within their own bounds may take hours to multiply.
const maxProducts = 1 << 33

// matmul multiplies tables as NumPy does: a row or a column in the place of a
// table, and stacks of tables that are stretched to each other.
func matmul(in []*value) (*value, error) {
	a, b := in[0], in[1]
	if len(a.shape) < 1 || len(b.shape) < 1 {
		return nil, fmt.Errorf("the shapes %v and %v: a number is no table: %w", a.shape, b.shape, errs.ErrInvalid)
	}
	left, right := a.shape, b.shape
	if len(left) == 1 {
		left = []int{1, left[0]}
	}
	if len(right) == 1 {
		right = []int{right[0], 1}
	}
	m, k, n := left[len(left)-2], left[len(left)-1], right[len(right)-1]
	stack, err := common(left[:len(left)-2], right[:len(right)-2])
	if err != nil || right[len(right)-2] != k {
		return nil, fmt.Errorf("the shapes %v and %v do not go together: %w", a.shape, b.shape, errs.ErrInvalid)
	}
	shape := append([]int{}, stack...)
	if len(a.shape) > 1 {
		shape = append(shape, m)
	}
	if len(b.shape) > 1 {
		shape = append(shape, n)
	}
	out, err := numbers(a.elem, shape...)
	if err != nil {
		return nil, err
	}
	if float64(len(out.num))*float64(k) > maxProducts {
		return nil, fmt.Errorf("the product of the shapes %v and %v takes more than %d multiplications: %w", a.shape, b.shape, maxProducts, errs.ErrInvalid)
	}
	if m*n == 0 {
		return out, nil
	}
	as, bs := strides(left[:len(left)-2], stack), strides(right[:len(right)-2], stack)
	at := make([]int, len(stack))
	for to := 0; to < len(out.num); to += m * n {
		x, y := 0, 0
		for i, p := range at {
			x += p * as[i]
			y += p * bs[i]
		}
		multiply(out.num[to:to+m*n], a.num[x*m*k:(x+1)*m*k], b.num[y*k*n:(y+1)*k*n], k, n)
		for i := len(at) - 1; i >= 0; i-- { // The next table of the stack.
			if at[i]++; at[i] < stack[i] {
				break
			}
			at[i] = 0
		}
	}
	return out.round(), nil
}

// multiply adds the product of a table of k columns and one of n columns to out.
func multiply(out, a, b []float64, k, n int) {
	for r := 0; r*n < len(out); r++ {
		row := out[r*n : (r+1)*n]
		for i := range k {
			x := a[r*k+i]
			for j, y := range b[i*n : (i+1)*n] {
				row[j] += x * y
			}
		}
	}
}
