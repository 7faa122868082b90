package grafana_test

import (
	"fmt"
	"strings"

	"github.com/millwright-ml/millwright/monitor/grafana"
)

func ExampleRuleFile() {
	file, err := grafana.RuleFile(&grafana.Options{PSI: 0.2, Labels: map[string]string{"team": "risk"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := strings.Index(string(file), `- alert: "MillwrightFleetDrift"`)
	fmt.Println(string(file)[at : at+strings.Index(string(file)[at:], "annotations")])
	// Output:
	// - alert: "MillwrightFleetDrift"
	//         expr: |-
	//           millwright:feature_psi:1h > 0.2
	//           and
	//           millwright:feature_psi:1h > 3 * millwright:feature_psi_noise:1h
	//           and
	//           millwright:feature_rows:1h >= 500
	//         for: 15m
	//         labels:
	//           severity: "warning"
	//           "team": "risk"
}

func ExampleServiceMonitor() {
	object, err := grafana.ServiceMonitor(&grafana.Options{Selector: map[string]string{"app": "fraud"}})
	fmt.Println(string(object), err)
	// Output:
	// apiVersion: monitoring.coreos.com/v1
	// kind: ServiceMonitor
	// metadata:
	//   name: "millwright"
	// spec:
	//   selector:
	//     matchLabels:
	//       app: "fraud"
	//   endpoints:
	//     - port: "http"
	//       path: "/metrics"
	//       interval: 30s
	//  <nil>
}
