package rbac

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/millwright-ml/millwright/k8s/internal/kube"
)

// ErrForbidden says that a right is missing; see *MissingError.
var ErrForbidden = kube.ErrForbidden

// Missing is a right that a program needs and does not have.
type Missing struct {
	Right
	// Namespace is where it is missing; empty for the whole cluster.
	Namespace string
	// Reason is what the cluster's authorizer says, mostly nothing.
	Reason string
}

// String says the right, where, and what breaks.
func (m Missing) String() string {
	where := "in namespace " + m.Namespace
	if m.Namespace == "" {
		where = "in the cluster"
	}
	return fmt.Sprintf("%s %s (%s)", m.Right, where, m.Breaks)
}

// MissingError lists all rights that a program lacks. It is ErrForbidden.
type MissingError struct {
	Missing []Missing
}

// Error lists the rights and what breaks without them.
func (e *MissingError) Error() string {
	texts := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		texts[i] = m.String()
	}
	return fmt.Sprintf("rbac: check: %d rights are missing: %s: %v", len(e.Missing), strings.Join(texts, "; "), ErrForbidden)
}

// Is reports whether target is ErrForbidden.
func (e *MissingError) Is(target error) bool { return target == ErrForbidden }

// checks is how many questions are under way at once.
const checks = 8

// Check asks the cluster of cfg whether the caller may do all that the features
// need in namespace, by SelfSubjectAccessReview, which everyone who is known to
// the cluster may ask. It returns what is missing, in the order of Rights, and
// none when nothing is. The error says that the cluster could not be asked.
func Check(ctx context.Context, cfg *rest.Config, namespace string, features ...Feature) ([]Missing, error) {
	rights, err := Rights(features...)
	if err != nil {
		return nil, err
	}
	client, err := kube.New(cfg, &kube.Options{UserAgent: "millwright-rbac"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wait    sync.WaitGroup
		slots   = make(chan struct{}, checks)
		answers = make([]*Missing, len(rights))
	)
	for i, right := range rights {
		if i > 0 && same(right, rights[i-1]) {
			continue // asked already, for another feature
		}
		wait.Go(func() {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-slots }()
			missing, err := ask(ctx, client, namespace, right)
			if err != nil {
				cancel(err)
				return
			}
			answers[i] = missing
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	var out []Missing
	var last *Missing
	for i, right := range rights {
		if i == 0 || !same(right, rights[i-1]) {
			last = answers[i]
		}
		if last != nil {
			m := *last
			m.Right = right
			out = append(out, m)
		}
	}
	return out, nil
}

// Require is Check with what is missing as a *MissingError.
func Require(ctx context.Context, cfg *rest.Config, namespace string, features ...Feature) error {
	missing, err := Check(ctx, cfg, namespace, features...)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	return nil
}

func same(a, b Right) bool {
	return a.Group == b.Group && a.Resource == b.Resource && a.Verb == b.Verb && a.Cluster == b.Cluster
}

// ask is one question; nil is yes.
func ask(ctx context.Context, client *kube.Client, namespace string, right Right) (*Missing, error) {
	if right.Cluster {
		namespace = ""
	}
	resource, sub, _ := strings.Cut(right.Resource, "/")
	review := &authorizationv1.SelfSubjectAccessReview{}
	review.APIVersion, review.Kind = "authorization.k8s.io/v1", "SelfSubjectAccessReview"
	review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: right.Verb, Group: right.Group, Version: "*", Resource: resource, Subresource: sub,
	}
	var answer authorizationv1.SelfSubjectAccessReview
	if err := client.Create(ctx, kube.AccessReviews, "", review, &answer, false); err != nil {
		return nil, fmt.Errorf("rbac: check: %w", err)
	}
	if answer.Status.Allowed {
		return nil, nil
	}
	reason := answer.Status.Reason
	if answer.Status.EvaluationError != "" {
		reason = strings.TrimSpace(reason + " " + answer.Status.EvaluationError)
	}
	return &Missing{Right: right, Namespace: namespace, Reason: reason}, nil
}

// Needed are the features of a set of missing rights, sorted, each once.
func Needed(missing []Missing) []Feature {
	var out []Feature
	for _, m := range missing {
		if !slices.Contains(out, m.Feature) {
			out = append(out, m.Feature)
		}
	}
	slices.Sort(out)
	return out
}
