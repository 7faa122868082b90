package archtest_test

import (
	"slices"

	"github.com/millwright-ml/millwright/internal/archtest"
)

// The modules that come together with one direct dependency.
var (
	arrowBoth = []string{
		"github.com/goccy/go-json",
		"github.com/google/flatbuffers",
		"golang.org/x/exp",
		"golang.org/x/sys",
	}
	arrow15 = slices.Concat(arrowBoth, []string{
		"github.com/apache/arrow/go/v15",
		"golang.org/x/xerrors",
	})
	arrow18 = slices.Concat(arrowBoth, []string{
		"github.com/apache/arrow-go/v18",
		"github.com/klauspost/cpuid/v2",
		"github.com/zeebo/xxh3",
	})
	parquet18 = slices.Concat(arrow18, []string{
		"github.com/andybalholm/brotli",
		"github.com/apache/thrift",
		"github.com/cespare/xxhash/v2",
		"github.com/google/uuid",
		"github.com/klauspost/compress",
		"github.com/pierrec/lz4/v4",
		"github.com/zeebo/blake3", // The digests of column chunks.
		"golang.org/x/net",
		"golang.org/x/sync",
		"golang.org/x/text",
		"google.golang.org/genproto/googleapis/rpc",
		"google.golang.org/grpc",
		"google.golang.org/protobuf",
	})
	arrow = slices.Concat(arrow15, parquet18)
	aws   = []string{
		"github.com/aws/aws-sdk-go-v2",
		"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream",
		"github.com/aws/aws-sdk-go-v2/config",
		"github.com/aws/aws-sdk-go-v2/credentials",
		"github.com/aws/aws-sdk-go-v2/feature/ec2/imds",
		"github.com/aws/aws-sdk-go-v2/internal/configsources",
		"github.com/aws/aws-sdk-go-v2/internal/endpoints/v2",
		"github.com/aws/aws-sdk-go-v2/internal/v4a",
		"github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding",
		"github.com/aws/aws-sdk-go-v2/service/internal/checksum",
		"github.com/aws/aws-sdk-go-v2/service/internal/presigned-url",
		"github.com/aws/aws-sdk-go-v2/service/internal/s3shared",
		"github.com/aws/aws-sdk-go-v2/service/s3",
		"github.com/aws/aws-sdk-go-v2/service/signin",
		"github.com/aws/aws-sdk-go-v2/service/sso",
		"github.com/aws/aws-sdk-go-v2/service/ssooidc",
		"github.com/aws/aws-sdk-go-v2/service/sts",
		"github.com/aws/smithy-go",
	}
	// The engines that internal/sqldb speaks to.
	databases = []string{
		"github.com/dustin/go-humanize",
		"github.com/google/uuid",
		"github.com/remyoudompheng/bigfft",
		"golang.org/x/sys",
		"modernc.org/libc",
		"modernc.org/mathutil",
		"modernc.org/memory",
		"modernc.org/sqlite",
		"github.com/jackc/pgpassfile",
		"github.com/jackc/pgservicefile",
		"github.com/jackc/pgx/v5",
		"github.com/jackc/puddle/v2",
		"golang.org/x/sync",
		"golang.org/x/text",
	}
	otlp = []string{
		"go.opentelemetry.io/proto/otlp",
		"google.golang.org/protobuf",
	}
	// The API of OpenTelemetry, without its SDK.
	otel = []string{
		"github.com/cespare/xxhash/v2",
		"go.opentelemetry.io/otel",
		"go.opentelemetry.io/otel/metric",
	}
	prometheus = []string{
		"github.com/beorn7/perks",
		"github.com/cespare/xxhash/v2",
		"github.com/munnerz/goautoneg",
		"github.com/prometheus/client_golang",
		"github.com/prometheus/client_model",
		"github.com/prometheus/common",
		"github.com/prometheus/procfs",
		"golang.org/x/sys",
		"google.golang.org/protobuf",
	}
	// The REST client of client-go and the types of the built-in groups, without
	// the generated clients.
	kubernetes = []string{
		"github.com/davecgh/go-spew",
		"github.com/fxamacker/cbor/v2",
		"github.com/go-logr/logr",
		"github.com/json-iterator/go",
		"github.com/modern-go/concurrent",
		"github.com/modern-go/reflect2",
		"github.com/munnerz/goautoneg",
		"github.com/x448/float16",
		"go.yaml.in/yaml/v2",
		"golang.org/x/net",
		"golang.org/x/oauth2",
		"golang.org/x/sys",
		"golang.org/x/term",
		"golang.org/x/text",
		"golang.org/x/time",
		"gopkg.in/inf.v0",
		"k8s.io/api",
		"k8s.io/apimachinery",
		"k8s.io/client-go",
		"k8s.io/klog/v2",
		"k8s.io/kube-openapi",
		"k8s.io/utils",
		"sigs.k8s.io/json",
		"sigs.k8s.io/randfill",
		"sigs.k8s.io/structured-merge-diff/v6",
		"sigs.k8s.io/yaml",
	}
	// What reads a kubeconfig file comes on top.
	kubeconfig = slices.Concat(kubernetes, []string{"github.com/spf13/pflag"})
	// client-go's leader election brings the generated clients along.
	clientset = slices.Concat(kubernetes, []string{
		"github.com/emicklei/go-restful/v3",
		"github.com/go-openapi/jsonpointer",
		"github.com/go-openapi/jsonreference",
		"github.com/go-openapi/swag",
		"github.com/go-openapi/swag/cmdutils",
		"github.com/go-openapi/swag/conv",
		"github.com/go-openapi/swag/fileutils",
		"github.com/go-openapi/swag/jsonutils",
		"github.com/go-openapi/swag/loading",
		"github.com/go-openapi/swag/mangling",
		"github.com/go-openapi/swag/netutils",
		"github.com/go-openapi/swag/pools",
		"github.com/go-openapi/swag/stringutils",
		"github.com/go-openapi/swag/typeutils",
		"github.com/go-openapi/swag/yamlutils",
		"github.com/google/gnostic-models",
		"github.com/google/uuid",
		"github.com/pmezard/go-difflib",
		"go.yaml.in/yaml/v3",
		"google.golang.org/protobuf",
		"gopkg.in/evanphx/json-patch.v4",
	})
	grpcStack = []string{
		"golang.org/x/net",
		"golang.org/x/sys",
		"golang.org/x/text",
		"google.golang.org/genproto/googleapis/rpc",
		"google.golang.org/grpc",
		"google.golang.org/protobuf",
	}
	testify = []string{"github.com/stretchr/testify", "go.yaml.in/yaml/v3"}
)

// table is the import table of ARCHITECTURE.md. Do not change it to repair a
// build: change it when the architecture changes, in both places.
var table = &archtest.Table{
	Open: []string{"internal/errs"},
	Rules: map[string]archtest.Rule{
		".": {},

		"dataset/profile":        {},
		"dataset/blob":           {},
		"dataset/filter":         {Link: slices.Concat(arrow15, []string{"github.com/klauspost/cpuid/v2", "github.com/zeebo/xxh3"})},
		"dataset/blob/cacheblob": {Own: []string{"dataset/blob", "internal/room"}},
		"dataset/blob/dirblob":   {Own: []string{"dataset/blob"}},
		"dataset/blob/s3blob":    {Own: []string{"dataset/blob"}, Link: aws},
		"dataset/blob/blobtest": {
			Own: []string{"dataset/blob"}, Link: testify,
		},
		"dataset/blob/blobtest/faults": {Own: []string{"dataset/blob"}},
		"dataset": {
			Own: []string{
				"dataset/profile", "dataset/blob", "dataset/filter", "dataset/internal/arrowcross", "dataset/internal/blocksum", "dataset/internal/collect", "dataset/internal/delta",
				"dataset/internal/pqfile", "dataset/internal/rowsort", "dataset/internal/scan", "dataset/internal/checkpoint",
			},
			Link: arrow,
		},
		"dataset/ingest": {
			Own: []string{"dataset/internal/arrowcross", "dataset/internal/ipccheck", "dataset/internal/pqfile"}, Link: arrow,
		},
		"dataset/datasettest": {Own: []string{"dataset", "dataset/blob", "dataset/filter"}, Link: slices.Concat(arrow, testify)},
		"dataset/arrow18":     {Own: []string{"dataset", "dataset/internal/arrowcross"}, Link: arrow},
		"dataset/iceberg":     {Own: []string{"dataset", "dataset/blob"}, Link: arrow},
		"dataset/loader":      {Own: []string{"dataset", "dataset/filter"}, Link: arrow},
		"dataset/feed": {
			Own:  []string{"dataset", "dataset/filter", "dataset/loader", "dataset/internal/wire", "internal/httperr"},
			Link: arrow,
		},
		"dataset/flight": {
			Own:  []string{"dataset", "dataset/feed", "dataset/loader", "dataset/internal/wire"},
			Link: arrow,
		},
		"dataset/internal/wire":       {Own: []string{"dataset/internal/arrowcross"}, Link: slices.Concat(arrow15, arrow18)},
		"dataset/internal/arrowcross": {Link: slices.Concat(arrow15, arrow18)},
		"dataset/internal/collect":    {},
		"dataset/internal/delta":      {Link: arrow15},
		"dataset/internal/checkpoint": {
			Own: []string{"dataset/internal/delta", "dataset/internal/pqfile"}, Link: slices.Concat(arrow15, parquet18),
		},
		"dataset/internal/blocksum": {Link: []string{"github.com/klauspost/cpuid/v2", "github.com/zeebo/blake3"}},
		"dataset/internal/ipccheck": {},
		"dataset/internal/pqfile":   {Own: []string{"dataset/internal/blocksum", "dataset/internal/ipccheck"}, Link: parquet18},
		"dataset/internal/scan":     {Own: []string{"dataset/internal/pqfile", "dataset/profile"}, Link: parquet18},
		"dataset/internal/rowsort":  {Link: slices.Concat(arrow15, []string{"github.com/klauspost/cpuid/v2", "github.com/zeebo/xxh3"})},

		"tracking":              {},
		"tracking/search":       {},
		"tracking/trackingtest": {Own: []string{"tracking", "tracking/search"}},
		"tracking/sqlstore":     {Own: []string{"tracking", "tracking/search", "internal/sqldb", "internal/sqlsearch"}, Link: databases},
		"tracking/mlflow": {
			Own: []string{"tracking", "tracking/search", "internal/mlflowapi", "internal/mlflowhttp", "internal/mlflowclient"}, Link: otlp,
		},
		"tracking/sysmetrics":   {Own: []string{"tracking"}},
		"tracking/tensorboard":  {Own: []string{"tracking"}},
		"registry":              {Own: []string{"internal/room"}},
		"registry/registrytest": {Own: []string{"registry", "registry/webhook", "tracking/search"}, Link: testify},
		"registry/mlflow": {
			Own: []string{"registry", "registry/webhook", "tracking", "internal/mlflowapi", "internal/mlflowhttp", "internal/mlflowclient"},
		},
		"registry/webhook":  {Own: []string{"registry"}},
		"registry/sqlstore": {Own: []string{"registry", "registry/webhook", "tracking/search", "internal/sqldb", "internal/sqlsearch"}, Link: databases},

		"train":            {Own: []string{"tracking"}},
		"train/local":      {Own: []string{"train"}},
		"train/checkpoint": {Own: []string{"train"}},

		"k8s/internal/kube":  {Link: kubernetes},
		"k8s/internal/plain": {Link: []string{"go.yaml.in/yaml/v2", "sigs.k8s.io/yaml"}},
		"k8s/gpus":           {Own: []string{"train", "k8s/internal/kube"}, Link: kubernetes},
		"k8s/rbac":           {Own: []string{"k8s/internal/kube", "k8s/internal/plain"}, Link: kubernetes},
		"k8s/tenants": {
			Own: []string{"train", "k8s/rbac", "k8s/internal/kube", "k8s/internal/plain"}, Link: kubernetes,
		},
		"k8s/leader": {Own: []string{"k8s/internal/kube"}, Link: clientset},
		"k8s": {
			Own: []string{
				"train", "k8s/gpus", "k8s/internal/kube", "k8s/internal/foreign", "k8s/internal/manifest", "k8s/internal/phase", "k8s/internal/watch",
			},
			Link: kubeconfig,
		},
		"k8s/internal/foreign":  {Own: []string{"k8s/internal/kube"}, Link: kubernetes},
		"k8s/internal/manifest": {Own: []string{"train", "k8s/internal/foreign", "k8s/internal/kube"}, Link: kubernetes},
		"k8s/internal/phase":    {Own: []string{"train", "k8s/internal/foreign", "k8s/internal/manifest"}, Link: kubernetes},
		"k8s/internal/watch":    {Own: []string{"k8s/internal/foreign", "k8s/internal/kube", "k8s/internal/manifest", "k8s/internal/phase"}, Link: kubernetes},

		"serve/rollout/anytime": {},
		"serve/rollout":         {Own: []string{"serve", "serve/oip", "serve/rollout/anytime"}},
		"serve/deploy":          {Own: []string{"serve", "serve/oip"}},
		"serve/remote":          {Own: []string{"serve", "serve/oip"}},

		"serve/ort": {Own: []string{"serve", "serve/oip", "serve/internal/onnxpb"}, Link: []string{"github.com/ebitengine/purego"}},

		"serve/llm":                           {Own: []string{"internal/httperr"}},
		"serve/llm/genai":                     {},
		"serve/llm/guard":                     {Own: []string{"serve/llm", "internal/httperr"}, Link: []string{"github.com/santhosh-tekuri/jsonschema/v6", "golang.org/x/text"}},
		"serve/llm/prompts":                   {Own: []string{"serve/llm", "internal/httperr"}},
		"serve/llm/semcache":                  {Own: []string{"serve/llm", "internal/httperr"}},
		"serve/llm/trial":                     {Own: []string{"serve/llm", "serve", "serve/oip", "serve/rollout", "serve/rollout/anytime", "internal/httperr"}},
		"serve/llm/otelexport":                {Own: []string{"serve/llm", "serve/llm/genai", "internal/httperr"}, Link: slices.Concat(otel, []string{"go.opentelemetry.io/otel/trace"})},
		"serve/llm/pgstore":                   {Own: []string{"serve/llm", "internal/httperr", "internal/sqldb"}, Link: databases},
		"serve/llm/promexport":                {Own: []string{"serve/llm", "serve/llm/genai", "internal/httperr"}, Link: prometheus},
		"serve/oip":                           {},
		"serve":                               {Own: []string{"serve/oip", "internal/httperr"}},
		"serve/servetest":                     {Own: []string{"serve/oip"}},
		"serve/servetest/cmd/oip-conformance": {Own: []string{"serve/oip", "serve/servetest"}},
		"serve/promexport":                    {Own: []string{"serve", "serve/rollout"}, Link: prometheus},
		"serve/otelexport":                    {Own: []string{"serve"}, Link: slices.Concat(otel, []string{"go.opentelemetry.io/otel/trace"})},
		"serve/grpcserve":                     {Own: []string{"serve", "serve/oip"}, Link: grpcStack},

		"serve/internal/cmath":    {},
		"serve/internal/forest":   {},
		"serve/internal/modeldoc": {},
		"serve/internal/onnxpb":   {},
		"serve/internal/treeop":   {Own: []string{"serve/internal/cmath", "serve/internal/forest", "serve/internal/onnxpb"}},
		"serve/trees": {Own: []string{
			"serve", "serve/oip", "internal/httperr", "serve/internal/cmath", "serve/internal/forest", "serve/internal/modeldoc",
			"serve/internal/onnxpb", "serve/internal/treeop",
		}},
		"serve/onnx": {Own: []string{
			"serve", "serve/oip", "internal/httperr", "serve/internal/cmath", "serve/internal/forest",
			"serve/internal/onnxpb", "serve/internal/treeop",
		}},

		"monitor/drift":                 {},
		"monitor/drift/multi":           {Own: []string{"monitor/drift", "monitor/drift/column", "monitor/drift/internal/matrix"}},
		"monitor/drift/estimate":        {},
		"monitor/drift/stream":          {Own: []string{"monitor/drift"}},
		"monitor/drift/internal/matrix": {},
		"monitor/drift/column":          {Own: []string{"monitor/drift", "monitor/drift/internal/matrix"}},
		"monitor":                       {Own: []string{"dataset/profile", "monitor/drift", "monitor/drift/estimate"}},
		"monitor/llmhook":               {Own: []string{"monitor/inferlog", "monitor", "dataset", "dataset/filter", "dataset/profile", "serve/llm", "internal/httperr"}, Link: arrow},
		"monitor/servehook":             {Own: []string{"monitor", "dataset/profile", "serve", "serve/oip"}},
		"monitor/inferlog":              {Own: []string{"monitor", "dataset", "dataset/filter", "dataset/profile"}, Link: arrow},
		"monitor/alert":                 {Own: []string{"monitor"}},
		"monitor/ecs":                   {Own: []string{"monitor"}},
		"monitor/report":                {Own: []string{"monitor"}},
		"monitor/grafana":               {Own: []string{"monitor/metrics"}},
		"monitor/fleet":                 {Own: []string{"monitor", "dataset/blob", "dataset/profile"}},
		"monitor/metrics":               {Own: []string{"monitor", "monitor/drift", "dataset/profile"}},
		"monitor/otelexport":            {Own: []string{"monitor", "monitor/metrics"}, Link: otel},
		"monitor/judge": {
			Own:  []string{"monitor", "monitor/drift", "monitor/drift/multi", "dataset/profile", "tracking", "serve/llm/genai"},
			Link: []string{"github.com/sashabaranov/go-openai", "github.com/santhosh-tekuri/jsonschema/v6", "golang.org/x/text"},
		},
		"monitor/judge/rows": {Own: []string{"dataset", "dataset/profile", "monitor", "monitor/judge", "tracking", "serve/llm/genai"}, Link: slices.Concat(arrow, []string{"github.com/sashabaranov/go-openai", "github.com/santhosh-tekuri/jsonschema/v6"})},
		"monitor/promexport": {Own: []string{"monitor", "monitor/metrics", "dataset/profile"}, Link: prometheus},

		"internal/archtest":     {},
		"internal/errs":         {},
		"internal/httperr":      {},
		"internal/mlflowapi":    {},
		"internal/mlflowclient": {Own: []string{"internal/mlflowapi"}},
		"internal/mlflowhttp":   {Own: []string{"internal/mlflowapi", "internal/httperr"}},
		"internal/pgtest":       {},
		"internal/room":         {},
		"internal/sqldb":        {Link: databases},
		"internal/sqlsearch":    {Own: []string{"tracking/search", "internal/sqldb"}, Link: databases},

		"examples/quickstart": {
			Own:  []string{"public"},
			Link: slices.Concat(arrow, databases, prometheus),
		},
		"examples/train-gpu-job": {
			Own:  []string{"public"},
			Link: kubeconfig,
		},
		"examples/scoring-service": {
			Own:  []string{"public"},
			Link: slices.Concat(databases, prometheus),
		},
		"examples/drift-retrain": {
			Own:  []string{"public"},
			Link: slices.Concat(arrow, databases, prometheus),
		},
		"examples/llm-gateway": {
			Own:  []string{"public"},
			Link: slices.Concat(databases, prometheus, []string{"github.com/santhosh-tekuri/jsonschema/v6", "golang.org/x/text"}),
		},
		"examples/feed": {
			Own:  []string{"public"},
			Link: arrow,
		},
		"examples/promote": {
			Own:  []string{"public"},
			Link: databases,
		},
		"examples/mlflow-server": {
			Own:  []string{"public"},
			Link: slices.Concat(aws, databases, otlp, prometheus),
		},
	},
	Bans: []archtest.Ban{
		{From: "dataset*", To: "tracking", Reason: "imports point upstream: data knows nothing of the runs that read it"},
		{From: "*", To: "examples/quickstart", Reason: "an example is to be copied, not imported"},
		{From: "serve*", To: "monitor", Reason: "a server knows observers, not monitors: tie them together with monitor/servehook"},
		{From: "serve*", To: "registry", Reason: "a server takes an fs.FS: the program opens the version and deploys it"},
		{From: "monitor*", To: "train", Reason: "a monitor reports: retraining is the decision of the program's OnReport"},
		{From: "monitor*", To: "registry", Reason: "a monitor reports: promotion is the decision of the program's OnReport"},
		{From: "tracking", To: "dataset", Reason: "declare the few methods that are needed (tracking.Artifacts): every blob store has them"},
		{From: "registry", To: "dataset", Reason: "declare the few methods that are needed (registry.Files): every blob store has them"},
		{From: "*", To: "internal/sqldb", Reason: "only the sqlstore packages and serve/llm/pgstore speak SQL"},
		{From: "*", To: "internal/sqlsearch", Reason: "only the sqlstore packages and serve/llm/pgstore speak SQL"},
		{From: "*", To: "internal/httperr", Reason: "only packages that answer HTTP need a status"},
		{From: "*", To: "github.com/stretchr/testify", Reason: "programs must not link the assertions of tests"},
		{From: "*", To: "github.com/aws", Reason: "a program that keeps its bytes in a folder must not link the AWS SDK: import dataset/blob/s3blob in the program"},
		{From: "*", To: "internal/pgtest", Reason: "programs must not start the database of tests"},
		{From: "*", To: "github.com/jackc", Reason: "a program that brings its own database must not link a driver: import a sqlstore package in the program"},
		{From: "*", To: "k8s.io", Reason: "a program that runs on one machine must not link the Kubernetes client: import k8s in the program"},
		{From: "*", To: "sigs.k8s.io", Reason: "a program that runs on one machine must not link the Kubernetes client: import k8s in the program"},
		{From: "*", To: "go.opentelemetry.io", Reason: "a program without OpenTelemetry must not link it: import tracking/mlflow, serve/otelexport or monitor/otelexport in the program"},
		{From: "*", To: "modernc.org", Reason: "a program that brings its own database must not link SQLite: import a sqlstore package in the program"},
		{From: "*", To: "github.com/prometheus", Reason: "a program without Prometheus must not link it: import serve/promexport or monitor/promexport in the program"},
		{From: "*", To: "github.com/apache", Reason: "a service that serves and monitors must not link Arrow: import dataset or monitor/inferlog in the program"},
		{From: "*", To: "github.com/ebitengine", Reason: "a program without ONNX Runtime must not load shared libraries: import serve/ort in the program"},
		{From: "*", To: "google.golang.org/grpc", Reason: "a program that serves neither Arrow Flight nor inference over gRPC must not start gRPC, which is linked because Arrow's Parquet package names it: import dataset/flight or serve/grpcserve in the program"},
	},
}
