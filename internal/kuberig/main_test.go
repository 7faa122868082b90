package kuberig_test

import (
	"os"
	"testing"

	"github.com/millwright-ml/millwright/internal/kuberig"
)

func TestMain(m *testing.M) { os.Exit(kuberig.Main(m)) }
