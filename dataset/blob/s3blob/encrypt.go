package s3blob

import (
	"crypto/md5" //nolint:gosec // SSE-C names its keys so; it guards nothing
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Encryption has the server encrypt what is stored. Set one of the fields. Open
// and every write find out whether the server does it, and refuse one that does
// not with [ErrUnsupported].
type Encryption struct {
	// S3 encrypts with keys of the server's own (SSE-S3).
	S3 bool
	// KMSKey encrypts with the named key of the key service (SSE-KMS); "default"
	// is the account's own key for S3. It is an id, alias or ARN.
	KMSKey string
	// KMSContext is bound to the data with a KMSKey, as a JSON object in base64.
	// Default: none.
	KMSContext string
	// CustomerKey encrypts with 32 bytes that the server forgets again (SSE-C).
	// The endpoint must be https. Programs without the key cannot read the
	// objects, so no other engine can, and URLs cannot be signed.
	CustomerKey []byte
}

func (e *Encryption) check(faults *errs.Faults, endpoint string) {
	if e == nil {
		return
	}
	set := 0
	for _, is := range []bool{e.S3, e.KMSKey != "", len(e.CustomerKey) > 0} {
		if is {
			set++
		}
	}
	faults.Check(set == 1, "the encryption has %d of S3, KMSKey and CustomerKey set, want one", set)
	faults.Check(e.KMSContext == "" || e.KMSKey != "", "the encryption has a KMSContext without a KMSKey")
	faults.Check(len(e.CustomerKey) == 0 || len(e.CustomerKey) == 32, "the customer key has %d bytes, want 32", len(e.CustomerKey))
	faults.Check(len(e.CustomerKey) == 0 || !strings.HasPrefix(endpoint, "http://"), "a customer key must not travel over http: the endpoint has to be https")
}

// crypt is how requests carry an Encryption.
type crypt struct {
	mode      types.ServerSideEncryption
	kmsKey    *string
	context   *string
	algorithm *string // these three for SSE-C
	key       *string
	keySum    *string
}

func newCrypt(e *Encryption) crypt {
	switch {
	case e == nil:
		return crypt{}
	case e.S3:
		return crypt{mode: types.ServerSideEncryptionAes256}
	case e.KMSKey != "":
		c := crypt{mode: types.ServerSideEncryptionAwsKms}
		if e.KMSKey != "default" {
			c.kmsKey = aws.String(e.KMSKey)
		}
		if e.KMSContext != "" {
			c.context = aws.String(e.KMSContext)
		}
		return c
	}
	sum := md5.Sum(e.CustomerKey) //nolint:gosec // as the protocol has it
	return crypt{
		algorithm: aws.String("AES256"),
		key:       aws.String(base64.StdEncoding.EncodeToString(e.CustomerKey)),
		keySum:    aws.String(base64.StdEncoding.EncodeToString(sum[:])),
	}
}

func (c crypt) customer() bool { return c.key != nil }

// name is what the cached result of a probe says was proven.
func (c crypt) name() string {
	if c.customer() {
		return "SSE-C"
	}
	return string(c.mode)
}

func (c crypt) put(in *s3.PutObjectInput) {
	in.ServerSideEncryption, in.SSEKMSKeyId, in.SSEKMSEncryptionContext = c.mode, c.kmsKey, c.context
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) create(in *s3.CreateMultipartUploadInput) {
	in.ServerSideEncryption, in.SSEKMSKeyId, in.SSEKMSEncryptionContext = c.mode, c.kmsKey, c.context
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) part(in *s3.UploadPartInput) {
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) complete(in *s3.CompleteMultipartUploadInput) {
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) get(in *s3.GetObjectInput) {
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) head(in *s3.HeadObjectInput) {
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) copy(in *s3.CopyObjectInput) {
	in.ServerSideEncryption, in.SSEKMSKeyId, in.SSEKMSEncryptionContext = c.mode, c.kmsKey, c.context
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
	in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

func (c crypt) copyPart(in *s3.UploadPartCopyInput) {
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
	in.CopySourceSSECustomerAlgorithm, in.CopySourceSSECustomerKey, in.CopySourceSSECustomerKeyMD5 = c.algorithm, c.key, c.keySum
}

// heeded checks what a server says it did with a write against what was asked.
func (s *Store) heeded(mode types.ServerSideEncryption, algorithm, keySum *string) error {
	c := s.crypt
	ok := c.mode == "" || c.mode == mode
	if c.customer() {
		ok = aws.ToString(algorithm) == *c.algorithm && (keySum == nil || *keySum == *c.keySum)
	}
	if ok {
		return nil
	}
	return fmt.Errorf("bucket %q at %s: the server does not encrypt with %s as it was asked to: %w", s.bucket, s.endpoint, c.name(), ErrUnsupported)
}
