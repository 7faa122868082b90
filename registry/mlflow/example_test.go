package mlflow_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/millwright-ml/millwright/dataset/blob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/mlflow"
	"github.com/millwright-ml/millwright/registry/registrytest"
	"github.com/millwright-ml/millwright/tracking"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// A client registers a logged model over REST, as register_model in Python
// does; a Go program then reads the version's verified files.
func ExampleNewHandler() {
	ctx := context.Background()
	runs, artifacts := new(trackingtest.Memory), new(blob.Mem) // a tracking server has them
	reg := registry.New(new(registrytest.Mem), new(blob.Mem), nil)
	handler, err := mlflow.NewHandler(reg, &mlflow.Options{Tracking: runs, Artifacts: artifacts})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = handler.Shutdown(ctx) }()
	server := httptest.NewServer(handler)
	defer server.Close()

	exp, err := runs.CreateExperiment(ctx, tracking.Experiment{Name: "fraud"})
	if err != nil {
		log.Fatal(err)
	}
	model, err := runs.CreateModel(ctx, tracking.LoggedModel{ID: "m-1", Experiment: exp.ID, Name: "model", Status: tracking.ModelReady})
	if err != nil {
		log.Fatal(err)
	}
	key, err := tracking.ArtifactKey(model.ArtifactURI)
	if err != nil {
		log.Fatal(err)
	}
	if err := artifacts.Put(ctx, key+"/weights.txt", strings.NewReader("0.1 0.7"), 7); err != nil {
		log.Fatal(err)
	}

	post := func(path, body string) {
		resp, err := http.Post(server.URL+"/api/2.0/mlflow/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			log.Fatalf("%s", text)
		}
	}
	post("registered-models/create", `{"name": "fraud"}`)
	post("model-versions/create", `{"name": "fraud", "source": "models:/m-1", "model_id": "m-1"}`)
	post("registered-models/alias", `{"name": "fraud", "alias": "champion", "version": "1"}`)

	v, err := reg.Resolve(ctx, "fraud@champion")
	if err != nil {
		log.Fatal(err)
	}
	files, err := reg.Open(ctx, v)
	if err != nil {
		log.Fatal(err)
	}
	text, err := fs.ReadFile(files, "weights.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s, weights %s\n", v.Ref(), v.Status, text)
	// Output: fraud/1: READY, weights 0.1 0.7
}
