package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// codeIsFolder is what versitygw answers when the key is a folder, and also when
// a folder on the way was removed, as it became empty, in the middle of a write.
const codeIsFolder = "ExistingObjectIsDirectory"

// codeDenied is what credentials that may not write are answered, and also what
// MinIO answers when a folder on the way was removed in the middle of a write.
const codeDenied = "AccessDenied"

// fail names the operation and the key, and says what the server's answer means.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	return &fs.PathError{Op: op, Path: key, Err: s.cause(ctx, err)}
}

// cause turns an error of the SDK, whose text runs over many lines, into the
// likely cause and its kind.
func (s *Store) cause(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnsupported) {
		return err // said by this package
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code, text := answer(err)
	if code == "" {
		return s.noAnswer(err)
	}
	where := fmt.Sprintf("bucket %q at %s", s.bucket, s.endpoint)
	said := code
	if text != "" {
		said += ": " + text
	}
	switch code {
	case "NoSuchKey":
		return fs.ErrNotExist
	case "NoSuchBucket":
		return fmt.Errorf("%s does not exist: create it or correct the URL: %w", where, ErrNotFound)
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return fmt.Errorf("%s: the server does not know the access key (%s): %w", where, said, fs.ErrPermission)
	case "SignatureDoesNotMatch":
		return fmt.Errorf("%s: the secret does not belong to the access key (%s): %w", where, said, fs.ErrPermission)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("%s: the clocks of this machine and the server are too far apart (%s): %w", where, said, fs.ErrPermission)
	case codeDenied, "Forbidden":
		return fmt.Errorf("%s: the credentials do not allow this (%s): %w", where, said, fs.ErrPermission)
	case "PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "IncorrectEndpoint":
		return fmt.Errorf("%s: the bucket is in another region than Options.Region says (%s): %w", where, said, ErrInvalid)
	case "ObjectParentIsFile", "XMinioParentIsObject", "XMinioObjectExistsAsDirectory", codeIsFolder:
		return fmt.Errorf("a key cannot be both an object and the folder of another (%s): %w", said, fs.ErrInvalid)
	case "KeyTooLongError", "XMinioInvalidObjectName", "InvalidURI":
		return fmt.Errorf("the server refuses the key (%s): %w", said, fs.ErrInvalid)
	case "NotImplemented":
		return fmt.Errorf("%s: the server does not know this request (%s): %w", where, said, ErrUnsupported)
	}
	switch status := statusOf(err); {
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fmt.Errorf("%s: the server refused the credentials (%s): %w", where, said, fs.ErrPermission)
	case status >= 500 || status == http.StatusTooManyRequests:
		return fmt.Errorf("%s: the server failed or is overloaded (status %d, %s): %w", where, status, said, ErrUnavailable)
	case status >= 300 && status < 400 || code == "UnknownError" || code == "NotFound":
		return fmt.Errorf("%s: the answer (status %d) is not an S3 server's: is the endpoint right? %w", where, status, ErrUnavailable)
	}
	return fmt.Errorf("%s: %s", where, said)
}

// noAnswer is for requests that never got an answer.
func (s *Store) noAnswer(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	hint := ""
	switch text := err.Error(); {
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		hint = " (the endpoint speaks http, not https)"
	case strings.Contains(text, "malformed HTTP response"):
		hint = " (does the endpoint speak https, not http?)"
	case strings.Contains(text, "connection refused"):
		hint = " (is the server running, and the port right?)"
	}
	return fmt.Errorf("bucket %q at %s: no answer%s: %w: %w", s.bucket, s.endpoint, hint, err, ErrUnavailable)
}

// answer returns the S3 error code and its text, "" when the server said none.
func answer(err error) (code, text string) {
	ae, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return "", ""
	}
	const shown = 300 // a server's text must not fill a log
	text = ae.ErrorMessage()
	if len(text) > shown {
		text = strings.ToValidUTF8(text[:shown], "") + "…"
	}
	return ae.ErrorCode(), text
}

func statusOf(err error) int {
	if re, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return re.HTTPStatusCode()
	}
	return 0
}

// isAbsent reports an absent key. A bare 404 says that only to a HEAD, which has
// no body for S3's code; to another request it comes from some other server.
func isAbsent(err error) bool {
	code, _ := answer(err)
	return code == "NoSuchKey" || code == "NotFound"
}

// isConflict reports the answers of a conditional write that did not go through:
// 412 as the key is there, or 409 as another request is at work on it.
func isConflict(err error) bool {
	code, _ := answer(err)
	return code == "PreconditionFailed" || code == "ConditionalRequestConflict" ||
		statusOf(err) == http.StatusPreconditionFailed
}
