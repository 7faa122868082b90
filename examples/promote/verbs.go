package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/millwright-ml/millwright/registry"
)

func runVerb(ctx context.Context, cfg *config, w io.Writer) error {
	policy, err := readPolicy(cfg.policy)
	if err != nil {
		return err
	}
	r, end, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	return promote(ctx, r, cfg, policy, w)
}

// promote asks for the promotion and reports it, whatever the outcome.
func promote(ctx context.Context, r *registry.Registry, cfg *config, policy *policy, w io.Writer) error {
	gates, err := policy.gates(filepath.Dir(cfg.policy))
	if err != nil {
		return err
	}
	alias := firstOf(cfg.alias, policy.Alias, "champion")
	d, err := r.Promote(ctx, cfg.model, alias, cfg.version, &registry.PromoteOptions{Gates: gates, By: cfg.by, Reason: cfg.reason})
	if d == nil {
		return err // no gate decided anything
	}
	if _, err := io.WriteString(w, table(d)); err != nil {
		return err
	}
	for path, content := range map[string]func(*registry.Decision) ([]byte, error){
		cfg.junit: junit, cfg.markdown: markdown, cfg.output: decisionJSON,
	} {
		if path == "" {
			continue
		}
		b, fault := content(d)
		if fault == nil {
			fault = os.WriteFile(path, b, 0o644)
		}
		if fault != nil {
			return errors.Join(fault, err)
		}
	}
	return err
}

func approveVerb(ctx context.Context, cfg *config, w io.Writer) error {
	r, end, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	if err := r.Approve(ctx, cfg.model, cfg.version, cfg.by, cfg.reason); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s approved %s v%d\n", cfg.by, cfg.model, cfg.version)
	return err
}

func rollbackVerb(ctx context.Context, cfg *config, w io.Writer) error {
	r, end, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	e, err := r.Rollback(ctx, cfg.model, firstOf(cfg.alias, "champion"), &registry.RollbackOptions{By: cfg.by, Reason: cfg.reason, Expect: cfg.expect})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s of %s is back at v%d, from v%d\naudit log: entry %d, %s\n", e.Alias, e.Name, e.To, e.From, e.Seq, e.Hash)
	return err
}

func historyVerb(ctx context.Context, cfg *config, w io.Writer) error {
	r, end, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ENTRY\tTIME\tWHAT\tALIAS\tFROM\tTO\tBY\tREASON")
	for e, err := range r.History(ctx, cfg.model, cfg.alias) {
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.Time.Format("2006-01-02 15:04:05Z"), e.Kind, e.Alias,
			versionText(e.From), versionText(e.To), line(e.By), line(e.Reason))
	}
	return t.Flush()
}

// verifyVerb checks the log against the head that the check before kept, and
// keeps the new one.
func verifyVerb(ctx context.Context, cfg *config, w io.Writer) error {
	var known []registry.AuditHead
	if cfg.head != "" {
		b, err := os.ReadFile(cfg.head)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			var head registry.AuditHead
			if err := json.Unmarshal(b, &head); err != nil {
				return fmt.Errorf("the head in %s: %w", cfg.head, err)
			}
			known = append(known, head)
		}
	}
	r, end, err := open(ctx, cfg)
	if err != nil {
		return err
	}
	defer end()
	head, err := r.VerifyAudit(ctx, known...)
	if err != nil {
		return err
	}
	if cfg.head != "" {
		b, err := json.Marshal(head)
		if err == nil {
			err = os.WriteFile(cfg.head, append(b, '\n'), 0o644)
		}
		if err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "the audit log is whole: %d entries, the last is %s\n", head.Seq, head.Hash)
	return err
}
