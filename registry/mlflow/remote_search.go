package mlflow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// search is a search for models or versions.
type search struct {
	op, path string
	name     string // exact
	filter   string
	orderBy  []string
	size     int
	// What open finds: the server's token, and whether it belongs to the
	// search for prompts.
	token   string
	prompts bool
}

// query is what a page token is tied to.
func (s *search) query() string {
	return fmt.Sprintf("%s %q %q %q %v", s.op, s.name, s.filter, s.orderBy, s.prompts)
}

// open checks the texts and opens the token.
func (s *search) open(token string) (err error) {
	for _, text := range append([]string{s.name, s.filter}, s.orderBy...) {
		if !utf8.ValidString(text) { // JSON and URLs would carry another
			return fmt.Errorf("mlflow: %s: %q is not valid UTF-8: %w", s.op, mlflowclient.Shown(text), errs.ErrInvalid)
		}
	}
	if s.token, err = mlflowclient.OpenToken(s.query(), token); err != nil && s.name != "" {
		s.prompts = true
		s.token, err = mlflowclient.OpenToken(s.query(), token)
	}
	return err
}

// call is the request.
func (s *search) call() (mlflowclient.Call, error) {
	r := remote(s.op, s.name, http.MethodGet, s.path, nil)
	var clauses []string
	if s.name != "" {
		quote := "'"
		if strings.Contains(s.name, quote) {
			if quote = `"`; strings.Contains(s.name, quote) {
				return r, r.Fail(fmt.Errorf("MLflow's filters cannot hold a name with both kinds of quotes: %w", errs.ErrUnsupported))
			}
		}
		clauses = append(clauses, "name = "+quote+s.name+quote)
	}
	if strings.TrimSpace(s.filter) != "" { // which upstream cannot parse
		clauses = append(clauses, s.filter)
	}
	if s.prompts {
		clauses = append(clauses, "tags.`"+registry.PromptTag+"` = 'true'")
	}
	if s.size <= 0 {
		s.size = 100
	}
	r.Query = url.Values{"max_results": {strconv.Itoa(s.size)}}
	if len(clauses) > 0 {
		r.Query.Set("filter", strings.Join(clauses, " AND "))
	}
	if len(s.orderBy) > 0 {
		r.Query["order_by"] = s.orderBy
	}
	if s.token != "" {
		r.Query.Set("page_token", s.token)
	}
	return r, nil
}

// searchFor asks for a page. MLflow's searches find no prompts unless they ask
// for them, though an exact name may be a prompt's: when there is nothing of
// the name, it is asked again.
func searchFor[T, M any](ctx context.Context, c *Conn, s *search, read func(*M) (page []T, next string, err error)) ([]T, string, error) {
	for {
		r, err := s.call()
		if err != nil {
			return nil, "", err
		}
		answer, err := do[M](ctx, c, r)
		if err != nil {
			return nil, "", err
		}
		page, next, err := read(answer)
		if err != nil {
			return nil, "", r.Fail(err)
		}
		if len(page) == 0 && s.token == "" && next == "" && s.name != "" && !s.prompts && !strings.Contains(s.filter, registry.PromptTag) {
			s.prompts = true
			continue
		}
		return page, mlflowclient.SealToken(s.query(), next), nil
	}
}
