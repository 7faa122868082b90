package grpcserve

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

// named is each of the requests that name a model and a version.
type named struct{ name, version string }

func (n *named) read(b []byte) error {
	*n = named{}
	return fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&n.name)
		case 2:
			return f.text(&n.version)
		}
		return nil
	})
}

func (n *named) append(b []byte) []byte { return appendText(appendText(b, 1, n.name), 2, n.version) }

// flag is each of the answers that are one bool.
type flag bool

func (v *flag) read(b []byte) error {
	*v = false
	return fields(b, func(f *field) error {
		if f.num == 1 {
			return f.flag((*bool)(v))
		}
		return nil
	})
}

func readServer(b []byte, m *oip.ServerMetadata) error {
	return fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&m.Name)
		case 2:
			return f.text(&m.Version)
		case 3:
			var s string
			err := f.text(&s)
			m.Extensions = append(m.Extensions, s)
			return err
		}
		return nil
	})
}

func appendServer(b []byte, m *oip.ServerMetadata) []byte {
	b = appendText(appendText(b, 1, m.Name), 2, m.Version)
	for _, s := range m.Extensions {
		b = protowire.AppendString(protowire.AppendTag(b, 3, protowire.BytesType), s)
	}
	return b
}

func readModel(b []byte, m *oip.ModelMetadata) error {
	return fields(b, func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&m.Name)
		case 2:
			var s string
			err := f.text(&s)
			m.Versions = append(m.Versions, s)
			return err
		case 3:
			return f.text(&m.Platform)
		case 4:
			return readTensorMetadata(f, &m.Inputs)
		case 5:
			return readTensorMetadata(f, &m.Outputs)
		}
		return nil
	})
}

func readTensorMetadata(f *field, list *[]oip.TensorMetadata) error {
	t := oip.TensorMetadata{Shape: []int64{}}
	err := f.nested(func(f *field) error {
		switch f.num {
		case 1:
			return f.text(&t.Name)
		case 2:
			var s string
			err := f.text(&s)
			t.Datatype = datatype(s)
			return err
		case 3:
			return f.shape(&t.Shape)
		}
		return nil
	})
	*list = append(*list, t)
	return err
}

func appendModel(b []byte, m *oip.ModelMetadata) []byte {
	b = appendText(b, 1, m.Name)
	for _, v := range m.Versions {
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), v)
	}
	b = appendText(b, 3, m.Platform)
	for num, list := range [][]oip.TensorMetadata{m.Inputs, m.Outputs} {
		for i := range list {
			t := &list[i]
			b = appendNested(b, protowire.Number(num)+4, func(b []byte) []byte {
				b = appendText(appendText(b, 1, t.Name), 2, string(t.Datatype))
				return appendPacked(b, 3, len(t.Shape), func(i int) uint64 { return uint64(t.Shape[i]) })
			})
		}
	}
	return b
}

func readIndex(b []byte, list *[]oip.ModelIndex) error {
	return fields(b, func(f *field) error {
		if f.num != 1 {
			return nil
		}
		var m oip.ModelIndex
		err := f.nested(func(f *field) error {
			switch f.num {
			case 1:
				return f.text(&m.Name)
			case 2:
				return f.text(&m.Version)
			case 3:
				return f.text(&m.State)
			case 4:
				return f.text(&m.Reason)
			}
			return nil
		})
		*list = append(*list, m)
		return err
	})
}

func appendIndex(b []byte, list []oip.ModelIndex) []byte {
	for _, m := range list {
		b = appendNested(b, 1, func(b []byte) []byte {
			b = appendText(appendText(b, 1, m.Name), 2, m.Version)
			return appendText(appendText(b, 3, m.State), 4, m.Reason)
		})
	}
	return b
}

// change is a RepositoryModelLoadRequest or a RepositoryModelUnloadRequest.
type change struct {
	model      string
	parameters map[string]any
}

func (c *change) read(b []byte) error {
	*c = change{}
	return fields(b, func(f *field) error {
		switch f.num {
		case 2:
			return f.text(&c.model)
		case 3:
			return f.parameter(&c.parameters)
		}
		return nil
	})
}

func (c *change) append(b []byte) ([]byte, error) {
	return appendParameters(appendText(b, 2, c.model), 3, c.parameters)
}

// configTypes are the datatypes by their number in a model configuration.
var configTypes = [...]oip.Datatype{
	"", oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64,
	oip.FP16, oip.FP32, oip.FP64, oip.BYTES, oip.BF16,
}
