package grpcserve

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millwright-ml/millwright/serve/oip"
)

// readStatistics reads a ModelStatisticsResponse.
func readStatistics(b []byte, s *oip.Statistics) error {
	return fields(b, func(f *field) error {
		if f.num != 1 {
			return nil
		}
		var m oip.ModelStatistics
		err := f.nested(func(f *field) error { return readModelStatistics(f, &m) })
		s.Models = append(s.Models, m)
		return err
	})
}

func readModelStatistics(f *field, m *oip.ModelStatistics) error {
	switch f.num {
	case 1:
		return f.text(&m.Name)
	case 2:
		return f.text(&m.Version)
	case 3:
		m.LastInference = f.n
		return f.want(protowire.VarintType)
	case 4:
		m.InferenceCount = f.n
		return f.want(protowire.VarintType)
	case 5:
		m.ExecutionCount = f.n
		return f.want(protowire.VarintType)
	case 6:
		return f.nested(func(f *field) error {
			if i := int(f.num) - 1; i < len(steps(&m.Inference)) && i >= 0 {
				return f.duration(steps(&m.Inference)[i])
			}
			return nil
		})
	case 7:
		var s oip.BatchStatistics
		err := f.nested(func(f *field) error {
			switch f.num {
			case 1:
				s.BatchSize = f.n
				return f.want(protowire.VarintType)
			case 2:
				return f.duration(&s.ComputeInput)
			case 3:
				return f.duration(&s.ComputeInfer)
			case 4:
				return f.duration(&s.ComputeOutput)
			}
			return nil
		})
		m.Batches = append(m.Batches, s)
		return err
	case 8:
		var u oip.MemoryUsage
		err := f.nested(func(f *field) error {
			switch f.num {
			case 1:
				return f.text(&u.Type)
			case 2:
				u.ID = int64(f.n)
				return f.want(protowire.VarintType)
			case 3:
				u.Bytes = f.n
				return f.want(protowire.VarintType)
			}
			return nil
		})
		m.Memory = append(m.Memory, u)
		return err
	}
	return nil
}

// steps are the fields of an InferStatistics by their numbers, from 1.
func steps(s *oip.InferStatistics) [8]*oip.DurationStatistic {
	return [...]*oip.DurationStatistic{
		&s.Success, &s.Fail, &s.Queue, &s.ComputeInput, &s.ComputeInfer, &s.ComputeOutput, &s.CacheHit, &s.CacheMiss,
	}
}

// duration reads a StatisticDuration.
func (f *field) duration(d *oip.DurationStatistic) error {
	return f.nested(func(f *field) error {
		switch f.num {
		case 1:
			d.Count = f.n
			return f.want(protowire.VarintType)
		case 2:
			d.Nanoseconds = f.n
			return f.want(protowire.VarintType)
		}
		return nil
	})
}

func appendDuration(b []byte, num protowire.Number, d *oip.DurationStatistic) []byte {
	return appendNested(b, num, func(b []byte) []byte {
		return appendNumber(appendNumber(b, 1, d.Count), 2, d.Nanoseconds)
	})
}

// appendStatistics appends a ModelStatisticsResponse.
func appendStatistics(b []byte, s *oip.Statistics) []byte {
	for i := range s.Models {
		m := &s.Models[i]
		b = appendNested(b, 1, func(b []byte) []byte {
			b = appendText(appendText(b, 1, m.Name), 2, m.Version)
			b = appendNumber(b, 3, m.LastInference)
			b = appendNumber(b, 4, m.InferenceCount)
			b = appendNumber(b, 5, m.ExecutionCount)
			b = appendNested(b, 6, func(b []byte) []byte {
				for i, d := range steps(&m.Inference) {
					b = appendDuration(b, protowire.Number(i)+1, d)
				}
				return b
			})
			for _, s := range m.Batches {
				b = appendNested(b, 7, func(b []byte) []byte {
					b = appendNumber(b, 1, s.BatchSize)
					b = appendDuration(b, 2, &s.ComputeInput)
					b = appendDuration(b, 3, &s.ComputeInfer)
					return appendDuration(b, 4, &s.ComputeOutput)
				})
			}
			for _, u := range m.Memory {
				b = appendNested(b, 8, func(b []byte) []byte {
					return appendNumber(appendNumber(appendText(b, 1, u.Type), 2, uint64(u.ID)), 3, u.Bytes)
				})
			}
			return b
		})
	}
	return b
}
