// A closed-loop load of one REST or gRPC request at a time on each of N kept connections. Prints one JSON line:
// requests answered well, failures, seconds. Any failure makes the round worthless and the exit code 1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"millrace/bench/native/client"
)

type result struct {
	requests int
	took     []time.Duration
	err      error
}

func main() {
	protocol := flag.String("protocol", "rest", "rest or grpc")
	address := flag.String("address", "", "host:port")
	model := flag.String("model", "iris", "model to ask for")
	calls := flag.Int("calls", 1, "calls one after the other that count as one request")
	connections := flag.Int("connections", 1, "kept connections, one request at a time on each")
	seconds := flag.Float64("seconds", 3, "how long")
	rate := flag.Float64("rate", 0, "requests per second on each connection; 0: the next one follows at once")
	flag.Parse()
	results := make([]result, *connections)
	started := time.Now()
	until := started.Add(time.Duration(*seconds * float64(time.Second)))
	var group sync.WaitGroup
	for i := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			results[i] = run(*protocol, *address, *model, *calls, *rate, until)
		}()
	}
	group.Wait()
	elapsed := time.Since(started).Seconds()
	report(results, elapsed)
}

func report(results []result, elapsed float64) {
	total, failures := 0, []string{}
	var took []time.Duration
	for _, r := range results {
		total += r.requests
		took = append(took, r.took...)
		if r.err != nil {
			failures = append(failures, r.err.Error())
		}
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	percentile := func(p float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[int(p*float64(len(took)-1))].Microseconds())
	}
	line, _ := json.Marshal(map[string]any{
		"requests": total, "failures": failures, "seconds": elapsed, "p50_us": percentile(0.5), "p99_us": percentile(0.99),
	})
	fmt.Println(string(line))
	if len(failures) > 0 || total == 0 {
		os.Exit(1)
	}
}

func run(protocol, address, model string, calls int, rate float64, until time.Time) (r result) {
	caller, err := client.Dial(protocol, address)
	if err != nil {
		return result{err: err}
	}
	defer caller.Close()
	caller.SetModel(model)
	due := time.Now()
	for time.Now().Before(until) {
		if rate > 0 {
			due = due.Add(time.Duration(float64(time.Second) / rate))
			time.Sleep(time.Until(due))
		}
		sent := time.Now()
		for range calls {
			if err := caller.Call(); err != nil {
				return result{requests: r.requests, err: err}
			}
		}
		r.requests++
		r.took = append(r.took, time.Since(sent))
	}
	return r
}
