package monitor_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millwright-ml/millwright/dataset/profile"
	"github.com/millwright-ml/millwright/monitor"
)

// mixed has numeric features and categorical ones with values of all kinds.
func mixed(t testing.TB, numeric, categorical []string) *profile.Reference {
	t.Helper()
	var features []profile.Feature
	for _, name := range numeric {
		var c profile.Column
		for i := range 300 {
			c.AddFloat(float64(i))
		}
		features = append(features, profile.Feature{Name: name, Bins: c.Bins(0)})
	}
	for _, name := range categorical {
		var c profile.Column
		for i, s := range []string{"red", "true", "7", "2.5", "-3"} {
			for range 5 - i {
				c.AddString(s)
			}
		}
		features = append(features, profile.Feature{Name: name, Bins: c.Bins(0)})
	}
	ref := profile.NewReference(features, nil)
	row := make([]float64, len(features))
	for range 100 {
		require.NoError(t, ref.Observe(row, 0))
	}
	return ref
}

type base struct {
	Age   *int `monitor:"age"`
	Shade string
	Shown bool `monitor:"hidden"`
}

type order struct {
	base
	Amount  float64  `monitor:"amount"`
	Small   float32  `monitor:"small"`
	Count   uint8    `monitor:"count"`
	Big     uint64   `monitor:"big"`
	Flag    bool     `monitor:"flag"`
	Level   int      `monitor:"level"`
	Rate    *float64 `monitor:"rate"`
	Deep    **int32  `monitor:"deep"`
	Code    []byte   `monitor:"code"`
	Note    string   `monitor:"-"`
	Hidden  float64  `monitor:"hidden"` // Hides that of base.
	private int8
	Ignored map[string]int
}

func TestStructEncoder(t *testing.T) {
	t.Parallel()
	ref := mixed(t, []string{"amount", "small", "count", "big", "age", "deep", "hidden", "private"}, []string{"Shade", "flag", "level", "rate", "code"})
	m := newMonitor(t, ref, nil)
	enc, err := monitor.NewStructEncoder[order](m)
	require.NoError(t, err)
	three, rate := int32(3), 2.5
	deep := &three
	o := order{
		base: base{Shade: "red"}, Amount: 1.5, Small: 0.5, Count: 200, Big: 1 << 40, Flag: true,
		Level: -3, Rate: &rate, Deep: &deep, Code: []byte("7"), Hidden: 9, private: -8,
	}
	row := enc.Encode(nil, &o)
	require.True(t, math.IsNaN(row[4]), "a nil pointer is a missing value")
	row[4] = 0
	require.Equal(t, []float64{1.5, 0.5, 200, 1 << 40, 0, 3, 9, -8, 0, 1, 4, 3, 2}, row)
	age := 41
	o.Age, o.Rate, o.Deep, o.Flag = &age, nil, nil, false
	row = enc.Encode(row, &o)
	require.Equal(t, 41.0, row[4])
	require.True(t, math.IsNaN(row[5]) && math.IsNaN(row[11]))
	require.Equal(t, 5.0, row[9], "an unseen category")
	require.Nil(t, enc.Encode(row, nil))

	enc.Observe(&o, 0.5, monitor.ID{})
	require.EqualValues(t, 1, m.Snapshot().Predictions)
	require.NoError(t, m.Reset(mixed(t, []string{"amount"}, []string{"flag"}), "2"))
	require.Equal(t, []float64{1.5, 5}, enc.Encode(nil, &o), "it follows the reference")
	require.NoError(t, m.Reset(mixed(t, []string{"new"}, nil), "3"))
	enc.Observe(&o, 0.5, monitor.ID{})
	s := m.Snapshot()
	require.EqualValues(t, 1, s.Predictions)
	require.EqualValues(t, 1, s.Schema.Mismatched)
}

func TestStructEncoderReportsEveryFault(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, mixed(t, []string{"Shade", "nowhere", "Ignored"}, nil), nil)
	_, err := monitor.NewStructEncoder[order](m)
	require.ErrorIs(t, err, monitor.ErrInvalid)
	require.EqualError(t, err, `monitor: struct encoder of monitor_test.order: feature "Shade" is numeric, its field is text; `+
		`feature "nowhere" has no field; feature "Ignored" has no field: invalid`)
	_, err = monitor.NewStructEncoder[int](m)
	require.ErrorContains(t, err, "it is not a struct")
	_, err = monitor.NewStructEncoder[order](nil)
	require.ErrorIs(t, err, monitor.ErrInvalid)
	_, err = monitor.NewMapEncoder(nil)
	require.ErrorIs(t, err, monitor.ErrInvalid)
}

func TestMapEncoder(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, mixed(t, []string{"a", "b", "c"}, []string{"k", "l"}), nil)
	enc, err := monitor.NewMapEncoder(m)
	require.NoError(t, err)
	for _, c := range []struct {
		value    any
		number   float64
		category float64
	}{
		{1.5, 1.5, 5}, {2.5, 2.5, 3}, {float32(2.5), 2.5, 3}, {7, 7, 2}, {int64(7), 7, 2}, {int32(-3), -3, 4}, {int16(7), 7, 2}, {int8(7), 7, 2},
		{uint(7), 7, 2}, {uint64(7), 7, 2}, {uint32(7), 7, 2}, {uint16(7), 7, 2}, {uint8(7), 7, 2}, {true, 1, 1}, {false, 0, 5},
		{json.Number("7"), 7, 2}, {json.Number("1e999"), math.Inf(1), 5},
	} {
		row := enc.Encode(nil, map[string]any{"a": c.value, "b": 1, "c": 1, "k": c.value, "l": "red"})
		require.Equal(t, []float64{c.number, 1, 1, c.category, 0}, row, "%T %v", c.value, c.value)
	}
	require.Zero(t, m.Snapshot().Schema)
	row := enc.Encode(nil, map[string]any{"a": nil, "b": "text", "c": json.Number("x"), "k": []byte("true"), "other": 1})
	require.Equal(t, 1.0, row[3])
	require.True(t, math.IsNaN(row[0]) && math.IsNaN(row[1]) && math.IsNaN(row[2]) && math.IsNaN(row[4]))
	enc.Observe(map[string]any{"a": []int{1}, "b": 1, "c": 1, "k": struct{}{}, "l": nil}, 0.5, monitor.ID{})
	s := m.Snapshot()
	require.Equal(t, monitor.SchemaCounts{Absent: 1, Mistyped: 4, Unknown: 1}, s.Schema)
	require.EqualValues(t, 1, s.Predictions)
}

func TestEncodersAllocateNothing(t *testing.T) {
	m := newMonitor(t, mixed(t, []string{"amount", "small", "count"}, []string{"Shade", "flag", "level", "rate"}), nil)
	structs, err := monitor.NewStructEncoder[order](m)
	require.NoError(t, err)
	maps, err := monitor.NewMapEncoder(m)
	require.NoError(t, err)
	rate := 0.25
	o := order{base: base{Shade: "red"}, Level: 12, Rate: &rate}
	v := map[string]any{"amount": 1.5, "small": 3, "count": 1, "Shade": "red", "flag": true, "level": 7, "rate": 2.5}
	for range 1000 {
		structs.Observe(&o, 0.5, monitor.ID{})
		maps.Observe(v, 0.5, monitor.ID{})
	}
	require.Zero(t, testing.AllocsPerRun(500, func() { structs.Observe(&o, 0.5, monitor.ID{}) }))
	require.Zero(t, testing.AllocsPerRun(500, func() { maps.Observe(v, 0.5, monitor.ID{}) }))
}
