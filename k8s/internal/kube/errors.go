package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/millwright-ml/millwright/internal/errs"
)

// The kinds of error that a cluster's answers come to.
var (
	ErrNotFound     = errs.ErrNotFound
	ErrExists       = errs.ErrExists
	ErrConflict     = errs.ErrConflict
	ErrInvalid      = errs.ErrInvalid
	ErrUnavailable  = errs.ErrUnavailable
	ErrUnsupported  = errs.ErrUnsupported          // the cluster does not serve the resource
	ErrUnauthorized = errors.New("unauthorized")   // the server does not know who asks
	ErrForbidden    = errors.New("forbidden")      // the server knows, and says no
	ErrQuota        = errors.New("quota exceeded") // a ResourceQuota says no
	ErrExpired      = errors.New("expired")        // a watch or a page is too old to go on
)

// Error is one failed request: what was tried, the likely cause in words, and
// its kind for errors.Is.
type Error struct {
	Op      string // such as "create"
	Subject string // such as "Job team-a/fraud"
	Cause   string
	Kind    error // one of the kinds above
	Err     error // what the client said
}

// Error says operation, subject, likely cause and kind.
func (e *Error) Error() string {
	return fmt.Sprintf("k8s: %s %q: %s: %v", e.Op, e.Subject, e.Cause, e.Kind)
}

// Unwrap gives the kind and what the client said.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

func statusError(status *metav1.Status) error {
	return &apierrors.StatusError{ErrStatus: *status}
}

// fault turns what the client says into an Error. The end of a context stays
// what it is.
func (c *Client) fault(op string, kind Kind, namespace, name string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	subject := kind.Kind + " " + name
	if namespace != "" {
		subject = kind.Kind + " " + namespace + "/" + name
	}
	if name == "" {
		subject = kind.String()
		if namespace != "" {
			subject += " of " + namespace
		}
	}
	cause, sort := explain(c.host, kind, err)
	return &Error{Op: op, Subject: subject, Cause: cause, Kind: sort, Err: err}
}

// Message is the likely cause of an error of this package alone, without the
// operation; of any other error its text.
func Message(err error) string {
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Cause
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func explain(host string, kind Kind, err error) (cause string, sort error) {
	var answer apierrors.APIStatus
	if errors.As(err, &answer) {
		return explainStatus(kind, answer.Status())
	}
	return explainNetwork(host, err)
}

func explainStatus(kind Kind, s metav1.Status) (string, error) {
	text := s.Message
	switch {
	case s.Code == http.StatusUnauthorized:
		return "the cluster does not accept the credentials: the token or certificate has expired or was revoked; renew it", ErrUnauthorized
	case s.Code == http.StatusForbidden && strings.Contains(text, "exceeded quota"):
		return text, ErrQuota
	case s.Code == http.StatusForbidden && strings.Contains(text, "forbidden: User "):
		// User "x" cannot create resource "jobs" in API group "batch" in the namespace "team-a"
		_, right, _ := strings.Cut(text, "forbidden: ")
		return right + "; package k8s/rbac writes the Role that is needed", ErrForbidden
	case s.Code == http.StatusForbidden:
		return text, ErrForbidden
	case s.Code == http.StatusNotFound && (s.Details == nil || s.Details.Name == "" || strings.Contains(text, "could not find the requested resource")):
		return fmt.Sprintf("the cluster does not serve %s %s: its custom resource is not installed, or in another version", kind, kind.APIVersion()), ErrUnsupported
	case s.Code == http.StatusNotFound:
		return text, ErrNotFound
	case s.Reason == metav1.StatusReasonAlreadyExists:
		return "it is there already", ErrExists
	case s.Code == http.StatusConflict:
		return "another writer was quicker: " + text, ErrConflict
	case s.Code == http.StatusGone:
		return "the version is too old for the server to go on from", ErrExpired
	case strings.Contains(text, "failed calling webhook"), strings.Contains(text, "failed to call webhook"):
		return "an admission webhook of the cluster does not answer: " + text, ErrUnavailable
	case s.Code == http.StatusUnprocessableEntity, s.Code == http.StatusBadRequest, s.Code == http.StatusRequestEntityTooLarge:
		return text, ErrInvalid
	case s.Code == http.StatusTooManyRequests:
		return "the API server is overloaded and asks to wait", ErrUnavailable
	case s.Code >= http.StatusInternalServerError || s.Reason == metav1.StatusReasonTimeout:
		return "the API server failed: " + text, ErrUnavailable
	}
	if text == "" {
		text = fmt.Sprintf("the API server answered with status %d", s.Code)
	}
	return text, ErrInvalid
}

func explainNetwork(host string, err error) (string, error) {
	var (
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		dns      *net.DNSError
		deadline interface{ Timeout() bool }
	)
	at := "the API server at " + host
	switch {
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &verify):
		return at + " shows a certificate that the configuration does not trust: " + err.Error(), ErrUnavailable
	case errors.As(err, &dns):
		return at + " cannot be found: the name does not resolve", ErrUnavailable
	case errors.Is(err, syscall.ECONNREFUSED):
		return at + " cannot be reached: connection refused", ErrUnavailable
	case errors.As(err, &deadline) && deadline.Timeout():
		return at + " did not answer in time", ErrUnavailable
	}
	return at + " cannot be reached: " + err.Error(), ErrUnavailable
}
