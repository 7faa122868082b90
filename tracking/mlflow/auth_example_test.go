package mlflow_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/millwright-ml/millwright/tracking/mlflow"
	"github.com/millwright-ml/millwright/tracking/trackingtest"
)

// An admin makes a user over the API, as MLflow's own client does. The program
// writes down each change before it is answered.
func ExampleAuth() {
	token, hash := mlflow.NewToken()
	auth, err := mlflow.NewAuth(mlflow.AuthConfig{
		Default: mlflow.ReadPermission,
		Users:   []mlflow.AuthUser{{Name: "root", Tokens: []string{hash}, Admin: true}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth.Changed = func(config mlflow.AuthConfig) error {
		fmt.Println("write down", len(config.Users), "users") // and sync the file
		return nil
	}
	handler, err := mlflow.NewHandler(new(trackingtest.Memory), &mlflow.Options{Auth: auth})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/api/2.0/mlflow/users/create",
		strings.NewReader(`{"username":"ann","password":"a password of 12 bytes or more"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status)
	fmt.Println(string(answer))
	// Output:
	// write down 2 users
	// 200 OK
	// {"user":{"id":2,"username":"ann","is_admin":false,"experiment_permissions":[],"registered_model_permissions":[],"scorer_permissions":[]}}
}
