package grpcserve_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/millwright-ml/millwright/serve/grpcserve"
	"github.com/millwright-ml/millwright/serve/oip"
)

// schema is proto/inference.proto, as protoc has compiled it:
//
//	protoc -I proto --descriptor_set_out=testdata/inference.binpb inference.proto
func schema(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	b, err := os.ReadFile("testdata/inference.binpb")
	require.NoError(t, err)
	var set descriptorpb.FileDescriptorSet
	require.NoError(t, proto.Unmarshal(b, &set))
	// Of its own, and not in the table of all names.
	files, err := protodesc.NewFiles(&set)
	require.NoError(t, err)
	f, err := files.FindFileByPath("inference.proto")
	require.NoError(t, err)
	return f
}

// dynamic returns a message of the protobuf library.
func dynamic(f protoreflect.FileDescriptor, name protoreflect.Name) *dynamicpb.Message {
	return dynamicpb.NewMessage(f.Messages().ByName(name))
}

// What protoc has compiled is what the file says.
func TestSchemaIsTheFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("proto/inference.proto")
	require.NoError(t, err)
	want := map[string]int{}
	for _, m := range regexp.MustCompile(`(\w+) = (\d+);`).FindAllStringSubmatch(string(text), -1) {
		want[m[1]+" "+m[2]]++
	}
	got := map[string]int{}
	var walk func(list protoreflect.MessageDescriptors)
	walk = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			m := list.Get(i)
			if m.IsMapEntry() {
				continue
			}
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				got[string(f.Name())+" "+strconv.Itoa(int(f.Number()))]++
			}
			walk(m.Messages())
		}
	}
	f := schema(t)
	walk(f.Messages())
	values := f.Enums().Get(0).Values()
	for i := range values.Len() {
		got[string(values.Get(i).Name())+" "+strconv.Itoa(int(values.Get(i).Number()))]++
	}
	require.Equal(t, want, got)
	require.Equal(t, grpcserve.ServiceName, string(f.Services().Get(0).FullName()))
}

// both reads the text with the protobuf library and returns what that writes.
func both(t *testing.T, m *dynamicpb.Message, text []byte) []byte {
	t.Helper()
	require.NoError(t, proto.Unmarshal(text, m))
	require.Empty(t, unknown(m), "fields that the file does not have")
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	require.NoError(t, err)
	return again
}

// unknown collects the unknown fields of a message and those in it.
func unknown(m protoreflect.Message) (b []byte) {
	b = append(b, m.GetUnknown()...)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				b = append(b, unknown(v.Message())...)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				b = append(b, unknown(v.List().Get(i).Message())...)
			}
		case !f.IsList() && f.Message() != nil:
			b = append(b, unknown(v.Message())...)
		}
		return true
	})
	return b
}

var parameters = map[string]any{"b": true, "off": false, "i": int64(-7), "zero": int64(0), "s": "é", "empty": "", "f": math.Pi, "u": uint64(math.MaxUint64)}

// The protobuf library reads what this package writes, and this package what the
// library writes.
func TestMessagesAreProtobuf(t *testing.T) {
	t.Parallel()
	f := schema(t)
	list := all()
	list[0].Parameters = parameters
	list = append(list, oip.NewFP32("none", []int64{0, 3}, nil), oip.NewFP64("scalar", []int64{}, []float64{0}))
	for _, withRaw := range []bool{false, true} {
		if withRaw {
			list = append(list, oip.NewFP16("f16", []int64{1}, []uint16{0x3c00}), oip.NewBF16("bf16", []int64{1}, []uint16{0x3f80}))
		}
		req := &oip.InferRequest{ID: "id", Parameters: parameters, Inputs: list,
			Outputs: []oip.RequestedOutput{{Name: "y"}, {Name: "z", Parameters: parameters}}}
		text, err := grpcserve.AppendRequest(nil, "m", "2", req, withRaw)
		require.NoError(t, err)
		model, version, got, err := grpcserve.ReadInfer(both(t, dynamic(f, "ModelInferRequest"), text), nil)
		require.NoError(t, err)
		require.Equal(t, "m", model)
		require.Equal(t, "2", version)
		require.Equal(t, req.ID, got.ID)
		require.Equal(t, req.Parameters, got.Parameters)
		require.Equal(t, req.Outputs, got.Outputs)
		same(t, list, got.Inputs)

		text, err = grpcserve.AppendResponse(nil, &oip.InferResponse{ModelName: "m", ModelVersion: "2", ID: "id", Parameters: parameters, Outputs: list}, withRaw)
		require.NoError(t, err)
		resp, err := grpcserve.ReadResponse(both(t, dynamic(f, "ModelInferResponse"), text), nil)
		require.NoError(t, err)
		require.Equal(t, "m2id", resp.ModelName+resp.ModelVersion+resp.ID)
		require.Equal(t, parameters, resp.Parameters)
		same(t, list, resp.Outputs)
	}
}

func same(t *testing.T, want, got []oip.Tensor) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.NoError(t, got[i].Check())
		require.Equal(t, want[i].Name, got[i].Name)
		require.Equal(t, want[i].Datatype, got[i].Datatype)
		require.Equal(t, want[i].Shape, got[i].Shape)
		require.Equal(t, want[i].Parameters, got[i].Parameters)
		require.Equal(t, oip.AppendRaw(nil, &want[i]), oip.AppendRaw(nil, &got[i]))
	}
}

func TestAdminMessagesAreProtobuf(t *testing.T) {
	t.Parallel()
	f := schema(t)
	server := oip.ServerMetadata{Name: "n", Version: "v", Extensions: []string{"a", "", "b"}}
	var server2 oip.ServerMetadata
	require.NoError(t, grpcserve.ReadServer(both(t, dynamic(f, "ServerMetadataResponse"), grpcserve.AppendServer(nil, &server)), &server2))
	require.Equal(t, server, server2)

	model := oip.ModelMetadata{Name: "n", Versions: []string{"1", "2"}, Platform: "p",
		Inputs:  []oip.TensorMetadata{{Name: "x", Datatype: oip.FP16, Shape: []int64{-1, 4}}, {Name: "y", Datatype: oip.BYTES, Shape: []int64{}}},
		Outputs: []oip.TensorMetadata{{Name: "z", Datatype: oip.FP32, Shape: []int64{0}}}}
	var model2 oip.ModelMetadata
	require.NoError(t, grpcserve.ReadModel(both(t, dynamic(f, "ModelMetadataResponse"), grpcserve.AppendModel(nil, &model)), &model2))
	require.Equal(t, model, model2)

	config := oip.ModelConfig{Name: "n", Platform: "p", Backend: "b", MaxBatchSize: 8,
		DynamicBatching: &oip.DynamicBatching{PreferredBatchSize: []int32{4, 8}, MaxQueueDelay: 100},
		Parameters:      map[string]oip.ParameterConfig{"k": {StringValue: "v"}, "e": {}}}
	for _, d := range []oip.Datatype{oip.BOOL, oip.UINT8, oip.UINT16, oip.UINT32, oip.UINT64, oip.INT8, oip.INT16, oip.INT32, oip.INT64, oip.FP16, oip.FP32, oip.FP64, oip.BYTES, oip.BF16} {
		config.Inputs = append(config.Inputs, oip.TensorConfig{Name: string(d), DataType: d.ConfigName(), Dims: []int64{-1, 2}})
	}
	config.Outputs = []oip.TensorConfig{{Name: "y", DataType: "TYPE_FP64", Dims: []int64{}}}
	var config2 oip.ModelConfig
	require.NoError(t, grpcserve.ReadConfig(both(t, dynamic(f, "ModelConfigResponse"), grpcserve.AppendConfig(nil, &config)), &config2))
	require.Equal(t, config, config2)

	of := func(n uint64) oip.DurationStatistic { return oip.DurationStatistic{Count: n, Nanoseconds: n * 100} }
	stats := oip.Statistics{Models: []oip.ModelStatistics{{Name: "n", Version: "1", LastInference: 1, InferenceCount: 2, ExecutionCount: 3,
		Inference: oip.InferStatistics{Success: of(1), Fail: of(2), Queue: of(3), ComputeInput: of(4), ComputeInfer: of(5), ComputeOutput: of(6), CacheHit: of(7), CacheMiss: of(8)},
		Batches:   []oip.BatchStatistics{{BatchSize: 4, ComputeInput: of(1), ComputeInfer: of(2), ComputeOutput: of(3)}},
		Memory:    []oip.MemoryUsage{{Type: "GPU", ID: 1, Bytes: 99}}}, {Name: "zero"}}}
	var stats2 oip.Statistics
	require.NoError(t, grpcserve.ReadStatistics(both(t, dynamic(f, "ModelStatisticsResponse"), grpcserve.AppendStatistics(nil, &stats)), &stats2))
	require.Equal(t, stats, stats2)

	index := []oip.ModelIndex{{Name: "a", Version: "1", State: "READY", Reason: "r"}, {}}
	var index2 []oip.ModelIndex
	require.NoError(t, grpcserve.ReadIndex(both(t, dynamic(f, "RepositoryIndexResponse"), grpcserve.AppendIndex(nil, index)), &index2))
	require.Equal(t, index, index2)
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	x := oip.NewFP32("x", []int64{2}, []float32{1, 2})
	good, err := grpcserve.AppendRequest(nil, "m", "", &oip.InferRequest{Inputs: []oip.Tensor{x}}, true)
	require.NoError(t, err)
	contents, err := grpcserve.AppendRequest(nil, "m", "", &oip.InferRequest{Inputs: []oip.Tensor{x}}, false)
	require.NoError(t, err)
	input := func(fields ...[]byte) []byte {
		var b []byte
		for _, f := range fields {
			b = append(b, f...)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), b)
	}
	text := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	dim := func(n uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), n)
	}
	for _, tc := range []struct {
		text []byte
		want string
	}{
		{append(text(7, "12345678"), good...), "raw_input_contents has 2 entries for 1 inputs, want one each"},
		{append(text(7, "12345678"), contents...), "it has contents and an entry in raw_input_contents"},
		{append(input(text(1, "x"), text(2, "FP32"), dim(2)), text(7, "1234567")...), "it is 7 but shape [2] needs 2 elements of 4 bytes"},
		{append(input(text(1, "x"), text(2, "FP32"), dim(1<<40), dim(1<<40)), text(7, "")...), "is too large"},
		{append(input(text(1, "x"), text(2, "FP32"), dim(math.MaxUint64)), text(7, "")...), "is too large"},
		{append(input(text(1, "x"), text(2, "NO"), dim(1)), text(7, "1234")...), `"NO" is not a datatype`},
		{input(text(1, "x"), text(2, "NO"), dim(1)), `"NO" is not a datatype`},
		{input(text(1, "x"), text(2, "FP16"), dim(1)), "has no form in contents"},
		{input(text(1, "x"), text(2, "INT8"), dim(1), text(5, "\x12\x02\x80\x01")), "out of the range"},
		{input(text(1, "x"), text(2, "INT8"), dim(1), text(5, "\x1a\x01\x01")), "INT8 is in field 2 of the contents, found field 3"},
		{input(text(1, "x"), text(2, "BOOL"), dim(9), text(5, "\x0a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01")), "more elements than"},
	} {
		_, _, _, err := grpcserve.ReadInfer(tc.text, &oip.Limits{Elements: 8})
		require.ErrorContains(t, err, tc.want)
		require.ErrorIs(t, err, grpcserve.ErrInvalid)
	}
	many := []byte{}
	for range 3 {
		many = append(many, input(text(1, "x"), text(2, "BOOL"))...)
	}
	_, _, _, err = grpcserve.ReadInfer(many, &oip.Limits{Tensors: 2})
	require.ErrorContains(t, err, "more than 2 tensors")
}

// library reads the text with the protobuf library, which panics when a map's
// entry has its value before its key and the message is a dynamic one.
func library(text []byte, m proto.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the library panicked: %v", p)
		}
	}()
	return proto.Unmarshal(text, m)
}

// FuzzReadInfer compares the decoder with the protobuf library.
func FuzzReadInfer(f *testing.F) {
	file := schema(f)
	for _, withRaw := range []bool{false, true} {
		text, err := grpcserve.AppendRequest(nil, "m", "2", &oip.InferRequest{ID: "a", Parameters: parameters, Inputs: all(), Outputs: []oip.RequestedOutput{{Name: "y"}}}, withRaw)
		require.NoError(f, err)
		f.Add(text)
		text, err = grpcserve.AppendRequest(nil, "m", "", &oip.InferRequest{Inputs: all()[9:10]}, withRaw)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("\"\x0e\n\x010\t00000000000"))
	f.Add([]byte{0x2b, 0x0a, 0x01, 'x', 0x2c})
	f.Add([]byte("\x2a\x0f\x0a\x01x\x12\x05INT32\x18\x01\x18\x02"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		model, version, got, err := grpcserve.ReadInfer(text, nil)
		require.Equal(t, before, string(text))
		m := dynamic(file, "ModelInferRequest")
		wantErr := library(text, m)
		if err != nil {
			return // It may be a request that means nothing.
		}
		for i := range got.Inputs {
			if got.Inputs[i].Name != "" && got.Inputs[i].Check() == nil {
				require.LessOrEqual(t, got.Inputs[i].Len(), 1<<24)
			}
		}
		if wantErr != nil {
			return // Of a field that is not used, as of any unknown one.
		}
		value := func(name protoreflect.Name) protoreflect.Value { return m.Get(m.Descriptor().Fields().ByName(name)) }
		require.Equal(t, value("model_name").String(), model)
		require.Equal(t, value("model_version").String(), version)
		require.Equal(t, value("id").String(), got.ID)
		require.Equal(t, value("inputs").List().Len(), len(got.Inputs))
		require.Equal(t, value("outputs").List().Len(), len(got.Outputs))
		for i := range got.Inputs {
			in := value("inputs").List().Get(i).Message()
			of := func(name protoreflect.Name) protoreflect.Value { return in.Get(in.Descriptor().Fields().ByName(name)) }
			require.Equal(t, of("name").String(), got.Inputs[i].Name)
			require.Equal(t, of("datatype").String(), string(got.Inputs[i].Datatype))
			require.Equal(t, of("shape").List().Len(), len(got.Inputs[i].Shape))
			if raw := value("raw_input_contents").List(); raw.Len() > 0 {
				require.Equal(t, raw.Get(i).Bytes(), append([]byte{}, oip.AppendRaw(nil, &got.Inputs[i])...))
			}
		}
	})
}
