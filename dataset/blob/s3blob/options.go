package s3blob

import (
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millwright-ml/millwright/internal/errs"
)

// Options are the settings of [Open].
type Options struct {
	// Endpoint is the server's URL, http or https, for MinIO and the like.
	// Default: AWS's own for the region.
	Endpoint string

	// Region of the bucket. Default: that of the environment or the shared AWS
	// files when Credentials is nil, else, with an Endpoint, "us-east-1", the name
	// that servers other than AWS answer to.
	Region string

	// PathStyle puts the bucket into the URL's path instead of its host name.
	// MinIO and other servers without wildcard DNS need it, unless the endpoint
	// is an IP address, which implies it. Default: false.
	PathStyle bool

	// Credentials sign the requests. Default: the SDK's chain of environment,
	// shared files, web identity (a Kubernetes service account's role) and the
	// machine's role.
	Credentials aws.CredentialsProvider

	// SingleWriter states that only one process at a time writes below the URL,
	// or that this one only reads. Open then writes no scratch object, unless
	// there is an Encryption to prove, and Create looks before it writes instead
	// of asking the server to decide: racing creators could both win. Default:
	// false.
	SingleWriter bool

	// Encryption has the server encrypt what is stored. Default: as the bucket is
	// set up.
	Encryption *Encryption

	// Checksum is kept by the server with each object, which checks what it gets
	// against it, beside the signed SHA-256 that guards every request: "CRC32",
	// "CRC32C", "CRC64NVME" or "SHA256". Whole objects are checked against it when
	// they are read. Default: "CRC64NVME" at AWS, none with an Endpoint, as many
	// other servers stumble over it.
	Checksum string

	// Part is the size of the parts of a large body in bytes, at least 5 MiB; a
	// write holds InFlight parts and one. Bodies of over 10,000 parts get larger
	// ones. Default: 8 MiB.
	Part int64

	// InFlight is how many parts of one body travel at a time. Default: 4.
	InFlight int

	// CopyPart is the size of the parts, in bytes, in which the server copies
	// larger objects, InFlight at a time: 5 MiB to 5 GiB. Default: 1 GiB.
	CopyPart int64

	// HTTPClient sends the requests: with certificates of one's own, a proxy, or
	// other limits. Default: the SDK's, with up to 64 idle connections.
	HTTPClient *http.Client

	// Progress, when set, is called when an object or a part of one has arrived.
	// Several goroutines may call it at a time. Default: none.
	Progress func(Transfer)
}

// Transfer is how far the write of one object has come.
type Transfer struct {
	Key   string
	Bytes int64 // That arrived just now.
	Done  int64 // That arrived so far.
	Total int64 // Of the whole object; -1 when nobody knows.
}

func (o *Options) check(faults *errs.Faults) {
	checkEndpoint(faults, o.Endpoint)
	if o.Credentials != nil && o.Region == "" && o.Endpoint == "" {
		faults.Addf("no region: with credentials of its own, a bucket at AWS needs Options.Region")
	}
	o.Encryption.check(faults, o.Endpoint)
	switch types.ChecksumAlgorithm(o.Checksum) {
	case "", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha256:
	default:
		faults.Addf("the checksum is %.20q, want CRC32, CRC32C, CRC64NVME or SHA256", o.Checksum)
	}
	faults.Check(o.Part == 0 || o.Part >= minPart && o.Part <= 5<<30, "a part has %d bytes, want 5 MiB to 5 GiB", o.Part)
	faults.Check(o.InFlight >= 0 && o.InFlight <= 1000, "%d parts in flight, want 1 to 1000", o.InFlight)
	faults.Check(o.CopyPart == 0 || o.CopyPart >= minPart && o.CopyPart <= maxCopy, "a part of a copy has %d bytes, want 5 MiB to 5 GiB", o.CopyPart)
}

// checksum is the algorithm to use; "" is none.
func (o *Options) checksum() types.ChecksumAlgorithm {
	if o.Checksum == "" && (o.Endpoint == "" || strings.HasSuffix(o.Endpoint, ".amazonaws.com")) {
		return types.ChecksumAlgorithmCrc64nvme
	}
	return types.ChecksumAlgorithm(o.Checksum)
}
