// Command promote moves an alias of a registered model to another version, if
// the gates of a policy file let it, for use in CI: it prints a table, writes a
// report that GitLab, Jenkins and Azure DevOps display, and its exit status
// says what happened.
//
// It is a template: copy the folder, and add the gates of your own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/millwright-ml/millwright/dataset/blob/dirblob"
	"github.com/millwright-ml/millwright/registry"
	"github.com/millwright-ml/millwright/registry/sqlstore"
)

// The exit statuses.
const (
	exitOK       = 0
	exitFailed   = 1 // it could not be decided: a wrong name, a store that is away
	exitUsage    = 2
	exitRefused  = 3 // a gate failed; the alias stays where it is
	exitConflict = 4 // another promotion was faster; look again
)

const usage = `promote moves an alias of a registered model, if the gates let it.

  promote run      -model M -version N -policy FILE -by WHO   promote a version
  promote approve  -model M -version N -by WHO                vouch for a version
  promote rollback -model M -alias A -by WHO                  go back one step
  promote history  -model M [-alias A]                        who moved what, and why
  promote verify   [-head FILE]                               check the audit log
  promote demo                                                all of it on data of its own

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a gate, 4 another promotion won.
"promote VERB -h" lists the flags of a verb.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := realMain(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// config is what the flags say.
type config struct {
	store, files            string
	model, alias            string
	version, expect         int
	by, reason              string
	policy                  string
	junit, markdown, output string
	head                    string
	dir                     string
}

var errUsage = errors.New("wrong usage")

func realMain(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	verbs := map[string]func(context.Context, *config, io.Writer) error{
		"run": runVerb, "approve": approveVerb, "rollback": rollbackVerb,
		"history": historyVerb, "verify": verifyVerb, "demo": demoVerb,
	}
	if len(args) == 1 && args[0] == "predict" { // the demo's model, see demo.go
		if err := predict(stdin, stdout); err != nil {
			fmt.Fprintln(stderr, "predict:", err)
			return exitFailed
		}
		return exitOK
	}
	if len(args) == 0 || verbs[args[0]] == nil {
		help := len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help")
		if help {
			_, _ = io.WriteString(stdout, usage)
			return exitOK
		}
		_, _ = io.WriteString(stderr, usage)
		return exitUsage
	}
	cfg, err := parse(args[0], args[1:], stderr)
	if err == nil {
		err = verbs[args[0]](ctx, cfg, stdout)
	}
	return status(err, stderr)
}

// status prints err and returns what it means for the pipeline.
func status(err error, stderr io.Writer) int {
	_, refused := errors.AsType[*registry.RefusedError](err)
	_, conflict := errors.AsType[*registry.ConflictError](err)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case refused: // the table said it
		return exitRefused
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "promote:", strings.TrimSuffix(err.Error(), ": "+errUsage.Error()))
		return exitUsage
	}
	fmt.Fprintln(stderr, "promote:", err)
	if conflict {
		return exitConflict
	}
	return exitFailed
}

// parse reads the flags of a verb. The URL of the store may hold a password and
// can come by the environment, where CI keeps its secrets.
func parse(verb string, args []string, stderr io.Writer) (*config, error) {
	cfg := new(config)
	flags := flag.NewFlagSet("promote "+verb, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.store, "store", "", "registry database: sqlite:FILE or postgres://…; default $PROMOTE_STORE, else sqlite:registry.db")
	flags.StringVar(&cfg.files, "files", "", "folder with the files of the versions; default $PROMOTE_FILES, else registry-files")
	flags.StringVar(&cfg.model, "model", "", "name of the model")
	flags.StringVar(&cfg.alias, "alias", "", "alias to move; default that of the policy, else champion")
	flags.IntVar(&cfg.version, "version", 0, "number of the version")
	flags.IntVar(&cfg.expect, "expect", 0, "rollback: the version to leave, so that a repeated job goes back one step only")
	flags.StringVar(&cfg.by, "by", "", "who does it, for the audit log")
	flags.StringVar(&cfg.reason, "reason", "", "why, for the audit log; the URL of the pipeline serves well")
	flags.StringVar(&cfg.policy, "policy", "gates.json", "file with the gates")
	flags.StringVar(&cfg.junit, "junit", "", "write the gates as a JUnit report to this file")
	flags.StringVar(&cfg.markdown, "markdown", "", "write the table as Markdown to this file, for a comment on the merge request")
	flags.StringVar(&cfg.output, "json", "", "write the decision as JSON to this file")
	flags.StringVar(&cfg.head, "head", "", "verify: file that keeps the end of the log from one check to the next")
	flags.StringVar(&cfg.dir, "dir", "promote-demo", "demo: folder for all that it keeps")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("promote %s -h lists the flags: %w", verb, errUsage)
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q: %w", flags.Arg(0), errUsage)
	}
	cfg.store = firstOf(cfg.store, os.Getenv("PROMOTE_STORE"), "sqlite:registry.db")
	cfg.files = firstOf(cfg.files, os.Getenv("PROMOTE_FILES"), "registry-files")
	var missing []string
	need := func(name string, given bool, in ...string) {
		for _, v := range in {
			if v == verb && !given {
				missing = append(missing, "-"+name)
			}
		}
	}
	need("model", cfg.model != "", "run", "approve", "rollback", "history")
	need("version", cfg.version > 0, "run", "approve")
	need("by", cfg.by != "", "run", "approve", "rollback")
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s needs %s: %w", verb, strings.Join(missing, ", "), errUsage)
	}
	return cfg, nil
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// open opens the registry; end closes it.
func open(ctx context.Context, cfg *config) (r *registry.Registry, end func(), err error) {
	store, err := sqlstore.Open(ctx, cfg.store, nil)
	if err != nil {
		return nil, nil, err
	}
	files, err := dirblob.Open(cfg.files)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return registry.New(store, files, nil), func() { _ = errors.Join(files.Close(), store.Close()) }, nil
}
