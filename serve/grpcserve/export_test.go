package grpcserve

import "github.com/millwright-ml/millwright/serve/oip"

// What the differential tests compare with the protobuf library.

// ReadInfer is the decoder of requests.
func ReadInfer(b []byte, limits *oip.Limits) (model, version string, r *oip.InferRequest, err error) {
	c, err := readInfer(b, limits)
	if err != nil {
		return "", "", nil, err
	}
	return c.model, c.version, &c.request, nil
}

// The encoders and decoders of the other messages.
var (
	AppendRequest    = appendRequest
	AppendResponse   = appendResponse
	ReadResponse     = readResponse
	AppendModel      = appendModel
	ReadModel        = readModel
	AppendConfig     = appendConfig
	ReadConfig       = readConfig
	AppendStatistics = appendStatistics
	ReadStatistics   = readStatistics
	AppendIndex      = appendIndex
	ReadIndex        = readIndex
	ReadServer       = readServer
	AppendServer     = appendServer
)
