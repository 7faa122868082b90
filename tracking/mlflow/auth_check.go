package mlflow

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"time"
)

// checkedPassword is the outcome of checking a password. It holds for the hash
// it was checked against only: a user who is changed or deleted has another.
type checkedPassword struct {
	against *passwordHash // nil: there was no user, or one without password
	ok      bool
	until   time.Time
}

const (
	checkedTime  = 5 * time.Minute
	refusedTime  = 10 * time.Second
	maxChecked   = 4096
	passwordJobs = 2
)

// checkPassword reports whether it is the password of u, which is nil when the
// name is nobody's. The outcome is remembered for a while, under a key that only
// this process can compute, as clients send the password with every request.
func (a *Auth) checkPassword(ctx context.Context, name, password string, u *authUser) (bool, error) {
	var against *passwordHash
	if u != nil {
		against = u.password
	}
	key := a.cacheKey(name, password)
	a.mu.Lock()
	known, found := a.checked[key]
	a.mu.Unlock()
	if found && known.against == against && time.Now().Before(known.until) {
		return known.ok, nil
	}
	free, err := a.slot(ctx)
	if err != nil {
		return false, err
	}
	defer free()
	result := checkedPassword{against: against, until: time.Now().Add(refusedTime)}
	if against == nil {
		_ = a.decoy.matches(password) // takes as long as a real one
	} else if result.ok = against.matches(password); result.ok {
		result.until = time.Now().Add(checkedTime)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.checked) >= maxChecked {
		clear(a.checked)
	}
	a.checked[key] = result
	return result.ok, nil
}

// slot waits for one of the few places to hash a password at, and returns what
// gives it back.
func (a *Auth) slot(ctx context.Context) (free func(), err error) {
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *Auth) cacheKey(name, password string) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, a.key[:])
	mac.Write([]byte(name))
	mac.Write([]byte{':'}) // no name has one
	mac.Write([]byte(password))
	mac.Sum(key[:0])
	return key
}
