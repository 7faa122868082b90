package grpcserve

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

// readConfig reads a ModelConfigResponse.
func readConfig(b []byte, m *oip.ModelConfig) error {
	return fields(b, func(f *field) error {
		if f.num != 1 {
			return nil
		}
		return f.nested(func(f *field) error { return readConfigField(f, m) })
	})
}

func readConfigField(f *field, m *oip.ModelConfig) error {
	switch f.num {
	case 1:
		return f.text(&m.Name)
	case 2:
		return f.text(&m.Platform)
	case 17:
		return f.text(&m.Backend)
	case 4:
		m.MaxBatchSize = int32(f.n)
		return f.want(protowire.VarintType)
	case 5:
		return readTensorConfig(f, 4, &m.Inputs)
	case 6:
		return readTensorConfig(f, 3, &m.Outputs)
	case 11:
		m.DynamicBatching = &oip.DynamicBatching{}
		return f.nested(func(f *field) error { return readBatching(f, m.DynamicBatching) })
	case 14:
		return readConfigParameter(f, m)
	}
	return nil
}

// readTensorConfig reads a ModelInput or a ModelOutput, whose dims are in another
// field each.
func readTensorConfig(f *field, dims protowire.Number, list *[]oip.TensorConfig) error {
	t := oip.TensorConfig{Dims: []int64{}, DataType: oip.Datatype("").ConfigName()}
	err := f.nested(func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&t.Name)
		case 2:
			if f.n < uint64(len(configTypes)) {
				t.DataType = configTypes[f.n].ConfigName()
			}
			return f.want(protowire.VarintType)
		case dims:
			return f.shape(&t.Dims)
		}
		return nil
	})
	*list = append(*list, t)
	return err
}

func readBatching(f *field, d *oip.DynamicBatching) error {
	switch f.num {
	case 1:
		var sizes []int64
		err := f.shape(&sizes)
		for _, n := range sizes {
			d.PreferredBatchSize = append(d.PreferredBatchSize, int32(n))
		}
		return err
	case 2:
		d.MaxQueueDelay = f.n
		return f.want(protowire.VarintType)
	}
	return nil
}

func readConfigParameter(f *field, m *oip.ModelConfig) error {
	var name string
	var p oip.ParameterConfig
	err := f.nested(func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&name)
		case 2:
			return f.nested(func(f *field) error {
				if f.num == 1 {
					return f.text(&p.StringValue)
				}
				return nil
			})
		}
		return nil
	})
	if m.Parameters == nil {
		m.Parameters = make(map[string]oip.ParameterConfig)
	}
	m.Parameters[name] = p
	return err
}

// appendConfig appends a ModelConfigResponse.
func appendConfig(b []byte, m *oip.ModelConfig) []byte {
	return appendNested(b, 1, func(b []byte) []byte {
		b = appendText(appendText(b, 1, m.Name), 2, m.Platform)
		b = appendNumber(b, 4, uint64(m.MaxBatchSize))
		for _, t := range m.Inputs {
			b = appendTensorConfig(b, 5, 4, &t)
		}
		for _, t := range m.Outputs {
			b = appendTensorConfig(b, 6, 3, &t)
		}
		if d := m.DynamicBatching; d != nil {
			b = appendNested(b, 11, func(b []byte) []byte {
				b = appendPacked(b, 1, len(d.PreferredBatchSize), func(i int) uint64 { return uint64(d.PreferredBatchSize[i]) })
				return appendNumber(b, 2, d.MaxQueueDelay)
			})
		}
		for _, k := range slices.Sorted(maps.Keys(m.Parameters)) {
			b = appendNested(b, 14, func(b []byte) []byte {
				b = appendText(b, 1, k)
				return appendNested(b, 2, func(b []byte) []byte { return appendText(b, 1, m.Parameters[k].StringValue) })
			})
		}
		return appendText(b, 17, m.Backend)
	})
}

func appendTensorConfig(b []byte, num, dims protowire.Number, t *oip.TensorConfig) []byte {
	return appendNested(b, num, func(b []byte) []byte {
		b = appendText(b, 1, t.Name)
		for n, d := range configTypes {
			if d.ConfigName() == t.DataType {
				b = appendNumber(b, 2, uint64(n))
			}
		}
		return appendPacked(b, dims, len(t.Dims), func(i int) uint64 { return uint64(t.Dims[i]) })
	})
}
