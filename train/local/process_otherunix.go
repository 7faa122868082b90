//go:build unix && !linux

package local

// isAlive reports whether the supervisor of the claim still runs. Without /proc
// a reused pid can not be told apart.
func isAlive(c claim) bool { return c.pid > 1 && exists(c.pid) }

// killOrphans does nothing: without /proc nobody can tell whose group it is.
func killOrphans(claim, string) {}

// rebooted can not tell without a boot id.
func rebooted(claim) bool { return false }
