package mlflow

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millwright-ml/millwright/tracking"
)

// Auth is a ready-made Options.Auth: users who send HTTP Basic with a password,
// or a Bearer token, as MLflow's clients do, and a permission for each user and
// experiment or registered model. It is safe for concurrent use.
//
//	auth, err := mlflow.NewAuth(config)
//	auth.Changed = func(config mlflow.AuthConfig) error { … } // write it down
//	handler, err := mlflow.NewHandler(store, &mlflow.Options{Auth: auth})
//
// With that the handler serves MLflow's routes for users and permissions
// (mlflow.server.get_app_client("basic-auth", uri) in Python) under these rules:
//
//   - Only admins make, list, change and delete users. Everyone may read who
//     they are themselves, and change their password by telling the present one.
//   - Every user may create experiments and registered models and then manages
//     them. Who manages something gives permissions on it to others, and thus
//     learns which of the names tried are users; to everyone else but admins
//     names of users that exist and of those that do not are refused alike.
//   - One admin always remains.
//   - A new password counts at once, for running clients too. Tokens are not
//     touched by it; they end with their user.
//
// No answer has a hash of a password or of a token.
type Auth struct {
	// Changed is called with all users and grants whenever something is about
	// to change, one call at a time, and before anyone sees the change: when it
	// fails, nothing is changed and the request is answered with an error. Set
	// it before the first use; nil keeps changes in memory only.
	Changed func(AuthConfig) error

	key   [sha256.Size]byte // of the cache's keys, of this process only
	decoy passwordHash      // what unknown users are checked against
	slots chan struct{}     // how many passwords are hashed at a time
	byDef Permission

	rounds int // of new hashes

	changing sync.Mutex // one change at a time
	state    atomic.Pointer[authState]

	mu      sync.Mutex
	checked map[[sha256.Size]byte]checkedPassword
}

// NewAuth returns an Auth for the users of config.
func NewAuth(config AuthConfig) (*Auth, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	a := &Auth{
		slots:   make(chan struct{}, passwordJobs),
		byDef:   config.Default,
		rounds:  passwordRounds,
		checked: map[[sha256.Size]byte]checkedPassword{},
		decoy:   passwordHash{rounds: passwordRounds, salt: make([]byte, saltBytes), sum: make([]byte, sha256.Size)},
	}
	_, _ = rand.Read(a.key[:]) // see HashPassword
	state, err := newAuthState(config)
	if err != nil {
		return nil, err
	}
	rounds := 0
	for _, u := range state.users {
		if u.password != nil {
			rounds = max(rounds, u.password.rounds)
		}
	}
	if rounds > 0 {
		a.decoy.rounds = rounds // so that unknown names take as long
	}
	a.state.Store(state)
	return a, nil
}

// Config returns the users with their present grants, ordered by name.
func (a *Auth) Config() AuthConfig { return a.state.Load().config(a.byDef) }

// Authorize is for Options.Authorize.
func (a *Auth) Authorize(r *http.Request, action Action) error {
	u, err := a.sender(r)
	if err != nil {
		return err
	}
	return permit(u, action.Verb, a.onExperiment(u, action.Experiment))
}

// AuthorizeModel decides likewise about a registered model, for the handler of
// the model registry. An empty name is the registry itself.
func (a *Auth) AuthorizeModel(r *http.Request, verb Verb, model string) error {
	u, err := a.sender(r)
	if err != nil {
		return err
	}
	return permit(u, verb, a.onModel(u, model))
}

func permit(u *authUser, verb Verb, have Permission) error {
	if u.Admin || have.allows(verb) {
		return nil
	}
	return ErrDenied
}

// onExperiment is what a user who is no admin may do with an experiment, and
// with the server when id is empty.
func (a *Auth) onExperiment(u *authUser, id tracking.ExperimentID) Permission {
	if id == "" {
		return u.Server
	}
	if p, granted := u.Experiments[id]; granted {
		return p
	}
	return a.byDef
}

// onModel is what a user who is no admin may do with a registered model.
func (a *Auth) onModel(u *authUser, name string) Permission {
	if p, granted := u.Models[name]; granted {
		return p
	}
	if name != "" && a.byDef.rank() > u.Server.rank() {
		return a.byDef
	}
	return u.Server
}

// User returns who sent the request, or ErrUnauthenticated.
func (a *Auth) User(r *http.Request) (string, error) {
	u, err := a.sender(r)
	if err != nil {
		return "", err
	}
	return u.Name, nil
}

// sender returns who sent the request, as the user is now.
func (a *Auth) sender(r *http.Request) (*authUser, error) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	if strings.EqualFold(scheme, "Bearer") {
		// The hash is a lookup by what the sender cannot choose freely, so its
		// timing tells nothing of other tokens.
		state := a.state.Load()
		if u := state.users[state.tokens[HashToken(strings.TrimSpace(token))]]; u != nil {
			return u, nil
		}
		return nil, ErrUnauthenticated
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return nil, ErrUnauthenticated
	}
	u := a.state.Load().users[name]
	ok, err := a.checkPassword(r.Context(), name, password, u)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnauthenticated
	}
	return u, nil
}
