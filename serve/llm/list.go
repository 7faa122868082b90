package llm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// list answers /v1/models and /v1/models/NAME with what the caller may use.
func (g *Gateway) list(w http.ResponseWriter, r *http.Request) {
	t := &anyone
	if g.o.Auth != nil {
		found, err := g.o.Auth.Authenticate(r)
		if err != nil {
			asError(err).write(w)
			return
		}
		if found != nil {
			t = found
		}
	}
	type entry struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	one := func(name string) entry { return entry{name, "model", g.listing.Unix(), "millwright"} }
	_, name, single := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1"), "/models/")
	var answer any
	if single {
		if g.models[name] == nil || !t.may(name) {
			(&Error{Status: http.StatusNotFound, Type: typeInvalid, Code: "model_not_found", Param: "model", Message: fmt.Sprintf("the model %.100q does not exist or you have no access to it", name)}).write(w)
			return
		}
		answer = one(name)
	} else {
		all := []entry{}
		for _, name := range g.names {
			if t.may(name) {
				all = append(all, one(name))
			}
		}
		answer = struct {
			Object string  `json:"object"`
			Data   []entry `json:"data"`
		}{"list", all}
	}
	b, _ := json.Marshal(answer) //nolint:errchkjson // Texts and numbers always have one.
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // The client may have gone.
}
