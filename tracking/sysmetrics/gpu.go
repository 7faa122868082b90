package sysmetrics

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	smiTimeout   = 10 * time.Second
	maxSMIOutput = 1 << 20
	maxGPUs      = 1024
	// A program that fails so often in a row is not asked again.
	maxSMIFaults = 3
)

// smiQuery is what nvidia-smi is asked for, in the order of gpuFields.
const smiQuery = "index,utilization.gpu,memory.used,memory.total,power.draw,enforced.power.limit"

func findSMI(given string) string {
	switch given {
	case "-":
		return ""
	case "":
		path, err := exec.LookPath("nvidia-smi")
		if err != nil {
			return ""
		}
		return path
	}
	return given
}

// gpus adds the values of all GPUs.
func (s *sampler) gpus(ctx context.Context, values map[string]float64) error {
	if s.smi == "" || s.smiFaults >= maxSMIFaults {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, smiTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.smi, "--query-gpu="+smiQuery, "--format=csv,noheader,nounits")
	cmd.WaitDelay = time.Second
	var out, stderr bounded
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err == nil {
		err = parseGPUs(out.Bytes(), values)
	} else if text := strings.TrimSpace(stderr.String() + out.String()); text != "" {
		err = fmt.Errorf("%w: %.200s", err, text)
	}
	if err != nil {
		if s.smiFaults++; s.smiFaults == maxSMIFaults {
			err = fmt.Errorf("%s failed %d times in a row and is not asked again: %w", s.smi, maxSMIFaults, err)
		}
		return err
	}
	s.smiFaults = 0
	return nil
}

// bounded keeps the beginning of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxSMIOutput - b.Len(); room > 0 {
		_, _ = b.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// parseGPUs reads one line a GPU, like
//
//	0, 37, 1024, 81559, 68.42, 700.00
//
// in percent, MiB and watts. A field that the GPU does not have is a word in
// brackets, like [N/A], and is left out.
func parseGPUs(data []byte, values map[string]float64) error {
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if n++; n > maxGPUs {
			return fmt.Errorf("nvidia-smi lists more than %d GPUs: %w", maxGPUs, ErrInvalid)
		}
		fields := strings.Split(line, ",")
		if len(fields) != 6 {
			return fmt.Errorf("nvidia-smi has the line %.80q, want 6 fields: %w", line, ErrInvalid)
		}
		index, err := strconv.ParseUint(strings.TrimSpace(fields[0]), 10, 16)
		if err != nil {
			return fmt.Errorf("nvidia-smi has the line %.80q, want the number of a GPU first: %w", line, ErrInvalid)
		}
		var v [5]float64
		var has [5]bool
		for i, field := range fields[1:] {
			field = strings.TrimSpace(field)
			if strings.HasPrefix(field, "[") {
				continue
			}
			if v[i], err = strconv.ParseFloat(field, 64); err != nil || !(v[i] >= 0 && v[i] < 1e15) {
				return fmt.Errorf("nvidia-smi has the line %.80q: field %d is no number: %w", line, i+2, ErrInvalid)
			}
			has[i] = true
		}
		prefix := fmt.Sprintf("gpu_%d_", index)
		const utilization, used, total, draw, limit = 0, 1, 2, 3, 4
		set := func(name string, value float64, ok bool) {
			if ok {
				values[prefix+name] = value
			}
		}
		set("utilization_percentage", v[utilization], has[utilization])
		set("memory_usage_megabytes", v[used]*(1<<20)/1e6, has[used])
		set("power_usage_watts", v[draw], has[draw])
		if v[total] > 0 {
			set("memory_usage_percentage", 100*v[used]/v[total], has[used])
		}
		if v[limit] > 0 {
			set("power_usage_percentage", 100*v[draw]/v[limit], has[draw])
		}
	}
	return nil
}
