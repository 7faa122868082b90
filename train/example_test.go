package train_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millwright-ml/millwright/train"
)

func ExampleSpec_Validate() {
	err := train.Spec{Deadline: -time.Second}.Validate()
	fmt.Println(err)
	// Output:
	// train: spec: name is empty; command is empty; deadline is -1s, want 0 (none) or more: invalid
}

// A training program written in Go reads its own Spec like this, from the file
// named by the environment variable train.EnvSpec.
func ExampleReadSpec() {
	file := strings.NewReader(`{"name":"fraud","command":["train"],"inputs":[{"name":"transactions","version":"4"}]}`)
	spec, err := train.ReadSpec(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec.Name, "reads", spec.Inputs[0].Name, "version", spec.Inputs[0].Version)
	// Output: fraud reads transactions version 4
}

// A service bills its teams for what their jobs took of the machines.
func ExampleBill() {
	start := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	prices := train.Prices{Currency: "EUR", GPUHour: map[string]float64{"H100": 4}}
	attempts := []train.Attempt{
		{GPU: "H100", GPUs: 8, Started: start, Finished: start.Add(3 * time.Hour), Checkpoint: start.Add(2 * time.Hour)}, // preempted
		{GPU: "H100", GPUs: 8, Started: start.Add(4 * time.Hour), Finished: start.Add(5 * time.Hour), OK: true},
	}
	usage := train.NewUsage("job-2c70e12b7a0646f92279", "risk", attempts, prices, false, start.Add(6*time.Hour))
	for _, bill := range train.Bill(slices.Values([]train.Usage{usage})) {
		fmt.Printf("%s: %d job, %.0f %s\n", bill.Team, bill.Jobs, bill.Cost, bill.Currency)
		for _, item := range bill.Items {
			fmt.Printf("  %s %s: %.0f GPU-hours\n", item.GPU, item.Outcome, item.GPUs/3600)
		}
	}
	// Output:
	// risk: 1 job, 128 EUR
	//   H100 useful: 24 GPU-hours
	//   H100 lost: 8 GPU-hours
}

// Exit code 75 says "the license server is away": try again, unlike other
// failures of the program.
func ExampleRetry_Decide() {
	retry := train.Retry{ExitCodes: map[int]train.Action{75: train.RetryInfra}}
	_, again := retry.Decide(75, false, train.Tries{})
	fmt.Println("75:", again)
	_, again = retry.Decide(1, false, train.Tries{})
	fmt.Println("1:", again)
	// Output:
	// 75: true
	// 1: false
}

// One answer out of what several objects say.
func ExampleNewWhy() {
	why := train.NewWhy(
		train.Finding{Kind: train.CauseQueued, Text: "3 jobs are ahead in queue team-a"},
		train.Finding{Kind: train.CauseQuota, Text: "queue team-a lacks 16 H100", Object: "Workload risk/job-fraud"},
	)
	fmt.Println(why.Text, len(why.Findings))
	// Output: queue team-a lacks 16 H100. 2
}

// A training program in any language reports its progress by a line of output.
func ExampleParseReport() {
	report, ok := train.ParseReport(`##millwright {"step":500,"total":1000,"metrics":{"loss":0.25}}`)
	fmt.Println(ok, report.Step, report.Metrics["loss"])
	// Output: true 500 0.25
}
