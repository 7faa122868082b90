//go:build !unix

package pgtest

import (
	"errors"
	"testing"
)

const supported = false

// Server is a PostgreSQL server.
type Server struct{}

func start(string, Options) (*Server, error) {
	return nil, errors.New("PostgreSQL is started on Unix systems only")
}

// Addr is host:port.
func (s *Server) Addr() string { return "" }

// Stop shuts the server down.
func (s *Server) Stop(testing.TB) {}

// Kill ends the server as a crash does.
func (s *Server) Kill(testing.TB) {}

// Start starts a server that was stopped or killed.
func (s *Server) Start(testing.TB) {}

// Restart is Stop and Start.
func (s *Server) Restart(testing.TB) {}

func (s *Server) remove() {}
