package inttest_test

import (
	"fmt"
	"net/http"
)

// registry fills the registry: a model with three versions, one that has none,
// and a prompt with two versions.
func (s *seed) registry() {
	run := s.runs[11]
	for path, data := range map[string]string{"MLmodel": mlmodel, "weights.bin": "0123456789"} {
		s.send(http.MethodPut, "2.0/mlflow-artifacts/artifacts/"+s.experiment+"/"+run+"/artifacts/model/"+path, "application/octet-stream", []byte(data))
		s.send(http.MethodPut, "2.0/mlflow-artifacts/artifacts/"+s.experiment+"/models/"+s.model+"/artifacts/"+path, "application/octet-stream", []byte(data))
	}
	s.post("2.0/mlflow/registered-models/create", object{"name": "delays", "description": "How late flights are.", "tags": pairs("team", "blue")})
	s.post("2.0/mlflow/registered-models/create", object{"name": "nothing yet"})
	source := "mlflow-artifacts:/" + s.experiment + "/" + run + "/artifacts/model"
	for i := range 2 {
		s.post("2.0/mlflow/model-versions/create", object{"name": "delays", "source": source, "run_id": run, "description": fmt.Sprintf("attempt %d", i+1), "tags": pairs("checked", "by hand")})
	}
	s.post("2.0/mlflow/model-versions/create", object{"name": "delays", "source": "models:/" + s.model, "run_id": run, "model_id": s.model})
	s.post("2.0/mlflow/registered-models/alias", object{"name": "delays", "alias": "champion", "version": "2"})
	s.post("2.0/mlflow/registered-models/alias", object{"name": "delays", "alias": "challenger", "version": "3"})
	s.post("2.0/mlflow/model-versions/transition-stage", object{"name": "delays", "version": "1", "stage": "Archived", "archive_existing_versions": false})

	prompt := pairs("mlflow.prompt.is_prompt", "true")
	s.post("2.0/mlflow/registered-models/create", object{"name": "explain-delay", "tags": append(pairs("_mlflow_experiment_ids", ","+s.experiment+","), prompt...)})
	for _, text := range []string{"Say why {{flight}} is late.", "Tell in one line why {{flight}} is late."} {
		s.post("2.0/mlflow/model-versions/create", object{"name": "explain-delay", "source": "prompt-template", "description": "wording", "tags": append(pairs("mlflow.prompt.text", text, "_mlflow_prompt_type", "text"), prompt...)})
	}
	s.post("2.0/mlflow/registered-models/alias", object{"name": "explain-delay", "alias": "production", "version": "1"})
}

const mlmodel = `artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: weights.bin
    python_version: 3.11.2
mlflow_version: 3.17.2
model_uuid: 4b1f6f0c6a1f4d5e8a1b2c3d4e5f6a7b
signature:
  inputs: '[{"type": "double", "name": "distance", "required": true}, {"type": "string", "name": "carrier", "required": true}]'
  outputs: '[{"type": "double", "name": "delay", "required": true}]'
  params: null
utc_time_created: '2026-11-21 12:00:00.000000'
`

// registryPages are the pages of what registry made.
func (s *seed) registryPages() []uiPage {
	exp := "/#/experiments/" + s.experiment
	return []uiPage{
		{name: "registered models", path: "/#/models", wants: []string{"delays", "nothing yet", "challenger", "Version 3"}, never: []string{"explain-delay"}},
		{name: "registered models searched", path: "/#/models?searchInput=nothing", wants: []string{"nothing yet"}, never: []string{"delays"}},
		{name: "registered model", path: "/#/models/delays", wants: []string{"How late flights are.", "Version 1", "Version 2", "Version 3", "champion", "challenger", "team"}},
		{name: "registered model without versions", path: "/#/models/nothing%20yet", wants: []string{"nothing yet"}},
		{name: "model version", path: "/#/models/delays/versions/2", wants: []string{"attempt 2", "champion", "checked", "run-11", "Inputs (2)", "Outputs (1)"}},
		{name: "model version of logged model", path: "/#/models/delays/versions/3", wants: []string{"Version 3", "challenger", "forest", "Inputs (2)"}},
		{name: "compare versions", path: "/#/compare-model-versions?name=%22delays%22&runs=%7B%221%22%3A%22" + s.runs[11] + "%22%2C%222%22%3A%22" + s.runs[11] + "%22%7D", wants: []string{"delays", "Comparing 2 Versions", "Schema Inputs are identical"}},
		{name: "run of versions", path: exp + "/runs/" + s.runs[11], wants: []string{"run-11", "delays"}},
		{name: "run's model files", path: exp + "/runs/" + s.runs[11] + "/artifacts/model", wants: []string{"MLmodel", "weights.bin"}},
		{name: "prompts", path: "/#/prompts", wants: []string{"explain-delay"}, never: []string{"delays"}},
		{name: "prompt", path: "/#/prompts/explain-delay", wants: []string{"Version 2", "Version 1", "Tell in one line why", "production"}},
		{name: "prompts of experiment", path: exp + "/prompts", wants: []string{"explain-delay"}},
	}
}
