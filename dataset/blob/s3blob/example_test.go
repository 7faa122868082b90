package s3blob_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/millwright-ml/millwright/dataset/blob/s3blob"
)

// Open reports what is wrong with a URL and its options all at once.
func ExampleOpen() {
	_, err := s3blob.Open(context.Background(), "s3://Models/prod", &s3blob.Options{
		Endpoint:    "127.0.0.1:9000",
		PathStyle:   true,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	})
	fmt.Println(errors.Is(err, s3blob.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// s3blob: open "s3://Models/prod": the bucket "Models" holds 'M': only a-z, 0-9, dot and hyphen are allowed; the endpoint is no URL of the form http://host:port: invalid
}
