package mlflow

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
	"github.com/millwright-ml/millwright/tracking"
)

func (h *Handler) logInputs(c *call, m *mlflowapi.LogInputs) (any, error) {
	var b tracking.Batch
	for i := range m.Datasets {
		b.Inputs = append(b.Inputs, inputOf(&m.Datasets[i]))
	}
	for i, in := range m.Models {
		if in.ModelID == "" {
			return nil, mlflowapi.Missing("models[" + strconv.Itoa(i) + "].model_id")
		}
		b.ModelInputs = append(b.ModelInputs, tracking.ModelID(in.ModelID))
	}
	return nil, h.logAll(c, m.RunID, b)
}

func (h *Handler) logOutputs(c *call, m *mlflowapi.LogOutputs) (any, error) {
	var b tracking.Batch
	for i, out := range m.Models {
		if out.ModelID == "" {
			return nil, mlflowapi.Missing("models[" + strconv.Itoa(i) + "].model_id")
		}
		b.Outputs = append(b.Outputs, tracking.ModelOutput{Model: tracking.ModelID(out.ModelID), Step: out.Step})
	}
	return nil, h.logAll(c, m.RunID, b)
}

// logAll stores a batch.
func (h *Handler) logAll(c *call, text string, b tracking.Batch) error {
	id, err := runID(text)
	if err != nil {
		return err
	}
	if err := b.Validate(); err != nil {
		return err
	}
	return runErr(id, h.store.LogBatch(c.Ctx(), id, b))
}

// tagHistory has the models that clients before 3.0 logged, as a JSON array.
const tagHistory = "mlflow.log-model.history"

// logModel records a model of a client before 3.0 in the run's tags, where
// those clients look for it.
func (h *Handler) logModel(c *call, m *mlflowapi.LogModel) (any, error) {
	var model map[string]json.RawMessage
	if err := json.Unmarshal([]byte(m.ModelJSON), &model); err != nil || model == nil {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Malformed model info. \n %s \n is not a valid JSON.", mlflowhttp.Printable(m.ModelJSON))
	}
	var missing []string
	for _, field := range [...]string{"artifact_path", "flavors", "run_id", "utc_time_created"} {
		if _, ok := model[field]; !ok {
			missing = append(missing, "'"+field+"'")
		}
	}
	if len(missing) > 0 {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "Model json is missing mandatory fields: {%s}", strings.Join(missing, ", "))
	}
	run, err := h.run(c.Ctx(), tracking.RunID(m.RunID))
	if err != nil {
		return nil, err
	}
	var history []json.RawMessage
	if old := run.Tags[tagHistory]; old != "" {
		if err := json.Unmarshal([]byte(old), &history); err != nil {
			return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "The tag %s of run %s is no JSON array.", tagHistory, run.ID)
		}
	}
	entry, err := json.Marshal(model)
	if err != nil {
		return nil, err
	}
	history = append(history, entry)
	text, err := json.Marshal(history)
	// A tag has a limit that the history of a long run passes: the oldest
	// models give way, as only the newest of a path matters.
	for err == nil && len(text) > maxTagValue && len(history) > 1 {
		history = slices.Delete(history, 0, 1)
		text, err = json.Marshal(history)
	}
	if err != nil {
		return nil, err
	}
	if len(text) > maxTagValue {
		return nil, mlflowapi.Errorf(mlflowapi.CodeInvalid, "The model info has more than %d characters.", maxTagValue)
	}
	return nil, h.logAll(c, m.RunID, tracking.Batch{Tags: map[string]string{tagHistory: string(text)}})
}
