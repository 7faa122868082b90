package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/millwright-ml/millwright/train"
)

// user is who asks. Put your own single sign-on here.
type user struct {
	team  string
	admin bool // sees and does all
	token [sha256.Size]byte
}

var errUnauthenticated = errors.New("a bearer token is needed")

// parseUsers reads "team-a=secret,team-b=other,*=admins", a token a team; "*" is
// the administrators'. No token at all means that everyone is one of them.
func parseUsers(text string) ([]user, error) {
	var users []user
	for entry := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		team, token, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || team == "" || len(token) < 8 {
			return nil, errors.New("TRAIN_TOKENS: want team=token,… with tokens of at least 8 characters")
		}
		users = append(users, user{team: team, admin: team == "*", token: sha256.Sum256([]byte(token))})
	}
	return users, nil
}

// who finds the user of a request.
func (s *service) who(r *http.Request) (user, error) {
	if len(s.users) == 0 {
		return user{admin: true}, nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range s.users { // all of them, so that the time says nothing
		if subtle.ConstantTimeCompare(sum[:], s.users[i].token[:]) == 1 {
			found = i
		}
	}
	if !ok || found < 0 {
		return user{}, errUnauthenticated
	}
	return s.users[found], nil
}

// may reports whether the user may see and change the job.
func (u user) may(job train.Job) bool { return u.admin || job.Spec().Team == u.team }
