package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/internal/errs"
	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowclient"
	"github.com/millwright-ml/millwright/registry"
)

// remotePoll is how often a Watch over REST looks.
const remotePoll = 500 * time.Millisecond

const aliasPath = "registered-models/alias"

func deleteAlias(name, alias string) mlflowclient.Call {
	r := remote("delete alias", name+"@"+alias, http.MethodDelete, aliasPath, &mlflowapi.RegisteredModelAliasName{Name: name, Alias: alias})
	r.GoneIsDone = true
	return r
}

// aliasAt returns the number of the version that an alias is at, 0 for none.
func (c *Conn) aliasAt(ctx context.Context, name, alias string) (int, error) {
	r := remote("get alias", name+"@"+alias, http.MethodGet, aliasPath, nil)
	r.Query = url.Values{"name": {name}, "alias": {alias}}
	answer, err := do[mlflowapi.ModelVersionResponse](ctx, c, r)
	if errors.Is(err, errs.ErrNotFound) {
		return 0, nil
	}
	if refused, ok := errors.AsType[*ResponseError](err); ok && errors.Is(err, errs.ErrInvalid) && strings.Contains(refused.Message, "not found") {
		return 0, nil // MLflow's answer for an alias that the model does not have
	}
	if err != nil {
		return 0, err
	}
	v, err := remoteVersion(&answer.ModelVersion)
	if err != nil {
		return 0, r.Fail(err)
	}
	return v.Number, nil
}

// Record implements registry.Store for entries of the kind KindAlias without
// Evidence, see Conn: it moves the alias. The Seq of what it returns says no
// more than that it moved.
func (c *Conn) Record(ctx context.Context, e registry.Entry, expect int) (registry.Entry, error) {
	r := remote("move alias", e.Name+"@"+e.Alias, http.MethodPost, aliasPath, nil)
	if e.Kind != registry.KindAlias || len(e.Evidence) > 0 {
		return registry.Entry{}, r.Fail(fmt.Errorf("MLflow has no audit log, which an entry of kind %q or one with evidence needs: %w", e.Kind, errs.ErrUnsupported))
	}
	have, err := c.aliasAt(ctx, e.Name, e.Alias)
	if err != nil {
		return registry.Entry{}, err
	}
	e.From = have
	if expect != -1 && expect != have {
		if e.To != 0 {
			if _, err := c.Version(ctx, e.Name, e.To); err != nil {
				return registry.Entry{}, err
			}
		}
		return e, r.Fail(fmt.Errorf("the alias is at version %d, expected %d (0 is none): %w", have, expect, errs.ErrConflict))
	}
	if have == e.To {
		return e, nil
	}
	if e.To == 0 {
		r = deleteAlias(e.Name, e.Alias)
	} else {
		r.Message = &mlflowapi.SetRegisteredModelAlias{Name: e.Name, Alias: e.Alias, Version: strconv.Itoa(e.To)}
	}
	if err := c.client.Do(ctx, r, nil); err != nil {
		return registry.Entry{}, err
	}
	return e.Seal(registry.Entry{}), nil
}

// Aliases implements registry.Store; Moved is not known.
func (c *Conn) Aliases(ctx context.Context, name, alias, after string, limit int) ([]registry.Alias, error) {
	if alias != "" {
		n, err := c.aliasAt(ctx, name, alias)
		if err != nil || n == 0 || alias <= after {
			return nil, err
		}
		return []registry.Alias{{Alias: alias, Number: n}}, nil
	}
	m, err := c.getModel(ctx, name)
	if errors.Is(err, errs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var page []registry.Alias
	for _, a := range m.Aliases {
		if a.Alias > after && len(page) < limit {
			page = append(page, a)
		}
	}
	return page, nil
}

// Audit is ErrUnsupported, as MLflow has no audit log; but for the question
// for the newest entry of all, with which a Watch begins: there is none.
func (c *Conn) Audit(ctx context.Context, q registry.AuditQuery) ([]registry.Entry, error) {
	if q.Backward && q.Limit == 1 && q == (registry.AuditQuery{Backward: true, Limit: 1}) {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("mlflow: read the audit log: MLflow has none: %w", errs.ErrUnsupported)
}

// Wait returns after half a second, for there may be news: MLflow tells none.
func (c *Conn) Wait(ctx context.Context, after int64) (int64, error) {
	timer := time.NewTimer(remotePoll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return after, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
