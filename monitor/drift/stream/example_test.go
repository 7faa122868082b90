package stream_test

import (
	"encoding/json"
	"fmt"

	"github.com/millwright-ml/millwright/monitor/drift/stream"
)

// A model that is wrong one time in ten, and from prediction 1000 on one time
// in three. The detector is saved and restored on the way, as a service does
// that is deployed anew.
func Example() {
	watch, err := stream.NewHDDMA(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var detector stream.Detector = watch
	for i := range 1500 {
		wrong := 0.0
		if i < 1000 && i%10 == 0 || i >= 1000 && i%3 == 0 {
			wrong = 1
		}
		if state := detector.Update(wrong); state == stream.Drift {
			fmt.Println(state, "at", i)
		}
		if i == 500 {
			saved, err := json.Marshal(detector)
			if err != nil {
				fmt.Println(err)
				return
			}
			if detector, err = stream.Restore(saved); err != nil {
				fmt.Println(err)
				return
			}
		}
	}
	// Output:
	// drift at 1071
}
