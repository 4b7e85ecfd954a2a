// Asks every model that stdin names, once over REST and once over gRPC, again until it answers. A line may come at any
// time; what is named is asked in that order. Prints one JSON line when stdin has ended and all have answered or not.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"millrace/bench/native/client"
)

const retryEvery = 5 * time.Millisecond

type asker struct {
	address  string
	deadline time.Duration
	callers  map[string]client.Caller
}

func main() {
	address := flag.String("address", "", "host:port of Envoy")
	workers := flag.Int("workers", 4, "models asked at the same time")
	deadline := flag.Duration("deadline", 120*time.Second, "for one model, from when it is asked first")
	flag.Parse()
	names := make(chan string, 1<<20)
	failures := make(chan string, 1<<20)
	var group sync.WaitGroup
	for range *workers {
		group.Add(1)
		go func() {
			defer group.Done()
			mine := asker{address: *address, deadline: *deadline, callers: map[string]client.Caller{}}
			for name := range names {
				for _, protocol := range []string{"rest", "grpc"} {
					if err := mine.ask(protocol, name); err != nil {
						failures <- fmt.Sprintf("%s %s: %v", protocol, name, err)
					}
				}
			}
		}()
	}
	asked := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); asked++ {
		names <- lines.Text()
	}
	close(names)
	group.Wait()
	close(failures)
	failed := []string{}
	for failure := range failures {
		failed = append(failed, failure)
	}
	line, _ := json.Marshal(map[string]any{"asked": asked, "failed": failed})
	fmt.Println(string(line))
}

// ask repeats until the model answers; its last error at the deadline.
func (a *asker) ask(protocol, model string) error {
	for until := time.Now().Add(a.deadline); ; time.Sleep(retryEvery) {
		err := a.once(protocol, model)
		if err == nil || time.Now().After(until) {
			return err
		}
	}
}

func (a *asker) once(protocol, model string) error {
	caller := a.callers[protocol]
	if caller == nil {
		dialled, err := client.Dial(protocol, a.address)
		if err != nil {
			return err
		}
		caller, a.callers[protocol] = dialled, dialled
	}
	caller.SetModel(model)
	err := caller.Call()
	var answered *client.StatusError
	if err != nil && !errors.As(err, &answered) {
		caller.Close()
		delete(a.callers, protocol)
	}
	return err
}
