package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"strings"
)

// shownUpstream is what an Upstream shows of itself.
type shownUpstream struct {
	Name, URL, Key string
	Header         []string // The names alone.
	Metrics        string
	Weight         float64
}

func (u *Upstream) shown() shownUpstream {
	s := shownUpstream{Name: u.Name, URL: u.URL, Metrics: u.Metrics, Weight: u.Weight}
	if u.Key != "" {
		s.Key = "[key]"
	}
	for name := range u.Header {
		s.Header = append(s.Header, name)
	}
	return s
}

// Format prints the upstream without its key and the values of its headers, which
// are keys in many cases, whatever the verb is.
func (u Upstream) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%+v", u.shown()) }

// MarshalJSON writes what Format prints.
func (u Upstream) MarshalJSON() ([]byte, error) { return json.Marshal(u.shown()) }

// LogValue is what Format prints.
func (u Upstream) LogValue() slog.Value { return slog.AnyValue(u.shown()) }

// shortestSecret keeps values of headers that are words from being taken out of
// every text that has them.
const shortestSecret = 16

// withoutKeys is what an upstream says of a failure, which may cite the request that
// it got, without what the client did not send.
func (u *upstream) withoutKeys(text []byte) []byte {
	hide := func(secret string) {
		if secret != "" && bytes.Contains(text, []byte(secret)) {
			text = bytes.ReplaceAll(text, []byte(secret), []byte("[key]"))
		}
	}
	hide(u.Key)
	for _, values := range u.Header {
		for _, v := range values {
			if len(v) >= shortestSecret {
				hide(v)
			}
		}
	}
	return text
}

// headerWithoutKeys does the same with a header.
func (u *upstream) headerWithoutKeys(h http.Header) http.Header {
	out := h.Clone()
	for _, values := range out {
		for i, v := range values {
			values[i] = string(u.withoutKeys([]byte(v)))
		}
	}
	return out
}

// errProtocol stands for errors of net/http that cite what came in.
var errProtocol = errors.New("what it sent is not HTTP")

// withoutContent is the error of a transport without what an upstream has sent: logs
// show errors, and an answer that is not HTTP may be the text of one.
func withoutContent(err error) error {
	if _, cited := errors.AsType[textproto.ProtocolError](err); cited || strings.Contains(err.Error(), "malformed") {
		return errProtocol
	}
	return err
}

// Format prints the names of the models: what else is in a gateway has keys.
func (g *Gateway) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "llm.Gateway%q", g.names)
}
